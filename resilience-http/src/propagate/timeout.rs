//! The headers that carry the time left for a request.
//!
//! The time is sent as a duration and not as an instant, since two machines have different clocks.
//! The time that the message needs on the wire is not subtracted, which favours the caller; the
//! caller's own deadline is not affected.
//!
//! | header | unit | defined by |
//! |---|---|---|
//! | [`TIMEOUT`] | whole milliseconds | this crate |
//! | [`GRPC_TIMEOUT`] | up to eight digits and one of `H M S m u n` | gRPC |
//! | [`ENVOY_TIMEOUT`] | whole milliseconds; 0 is ignored | Envoy, for the requests that it forwards |
//!
//! [`parse`] reads all three, and the shortest limits the time until the head of the response. Only
//! gRPC's header is for the whole call ([`parse_call`]), and ends a body that has begun. The
//! headers come from strangers: a number that overflows is [`MAX_WAIT`], zero is a deadline in the
//! past, and everything else is ignored.
//!
//! ```
//! use std::time::Duration;
//! use http::HeaderMap;
//! use resilience_http::propagate::timeout;
//!
//! let mut headers = HeaderMap::new();
//! headers.insert(timeout::TIMEOUT, timeout::milliseconds(Duration::from_micros(2_500)));
//! assert_eq!(timeout::parse(&headers), Some(Duration::from_millis(2))); // rounded down
//! headers.insert(timeout::GRPC_TIMEOUT, timeout::grpc(Duration::from_micros(1_500)));
//! assert_eq!(timeout::parse(&headers), Some(Duration::from_micros(1_500)));
//! ```

use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use resilience_core::clock::MAX_WAIT;

/// The header of the time that the caller will wait for this attempt, in whole milliseconds.
pub const TIMEOUT: HeaderName = HeaderName::from_static("x-resilience-timeout-ms");

/// gRPC's header of the time left for the call, as defined by its protocol over HTTP/2.
pub const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// Envoy's header of the time that the proxy will wait for a request that it forwards.
pub const ENVOY_TIMEOUT: HeaderName = HeaderName::from_static("x-envoy-expected-rq-timeout-ms");

/// Returns the time left for this request, at most [`MAX_WAIT`]; zero if the deadline has passed.
/// `None` if none of the three headers is present and valid.
#[must_use]
pub fn parse(headers: &HeaderMap) -> Option<Duration> {
    let own = read(headers, &TIMEOUT, parse_milliseconds);
    let grpc = parse_call(headers);
    let envoy = read(headers, &ENVOY_TIMEOUT, |text| {
        parse_milliseconds(text).filter(|timeout| !timeout.is_zero())
    });
    [own, grpc, envoy].into_iter().flatten().min()
}

/// Returns the time left for the whole call, its body and trailers included, from [`GRPC_TIMEOUT`].
/// The other two headers are for the head of the response.
#[must_use]
pub fn parse_call(headers: &HeaderMap) -> Option<Duration> {
    read(headers, &GRPC_TIMEOUT, parse_grpc)
}

fn read(
    headers: &HeaderMap,
    name: &HeaderName,
    parse: fn(&str) -> Option<Duration>,
) -> Option<Duration> {
    let texts = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    texts.filter_map(|text| parse(text.trim_matches([' ', '\t']))).min()
}

/// Parses `1*DIGIT` milliseconds.
fn parse_milliseconds(text: &str) -> Option<Duration> {
    number(text).map(|number| Duration::from_millis(number).min(MAX_WAIT))
}

/// Parses one to eight digits and a unit.
fn parse_grpc(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let (digits, _) = text.split_at(text.len() - unit.len_utf8());
    let number = number(digits).filter(|_| digits.len() <= 8)?;
    let timeout = match unit {
        'H' => Duration::from_secs(number * 3_600),
        'M' => Duration::from_secs(number * 60),
        'S' => Duration::from_secs(number),
        'm' => Duration::from_millis(number),
        'u' => Duration::from_micros(number),
        'n' => Duration::from_nanos(number),
        _ => return None,
    };
    Some(timeout.min(MAX_WAIT))
}

/// Parses `1*DIGIT`: no sign, no fraction. A number that overflows is `u64::MAX`.
pub(super) fn number(digits: &str) -> Option<u64> {
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Returns a value of [`TIMEOUT`], rounded down, so that no server works longer than its caller
/// waits.
#[must_use]
pub fn milliseconds(left: Duration) -> HeaderValue {
    HeaderValue::from(whole(left.as_millis()))
}

/// Returns a value of [`GRPC_TIMEOUT`], rounded down to eight digits of the finest unit that fits.
/// gRPC has no zero: a deadline in the past is one nanosecond.
#[must_use]
pub fn grpc(left: Duration) -> HeaderValue {
    let seconds = u128::from(left.as_secs());
    let units = [
        (left.as_nanos().max(1), 'n'),
        (left.as_micros(), 'u'),
        (left.as_millis(), 'm'),
        (seconds, 'S'),
        (seconds / 60, 'M'),
        (seconds / 3_600, 'H'),
    ];
    let fits = units.into_iter().find(|(number, _)| *number < 100_000_000);
    let (number, unit) = fits.unwrap_or((99_999_999, 'H'));
    // Cannot fail: digits and a letter are a valid header value.
    HeaderValue::try_from(format!("{number}{unit}")).unwrap_or(HeaderValue::from_static("1n"))
}

fn whole(number: u128) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: HeaderName, value: &str) -> Option<Duration> {
        parse(&HeaderMap::from_iter([(name, value.parse().unwrap())]))
    }

    #[test]
    fn every_unit_of_grpc_is_read() {
        for (value, expected) in [
            ("2H", Duration::from_secs(7_200)),
            ("3M", Duration::from_secs(180)),
            ("4S", Duration::from_secs(4)),
            ("5m", Duration::from_millis(5)),
            ("6u", Duration::from_micros(6)),
            ("7n", Duration::from_nanos(7)),
            ("0S", Duration::ZERO),
            ("00000001S", Duration::from_secs(1)),
            ("99999999H", MAX_WAIT),
            ("99999999M", MAX_WAIT),
        ] {
            assert_eq!(read(GRPC_TIMEOUT, value), Some(expected), "{value}");
        }
    }

    #[test]
    fn an_invalid_timeout_is_ignored() {
        for value in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", "1 S", "123456789n", "1SS", "1h"] {
            assert_eq!(read(GRPC_TIMEOUT, value), None, "{value:?}");
        }
        for value in ["", "-1", "+1", "1.5", "1e3", "1ms", "0x1", "1,2", "inf"] {
            assert_eq!(read(TIMEOUT, value), None, "{value:?}");
        }
    }

    #[test]
    fn an_overflowing_timeout_is_the_longest_wait() {
        assert_eq!(read(TIMEOUT, "18446744073709551616"), Some(MAX_WAIT));
        assert_eq!(read(TIMEOUT, &"9".repeat(5_000)), Some(MAX_WAIT));
    }

    #[test]
    fn zero_is_a_passed_deadline_except_for_envoy() {
        assert_eq!(read(TIMEOUT, "0"), Some(Duration::ZERO));
        assert_eq!(read(ENVOY_TIMEOUT, "0"), None);
        assert_eq!(read(ENVOY_TIMEOUT, "15"), Some(Duration::from_millis(15)));
    }

    #[test]
    fn the_shortest_timeout_is_used() {
        let value = HeaderValue::from_static;
        let mut headers = HeaderMap::from_iter([
            (TIMEOUT, value("300")),
            (GRPC_TIMEOUT, value("200m")),
            (ENVOY_TIMEOUT, value("100")),
        ]);
        assert_eq!(parse(&headers), Some(Duration::from_millis(100)));
        headers.append(TIMEOUT, value(" 50 "));
        headers.append(TIMEOUT, value("soon"));
        assert_eq!(parse(&headers), Some(Duration::from_millis(50)));
        assert_eq!(parse(&HeaderMap::new()), None);
    }

    #[test]
    fn the_finest_unit_that_fits_is_written() {
        for (left, expected) in [
            (Duration::ZERO, "1n"),
            (Duration::from_nanos(99_999_999), "99999999n"),
            (Duration::from_nanos(100_000_999), "100000u"),
            (Duration::from_secs(100), "100000m"),
            (Duration::from_secs(100_000), "100000S"),
            (Duration::from_secs(100_000_059), "1666667M"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(grpc(left), expected, "{left:?}");
        }
        assert_eq!(milliseconds(Duration::MAX), u64::MAX.to_string());
    }
}
