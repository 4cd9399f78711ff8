//! Reading the `Retry-After` header (RFC 9110 §10.2.3).
//!
//! The header is input from a stranger, so the parser is strict: a value that is not in one of the
//! two forms of the RFC is ignored. A client that guesses at the meaning of `-1` or `1.5` is worse
//! off than one that falls back on its own backoff.
//!
//! ```
//! use std::time::{Duration, SystemTime};
//! use http::HeaderMap;
//! use http::header::RETRY_AFTER;
//! use resilience_http::retry_after;
//!
//! let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
//! let read = |value: &'static str| {
//!     let mut headers = HeaderMap::new();
//!     headers.insert(RETRY_AFTER, value.parse().unwrap());
//!     retry_after::parse(&headers, now)
//! };
//! assert_eq!(read("120"), Some(Duration::from_secs(120)));
//! assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
//! assert_eq!(read("soon"), None);
//! ```
//!
//! # Precision of a date
//!
//! A date has a resolution of one second and is compared with the clock of this machine. If the
//! server's clock is three seconds ahead, the client waits three seconds too long; if it is behind,
//! the client comes three seconds early. The date is used as the instant that it names and is never
//! rounded down. Prefer seconds where a server offers both forms.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::{HeaderValue, RETRY_AFTER};
use resilience_core::clock::MAX_WAIT;

use crate::clock;

/// Returns the wait that the server requests, from `now` on; at most [`MAX_WAIT`].
///
/// A date in the past is a wait of zero. If the header is present more than once, which RFC 9110
/// does not allow, the longest valid wait is used. `None` if no value is in one of the two forms of
/// the RFC.
#[must_use]
pub fn parse(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let values = headers.get_all(RETRY_AFTER).iter().filter_map(text);
    values.filter_map(|value| seconds(value).or_else(|| until_date(value, now))).max()
}

/// Calls [`parse`] with the [wall clock](clock::wall_now), which is read only if the header is
/// present.
#[must_use]
pub fn from_headers(headers: &HeaderMap) -> Option<Duration> {
    headers.contains_key(RETRY_AFTER).then(clock::wall_now).and_then(|now| parse(headers, now))
}

/// Returns the value without the whitespace that RFC 9110 §5.5 allows around a field value.
fn text(value: &HeaderValue) -> Option<&str> {
    value.to_str().ok().map(|text| text.trim_matches([' ', '\t']))
}

/// Parses `1*DIGIT`: no sign, no fraction, no exponent. A number that overflows is [`MAX_WAIT`].
fn seconds(value: &str) -> Option<Duration> {
    let digits = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| value.parse().map_or(MAX_WAIT, Duration::from_secs).min(MAX_WAIT))
}

/// Parses a date in any of the three formats that RFC 9110 §5.6.7 requires a recipient to accept.
fn until_date(value: &str, now: SystemTime) -> Option<Duration> {
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sun, 06 Nov 1994 08:49:37 GMT, the RFC's example.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }

    fn headers(values: &[&[u8]]) -> HeaderMap {
        let value = |bytes: &&[u8]| HeaderValue::from_bytes(bytes).unwrap();
        values.iter().map(|bytes| (RETRY_AFTER, value(bytes))).collect()
    }

    fn read(value: &str) -> Option<Duration> {
        parse(&headers(&[value.as_bytes()]), now())
    }

    const SECONDS: fn(u64) -> Duration = Duration::from_secs;

    /// The rows of linkerd's parser. linkerd caps the wait at 300 s; here the limits of the retry
    /// policy reject a long hint, so the parser returns the value unchanged.
    #[test]
    fn linkerd_rows() {
        for (value, expected) in [
            ("120", Some(SECONDS(120))),
            ("0", Some(SECONDS(0))),
            ("  7\t", Some(SECONDS(7))),
            ("3600", Some(SECONDS(3_600))),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(SECONDS(60))),
            ("Sun, 06 Nov 1994 08:59:37 GMT", Some(SECONDS(600))),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(SECONDS(0))),
            ("garbage", None),
        ] {
            assert_eq!(read(value), expected, "{value:?}");
        }
    }

    /// The rows of the seconds format of Envoy's reset header, which `Retry-After` shares.
    #[test]
    fn envoy_seconds_rows() {
        assert_eq!(read("5"), Some(SECONDS(5)));
        assert_eq!(read("2.5"), None);
        let mut headers = HeaderMap::new();
        headers.insert("RETRY-AFTER".parse::<http::HeaderName>().unwrap(), "5".parse().unwrap());
        assert_eq!(parse(&headers, now()), Some(SECONDS(5)));
    }

    #[test]
    fn all_three_formats_of_a_date_are_read() {
        for date in [
            "Sun, 06 Nov 1994 08:50:37 GMT",
            "Sunday, 06-Nov-94 08:50:37 GMT",
            "Sun Nov  6 08:50:37 1994",
        ] {
            assert_eq!(read(date), Some(SECONDS(60)), "{date}");
        }
    }

    #[test]
    fn a_date_is_not_rounded() {
        let half_past = now() + Duration::from_millis(500);
        let date = headers(&[b"Sun, 06 Nov 1994 08:49:39 GMT"]);
        assert_eq!(parse(&date, half_past), Some(Duration::from_millis(1_500)));
    }

    #[test]
    fn values_outside_the_rfc_are_ignored() {
        for value in [
            "",
            " ",
            "-1",
            "+1",
            "1.0",
            "1e3",
            "0x10",
            "1 2",
            "1,2",
            "1s",
            "inf",
            "NaN",
            "١",
            "Sun, 06 Nov 1994 08:50:37 PST",
            "Sun, 99 Nov 1994 08:50:37 GMT",
            "1994-11-06T08:50:37Z",
        ] {
            assert_eq!(read(value), None, "{value:?}");
        }
        assert_eq!(parse(&headers(&[b"\xff\xfe"]), now()), None);
        assert_eq!(parse(&HeaderMap::new(), now()), None);
    }

    #[test]
    fn an_overflowing_wait_is_the_longest_wait() {
        for value in ["18446744073709551615", "18446744073709551616", &"9".repeat(5_000)] {
            assert_eq!(read(value), Some(MAX_WAIT));
        }
        assert_eq!(read("Fri, 31 Dec 9999 23:59:59 GMT"), Some(MAX_WAIT));
    }

    #[test]
    fn the_longest_of_several_values_is_used() {
        for (values, expected) in [
            ([b"5".as_slice(), b"6"], Some(SECONDS(6))),
            ([b"6", b"5"], Some(SECONDS(6))),
            ([b"5", b"\xff"], Some(SECONDS(5))),
            ([b"-1", b"5"], Some(SECONDS(5))),
            ([b"-1", b"soon"], None),
        ] {
            assert_eq!(parse(&headers(&values), now()), expected, "{values:?}");
        }
    }

    #[test]
    fn the_wall_clock_reads_a_past_date_as_now() {
        let past = headers(&[b"Sun, 06 Nov 1994 08:49:37 GMT"]);
        assert_eq!(from_headers(&past), Some(Duration::ZERO));
        assert_eq!(from_headers(&HeaderMap::new()), None);
    }
}
