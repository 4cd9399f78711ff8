//! The headers that carry the attempt number, and forbid retries.
//!
//! | header | on a request | on a response |
//! |---|---|---|
//! | [`ATTEMPT`] | the number of previous attempts; absent on the first | |
//! | [`RETRY`]`: never` | the request is part of a retry: make one attempt only | do not retry: a service further down has |
//! | [`GRPC_ATTEMPT`] | [`ATTEMPT`] in gRPC | |
//! | [`GRPC_PUSHBACK`] | | gRPC's pushback: `-1` means *never* |
//!
//! ```
//! use http::HeaderMap;
//! use resilience_http::propagate::attempt;
//!
//! let mut request = HeaderMap::new();
//! assert!(!attempt::is_part_of_a_retry(&request));
//! request.insert(attempt::ATTEMPT, 2.into());
//! assert_eq!(attempt::previous(&request), 2);
//! assert!(attempt::is_part_of_a_retry(&request));
//! ```

use http::header::{HeaderMap, HeaderName, HeaderValue};

use super::timeout::number;

/// The header of the number of attempts that the caller has made before. Absent on the first, as in
/// gRPC.
pub const ATTEMPT: HeaderName = HeaderName::from_static("x-resilience-attempt");

/// gRPC's header of the number of previous attempts (proposal A6).
pub const GRPC_ATTEMPT: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

/// The header that forbids retries; its only value is [`NEVER`].
pub const RETRY: HeaderName = HeaderName::from_static("x-resilience-retry");

/// The value of [`RETRY`] that forbids retries.
pub const NEVER: HeaderValue = HeaderValue::from_static("never");

/// gRPC's header of the wait before a retry, in milliseconds (proposal A6).
pub const GRPC_PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The value of [`GRPC_PUSHBACK`] that forbids retries.
pub const NO_RETRY: HeaderValue = HeaderValue::from_static("-1");

/// Returns the number of attempts before this request. If several headers have one, the greatest is
/// used; a value that is not a number is ignored.
#[must_use]
pub fn previous(headers: &HeaderMap) -> u32 {
    let values = headers.get_all(ATTEMPT).iter().chain(headers.get_all(GRPC_ATTEMPT));
    let texts = values.filter_map(|value| value.to_str().ok());
    let numbers = texts.filter_map(|text| number(text.trim_matches([' ', '\t'])));
    numbers.max().map_or(0, |number| u32::try_from(number).unwrap_or(u32::MAX))
}

/// Returns `true` if a request is a retry, or is made within one: then another tier makes further
/// attempts, and this one must not.
#[must_use]
pub fn is_part_of_a_retry(headers: &HeaderMap) -> bool {
    previous(headers) > 0 || forbids_retry(headers)
}

/// Returns `true` if a response must not be retried. A gRPC pushback forbids it if the value is
/// negative, not a number, or present twice (proposal A6).
#[must_use]
pub fn is_final(headers: &HeaderMap) -> bool {
    forbids_retry(headers) || pushback_forbids_retry(headers)
}

/// Returns `true` if [`RETRY`] is [`NEVER`], and ignores gRPC's pushback.
#[must_use]
pub fn forbids_retry(headers: &HeaderMap) -> bool {
    let never = |value: &HeaderValue| value.as_bytes().trim_ascii().eq_ignore_ascii_case(b"never");
    headers.get_all(RETRY).iter().any(never)
}

fn pushback_forbids_retry(headers: &HeaderMap) -> bool {
    let mut values = headers.get_all(GRPC_PUSHBACK).iter();
    let Some(value) = values.next() else { return false };
    let is_wait = value.to_str().ok().and_then(number).is_some();
    !is_wait || values.next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers<'v>(pairs: impl IntoIterator<Item = (HeaderName, &'v str)>) -> HeaderMap {
        pairs.into_iter().map(|(name, value)| (name, value.parse().unwrap())).collect()
    }

    #[test]
    fn an_invalid_attempt_number_is_ignored() {
        for (value, expected) in [
            ("0", 0),
            ("3", 3),
            (" 3 ", 3),
            ("4294967295", u32::MAX),
            ("99999999999999999999999", u32::MAX),
            ("-1", 0),
            ("1.5", 0),
            ("two", 0),
            ("", 0),
        ] {
            assert_eq!(previous(&headers([(ATTEMPT, value)])), expected, "{value:?}");
            assert_eq!(previous(&headers([(GRPC_ATTEMPT, value)])), expected, "{value:?}");
        }
        assert_eq!(previous(&headers([(ATTEMPT, "1"), (GRPC_ATTEMPT, "2")])), 2);
        assert_eq!(previous(&headers([(ATTEMPT, "x"), (ATTEMPT, "1")])), 1);
    }

    #[test]
    fn only_never_forbids_a_retry() {
        for (value, expected) in [("never", true), (" Never ", true), ("no", false), ("", false)] {
            assert_eq!(is_final(&headers([(RETRY, value)])), expected, "{value:?}");
            assert_eq!(is_part_of_a_retry(&headers([(RETRY, value)])), expected, "{value:?}");
        }
    }

    /// The pushback rows of gRPC proposal A6.
    #[test]
    fn a_pushback_that_is_no_wait_forbids_a_retry() {
        for (values, expected) in [
            (vec!["-1"], true),
            (vec!["soon"], true),
            (vec!["1000", "1000"], true),
            (vec!["1000"], false),
            (vec!["0"], false),
        ] {
            let headers = headers(values.iter().map(|value| (GRPC_PUSHBACK, *value)));
            assert_eq!(is_final(&headers), expected, "{values:?}");
        }
    }
}
