//! The key that a server recognises a request by.

use std::fmt::{self, Write};

use http::HeaderValue;
use http::header::HeaderName;

/// The header that carries it, of draft-ietf-httpapi-idempotency-key-header.
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A key by which a server recognises a request that it has seen.
///
/// One for each logical call: all attempts carry the same. What was in the header before stays as it is.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(HeaderValue);

impl IdempotencyKey {
    /// 128 random bits, as a structured field's string: 32 hexadecimal digits in quotes.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn random() -> IdempotencyKey {
        IdempotencyKey::from_bits(rand::random())
    }

    /// These bits, in the form of [`random`](#method.random) ones: for keys that are kept elsewhere, and survive the
    /// process.
    #[must_use]
    pub fn from_bits(bits: u128) -> IdempotencyKey {
        let mut text = String::with_capacity(34);
        // Writing into a `String` cannot fail.
        let _ = write!(text, "\"{bits:032x}\"");
        IdempotencyKey(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\"")))
    }

    /// The key in this header, if there is anything in it.
    #[must_use]
    pub fn from_header(value: &HeaderValue) -> Option<IdempotencyKey> {
        let empty = matches!(value.as_bytes().trim_ascii(), b"" | b"\"\"");
        (!empty).then(|| IdempotencyKey(value.clone()))
    }

    /// What the header carries.
    #[must_use]
    pub const fn header_value(&self) -> &HeaderValue {
        &self.0
    }
}

/// Not the key itself: who knows it can ask what became of the call.
impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdempotencyKey").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_structured_string_of_128_bits() {
        let key = IdempotencyKey::from_bits(0xfeed);
        assert_eq!(key.0, "\"0000000000000000000000000000feed\"");
    }

    #[cfg(feature = "client")]
    #[test]
    fn no_two_are_the_same() {
        assert_ne!(IdempotencyKey::random(), IdempotencyKey::random());
    }

    #[test]
    fn an_empty_header_is_no_key() {
        for empty in ["", " ", "\"\"", "\t\"\" "] {
            let value = HeaderValue::from_str(empty).unwrap();
            assert_eq!(IdempotencyKey::from_header(&value), None, "{empty:?}");
        }
        let opaque = HeaderValue::from_bytes(b"caller's own \xff").unwrap();
        assert_eq!(IdempotencyKey::from_header(&opaque).unwrap().header_value(), opaque);
    }
}
