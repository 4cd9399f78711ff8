//! Retry hints in gRPC trailers, or in the headers of a trailers-only response.
//!
//! `grpc-retry-pushback-ms` is for the client's retry machinery (gRPC proposal A6).
//! `google.rpc.RetryInfo` in `grpc-status-details-bin` comes from the application. If both are
//! present, the longer wait is used.
//!
//! A pushback that is not a whole number of milliseconds, or that is present more than once, means
//! *never retry*, like a negative one: A6 requires it for every value that cannot be parsed.
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

/// The most bytes of base64 that are decoded. Servers limit the whole trailer block to this size.
const MAX_DETAILS_BYTES: usize = 8_192;

/// Accepts values with and without padding, as the gRPC wire format requires of receivers.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// Returns the hint in these trailers, or in the headers of a trailers-only response.
#[must_use]
pub fn hint(trailers: &HeaderMap) -> RetryHint {
    longer(pushback(trailers), details(trailers))
}

/// Returns the longer of two waits, or `Never` if `pushback` is `Never`.
pub(crate) fn longer(pushback: RetryHint, details: RetryHint) -> RetryHint {
    match (pushback, details) {
        (RetryHint::Never, _) => RetryHint::Never,
        (RetryHint::After(one), RetryHint::After(other)) => RetryHint::After(one.max(other)),
        (RetryHint::None, hint) | (hint, _) => hint,
    }
}

/// Returns the hint in a `google.rpc.Status` that is already decoded from base64.
#[cfg(feature = "grpc")]
pub(crate) fn of_details(status: &[u8]) -> RetryHint {
    if status.len() > MAX_DETAILS_BYTES {
        return RetryHint::None;
    }
    retry_info::from_status(status)
}

/// Returns the hint in `grpc-retry-pushback-ms` (gRPC proposal A6), and ignores `RetryInfo`.
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

/// Returns the hint in `google.rpc.RetryInfo`, and ignores the pushback. A malformed value is no
/// hint.
#[must_use]
pub fn details(trailers: &HeaderMap) -> RetryHint {
    let mut values = trailers.get_all(DETAILS).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return RetryHint::None };
    if value.len() > MAX_DETAILS_BYTES {
        return RetryHint::None;
    }
    BASE64.decode(value).map_or(RetryHint::None, |status| retry_info::from_status(&status))
}
