//! The idempotency key of a request.

use std::fmt::{self, Write};

use http::HeaderValue;
use http::header::HeaderName;

/// The header of the key (draft-ietf-httpapi-idempotency-key-header).
pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// A key by which a server recognises a request that it has already processed.
///
/// All attempts of one call carry the same key. A key that the caller put into the header is kept.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(HeaderValue);

impl IdempotencyKey {
    /// Returns a key of 128 random bits, as a structured-field string: 32 hexadecimal digits in
    /// quotes.
    #[cfg(feature = "client")]
    #[must_use]
    pub fn random() -> IdempotencyKey {
        IdempotencyKey::from_bits(rand::random())
    }

    /// Returns a key of these bits, in the format of [`random`](#method.random) keys: for keys that
    /// are stored elsewhere and must survive the process.
    #[must_use]
    pub fn from_bits(bits: u128) -> IdempotencyKey {
        let mut text = String::with_capacity(34);
        // Writing into a `String` cannot fail.
        let _ = write!(text, "\"{bits:032x}\"");
        IdempotencyKey(HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("\"\"")))
    }

    /// Returns the key in this header value, or `None` if the value is empty.
    #[must_use]
    pub fn from_header(value: &HeaderValue) -> Option<IdempotencyKey> {
        let empty = matches!(value.as_bytes().trim_ascii(), b"" | b"\"\"");
        (!empty).then(|| IdempotencyKey(value.clone()))
    }

    /// Returns the value of the header.
    #[must_use]
    pub const fn header_value(&self) -> &HeaderValue {
        &self.0
    }
}

/// Omits the key: with it, a reader of the log could query the result of the call.
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
    fn random_keys_differ() {
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
