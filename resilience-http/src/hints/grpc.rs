//! What gRPC says about trying again.
//!
//! In its trailers, or in the head of a response that is nothing else. `grpc-retry-pushback-ms` is for the
//! client's machinery (gRPC proposal A6), `google.rpc.RetryInfo` in `grpc-status-details-bin` comes from the application. Of two waits
//! the longer holds.
//!
//! A pushback that is not a whole number of milliseconds, or stands there more than once, means *never*, as a
//! negative one does: A6 wants a server that says something odd about retries left alone.
//!
//! ```
//! use http::HeaderMap;
//! use resilience_core::RetryHint;
//! use resilience_http::hints::grpc;
//! use std::time::Duration;
//!
//! let mut trailers = HeaderMap::new();
//! trailers.insert("grpc-retry-pushback-ms", "1000".parse()?);
//! assert_eq!(grpc::hint(&trailers), RetryHint::After(Duration::from_secs(1)));
//! trailers.insert("grpc-retry-pushback-ms", "-1".parse()?);
//! assert_eq!(grpc::hint(&trailers), RetryHint::Never);
//! # Ok::<_, http::header::InvalidHeaderValue>(())
//! ```

use std::time::Duration;

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use resilience_core::RetryHint;
use resilience_core::clock::MAX_WAIT;

use super::retry_info;

const PUSHBACK: &str = "grpc-retry-pushback-ms";
const DETAILS: &str = "grpc-status-details-bin";

/// More than this, encoded, is not read. Servers' whole trailers are limited to as much.
const MOST: usize = 8_192;

/// Senders pad or do not; receivers must take both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// The hint in the trailers, or in the head of a response that has no others.
#[must_use]
pub fn hint(trailers: &HeaderMap) -> RetryHint {
    longer(pushback(trailers), details(trailers))
}

/// Returns the longer of two waits; *never* if `pushback` is.
pub(crate) fn longer(pushback: RetryHint, details: RetryHint) -> RetryHint {
    match (pushback, details) {
        (RetryHint::Never, _) => RetryHint::Never,
        (RetryHint::After(one), RetryHint::After(other)) => RetryHint::After(one.max(other)),
        (RetryHint::None, hint) | (hint, _) => hint,
    }
}

/// Returns the hint in a `google.rpc.Status` that is decoded already.
#[cfg(feature = "grpc")]
pub(crate) fn of_details(status: &[u8]) -> RetryHint {
    if status.len() > MOST { RetryHint::None } else { retry_info::from_status(status) }
}

/// `grpc-retry-pushback-ms` alone.
#[must_use]
pub fn pushback(trailers: &HeaderMap) -> RetryHint {
    let mut values = trailers.get_all(PUSHBACK).iter();
    let Some(first) = values.next() else { return RetryHint::None };
    let digits = !first.is_empty() && first.as_bytes().iter().all(u8::is_ascii_digit);
    match first.to_str() {
        Ok(text) if digits && values.next().is_none() => {
            RetryHint::After(text.parse().map_or(MAX_WAIT, Duration::from_millis).min(MAX_WAIT))
        }
        _ => RetryHint::Never,
    }
}

/// `RetryInfo` alone. Anything that is not well-formed says nothing.
#[must_use]
pub fn details(trailers: &HeaderMap) -> RetryHint {
    let mut values = trailers.get_all(DETAILS).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return RetryHint::None };
    if value.len() > MOST {
        return RetryHint::None;
    }
    BASE64.decode(value).map_or(RetryHint::None, |status| retry_info::from_status(&status))
}
