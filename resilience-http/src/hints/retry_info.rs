//! Reading `google.rpc.RetryInfo`, the hint of a gRPC application.
//!
//! A client should wait at least `retry_delay` before it repeats the request. The field is a
//! protobuf duration from the network: its parts can be negative, differ in sign, or mean ten
//! thousand years. A value that is not a valid non-negative duration is no hint. No hint exceeds
//! [`clock::MAX_WAIT`](resilience_core::clock::MAX_WAIT); the retry policy decides if a long wait
//! fits the deadline.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::RetryHint;
//! use resilience_http::hints::retry_info;
//!
//! assert_eq!(retry_info::hint(1, 500_000_000), RetryHint::After(Duration::from_millis(1_500)));
//! assert_eq!(retry_info::hint(-1, 0), RetryHint::None);
//! ```

use std::time::Duration;

use resilience_core::RetryHint;
use resilience_core::clock::MAX_WAIT;

const NANOS_PER_SECOND: u32 = 1_000_000_000;

const TYPE: &[u8] = b"google.rpc.RetryInfo";

/// Returns the hint in a `retry_delay` with these parts, at most [`MAX_WAIT`].
#[must_use]
pub fn hint(seconds: i64, nanos: i32) -> RetryHint {
    duration(seconds, nanos).into()
}

/// Returns the hint in a serialized `google.rpc.Status`, which has its details in field 3. The
/// first `RetryInfo` is used. A malformed message is no hint.
#[must_use]
pub fn from_status(bytes: &[u8]) -> RetryHint {
    retry_delay(bytes).and_then(|(seconds, nanos)| duration(seconds, nanos)).into()
}

fn retry_delay(status: &[u8]) -> Option<(i64, i32)> {
    let mut found = None;
    for field in Fields(status) {
        if let (3, Value::Bytes(any)) = field? {
            found = found.or(retry_info(any)?);
        }
    }
    let info = found?;
    let delay = last(info, 1)?.and_then(Value::bytes)?;
    let seconds = last(delay, 1)?;
    let nanos = last(delay, 2)?;
    // Protobuf: an absent field is 0, and an `int32` is encoded in 64 bits.
    let number = |value: Option<Value<'_>>| value.map_or(Some(0), Value::number);
    Some((number(seconds)?, i32::try_from(number(nanos)?).ok()?))
}

/// Returns the value of an `Any` if its type is `RetryInfo`. The outer `None` means malformed.
fn retry_info(any: &[u8]) -> Option<Option<&[u8]>> {
    let name = last(any, 1)?.and_then(Value::bytes).unwrap_or_default();
    let ours = name.rsplit(|byte| *byte == b'/').next() == Some(TYPE);
    let value = last(any, 2)?.and_then(Value::bytes).unwrap_or_default();
    Some(ours.then_some(value))
}

/// Returns the last value of a field, which wins in protobuf. The outer `None` means malformed.
fn last(message: &[u8], number: u64) -> Option<Option<Value<'_>>> {
    let mut found = None;
    for field in Fields(message) {
        let (field, value) = field?;
        if field == number {
            found = Some(value);
        }
    }
    Some(found)
}

/// An iterator over the fields of a message. Yields `None` at a malformed field; the rest is then
/// invalid.
struct Fields<'a>(&'a [u8]);

#[derive(Clone, Copy)]
enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    /// A fixed-size number, which no field read here has.
    Fixed,
}

impl<'a> Value<'a> {
    fn bytes(self) -> Option<&'a [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    fn number(self) -> Option<i64> {
        match self {
            Value::Number(number) => Some(number.cast_signed()),
            _ => None,
        }
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = Option<(u64, Value<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        (!self.0.is_empty()).then(|| self.field())
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Option<(u64, Value<'a>)> {
        let tag = self.varint()?;
        let value = match tag & 7 {
            0 => Value::Number(self.varint()?),
            1 => self.take(8).map(|_| Value::Fixed)?,
            2 => {
                let length = usize::try_from(self.varint()?).ok()?;
                Value::Bytes(self.take(length)?)
            }
            5 => self.take(4).map(|_| Value::Fixed)?,
            _ => return None,
        };
        Some((tag >> 3, value))
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    /// Reads a variable-length integer: at most ten bytes of seven bits each.
    fn varint(&mut self) -> Option<u64> {
        let mut number = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(number);
            }
        }
        None
    }
}

/// Returns `None` if a part is negative, or the nanoseconds are a second or more.
fn duration(seconds: i64, nanos: i32) -> Option<Duration> {
    let seconds = u64::try_from(seconds).ok()?;
    let nanos = u32::try_from(nanos).ok().filter(|nanos| *nanos < NANOS_PER_SECOND)?;
    Some(Duration::new(seconds, nanos).min(MAX_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_invalid_duration_is_no_hint() {
        for (seconds, nanos) in
            [(-1, 0), (0, -1), (1, -1), (i64::MIN, i32::MIN), (0, 1_000_000_000)]
        {
            assert_eq!(hint(seconds, nanos), RetryHint::None, "{seconds} s {nanos} ns");
        }
    }

    #[test]
    fn a_hint_is_bounded_and_may_be_zero() {
        assert_eq!(hint(i64::MAX, 999_999_999), RetryHint::After(MAX_WAIT));
        assert_eq!(hint(0, 0), RetryHint::After(Duration::ZERO));
    }

    /// `details = [Any { type_url, RetryInfo { retry_delay { 1 s, 500 ms } } }]`, as prost encodes
    /// it.
    fn status() -> Vec<u8> {
        let delay = [&[0x08, 1, 0x10][..], &[0x80, 0xca, 0xb5, 0xee, 0x01]].concat();
        let info = [&[0x0a, 8][..], &delay].concat();
        let url = b"type.googleapis.com/google.rpc.RetryInfo";
        let any = [&[0x0a, 40][..], url, &[0x12, 10], &info].concat();
        [&[0x08, 8, 0x12, 4][..], b"slow", &[0x1a, 54], &any].concat()
    }

    #[test]
    fn retry_info_is_found_in_the_details() {
        assert_eq!(from_status(&status()), RetryHint::After(Duration::from_millis(1_500)));
        let mut another = status();
        let at = another.windows(9).position(|window| window == b"RetryInfo").unwrap();
        another[at] = b'X';
        assert_eq!(from_status(&another), RetryHint::None);
    }

    #[test]
    fn a_truncated_status_is_no_hint() {
        let whole = status();
        for length in 0..whole.len() {
            assert_eq!(from_status(&whole[..length]), RetryHint::None, "{length}");
        }
        // A length that exceeds the message, and a varint without an end.
        for bytes in [&[0x1a, 0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0x08; 1], &[0xff; 40]] {
            assert_eq!(from_status(bytes), RetryHint::None);
        }
    }

    const URL: &str = "type.googleapis.com/google.rpc.RetryInfo";

    /// A length-delimited field.
    fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()][..], bytes].concat()
    }

    fn detail(url: &str, info: &[u8]) -> Vec<u8> {
        field(3, &[field(1, url.as_bytes()), field(2, info)].concat())
    }

    /// A `RetryInfo` with these bytes as its duration.
    fn delay(parts: &[u8]) -> Vec<u8> {
        detail(URL, &field(1, parts))
    }

    /// A `RetryInfo` of whole seconds.
    fn wait(seconds: u8) -> Vec<u8> {
        delay(&[0x08, seconds])
    }

    fn seconds(seconds: u64) -> RetryHint {
        RetryHint::After(Duration::from_secs(seconds))
    }

    #[test]
    fn the_first_retry_info_is_used() {
        for (what, details, expected) in [
            ("two", [wait(3), wait(5)], seconds(3)),
            ("behind another", [detail("a/google.rpc.Help", &[]), wait(5)], seconds(5)),
            ("one without a time", [detail(URL, &[]), wait(5)], RetryHint::None),
        ] {
            assert_eq!(from_status(&details.concat()), expected, "{what}");
        }
    }

    #[test]
    fn the_last_value_of_a_field_is_used() {
        assert_eq!(from_status(&delay(&[0x08, 3, 0x08, 5])), seconds(5));
    }

    #[test]
    fn the_type_follows_the_last_slash() {
        for (url, expected) in [
            ("google.rpc.RetryInfo", seconds(3)),
            ("a.example/b/google.rpc.RetryInfo", seconds(3)),
            ("a.example/xgoogle.rpc.RetryInfo", RetryHint::None),
            ("google.rpc.RetryInfo/", RetryHint::None),
        ] {
            let status = detail(url, &field(1, &[0x08, 3]));
            assert_eq!(from_status(&status), expected, "{url}");
        }
    }

    /// Field 15 of each wire type, in every message.
    #[test]
    fn unknown_fields_are_skipped() {
        let minus_one = [&[0x78][..], &[0xff; 9], &[0x01]].concat();
        for unknown in [
            &minus_one[..],
            &[&[0x79][..], &[0xff; 8]].concat(),
            &field(15, &[0xff; 3]),
            &[&[0x7d][..], &[0xff; 4]].concat(),
        ] {
            let behind = |bytes: &[u8]| [unknown, bytes].concat();
            let info = behind(&field(1, &behind(&[0x08, 3])));
            let any = behind(&[field(1, URL.as_bytes()), field(2, &info)].concat());
            let status = behind(&field(3, &any));
            assert_eq!(from_status(&status), seconds(3), "{unknown:02x?}");
        }
    }

    #[test]
    fn a_malformed_field_invalidates_the_status() {
        for (what, rest) in [
            ("a group", &[0x7b, 0x7c][..]),
            ("the end of one", &[0x7c]),
            ("no wire type", &[0x7e, 0]),
            ("a tag alone", &[0x78]),
            ("half a fixed64", &[0x79, 0, 0, 0, 0]),
        ] {
            assert_eq!(from_status(&[&wait(3), rest].concat()), RetryHint::None, "{what}");
        }
    }

    #[test]
    fn a_duration_part_of_the_wrong_type_is_no_hint() {
        for (what, parts) in [
            ("seconds as a fixed64", &[0x09, 3, 0, 0, 0, 0, 0, 0, 0][..]),
            ("seconds as a fixed32", &[0x0d, 3, 0, 0, 0]),
            ("seconds as bytes", &[0x0a, 1, 3]),
            ("nanoseconds of 33 bits", &[0x08, 3, 0x10, 0x80, 0x80, 0x80, 0x80, 0x10]),
        ] {
            assert_eq!(from_status(&delay(parts)), RetryHint::None, "{what}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..80), at in 0..64_usize, with: u8) {
            let _hint = from_status(&bytes);
            let mut status = status();
            let length = status.len();
            status[at % length] = with;
            if let RetryHint::After(wait) = from_status(&status) {
                prop_assert!(wait <= MAX_WAIT);
            }
        }

        #[test]
                fn a_valid_delay_is_exact(seconds in 0..86_400_i64, nanos in 0..1_000_000_000_i32) {
            let total = i128::from(seconds) * 1_000_000_000 + i128::from(nanos);
            let RetryHint::After(wait) = hint(seconds, nanos) else { panic!("a hint") };
            prop_assert_eq!(i128::try_from(wait.as_nanos()).unwrap(), total);
        }

        #[test]
                fn no_delay_exceeds_the_longest_wait(seconds: i64, nanos: i32) {
            if let RetryHint::After(wait) = hint(seconds, nanos) {
                prop_assert!(wait <= MAX_WAIT && seconds >= 0 && nanos >= 0);
            }
        }
    }
}
