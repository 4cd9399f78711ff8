//! Which requests may be processed twice.
//!
//! A retry after "connection reset" is a guess that the first attempt was not processed. A wrong
//! guess costs nothing for a GET; for a payment it costs the payment. Safety is a property of the
//! request and not of the failure, so it has its own type ([`Idempotency`]). It is derived from the
//! method (RFC 9110 §9.2), or declared by the caller:
//!
//! ```
//! use http::Request;
//! use resilience_http::idempotency::{Idempotency, IdempotencyKey};
//!
//! let of = |request: &Request<()>| {
//!     Idempotency::of(request.method(), request.headers(), request.extensions()).may_run_twice()
//! };
//! let mut request = Request::post("http://bank.example/payments").body(())?;
//! assert!(!of(&request));
//! // The bank recognises the key, and pays once.
//! request.extensions_mut().insert(Idempotency::Keyed(IdempotencyKey::from_bits(7)));
//! assert!(of(&request));
//! # Ok::<_, http::Error>(())
//! ```
//!
//! # Which attempts are retried
//!
//! | the attempt ended in | safe, idempotent, keyed | anything else |
//! |---|---|---|
//! | a rejection by one of our layers, a connection that was not made, a TLS handshake that broke off, `REFUSED_STREAM` | retried | retried: it was not processed |
//! | 425 Too Early | retried | retried: RFC 8470 §5.2 forbids the server to process it |
//! | 403 and 413 with a hint, 408, 429, 503 | retried | **not retried** |
//! | a timeout, a connection that broke, 500, 502, 504 | retried | **not retried** |
//! | 421 Misdirected Request | not retried: it would use the same connection | not retried |
//! | a certificate that is not accepted | not retried: the result would be the same | not retried |
//!
//! A POST is deliberately not retried after a 503. RFC 9110 §9.2.2 requires "some means to detect
//! that the original request was never applied", and a 503 is none: a proxy sends it when a server
//! broke off in the middle of the request. Nor is it retried after a 429, which a server behind the
//! first may have caused, or after a 408, which a handler that reads its body as a stream may send
//! when half of the work is done. If a server is known to mean *not begun* by these, use a
//! [`Classify`](resilience_core::Classify) type with a `may_have_run` that returns `false` for
//! them.

mod key;

pub use key::{IDEMPOTENCY_KEY, IdempotencyKey};

use http::{Extensions, HeaderMap, Method};

/// The effect of processing a request twice.
///
/// As an extension of an `http::Request` it overrides the method and the header.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idempotency {
    /// No effect at all: the request only reads (RFC 9110 §9.2.1).
    Safe,
    /// The effect of processing it once (RFC 9110 §9.2.2).
    Idempotent,
    /// The server recognises the second request by this key, and does not process it.
    Keyed(IdempotencyKey),
    /// Twice the effect.
    NotIdempotent,
}

impl Idempotency {
    /// Returns the property of a method. A method that is not in RFC 9110 is not idempotent.
    #[must_use]
    pub fn of_method(method: &Method) -> Idempotency {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => Idempotency::Safe,
            Method::PUT | Method::DELETE => Idempotency::Idempotent,
            _ => Idempotency::NotIdempotent,
        }
    }

    /// Returns the value in the extensions, or else reads the `Idempotency-Key` header, or else the
    /// method.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap, extensions: &Extensions) -> Idempotency {
        extensions.get().cloned().unwrap_or_else(|| Idempotency::of_head(method, headers))
    }

    /// Reads the `Idempotency-Key` header, or else the method.
    pub(crate) fn of_head(method: &Method, headers: &HeaderMap) -> Idempotency {
        if let Some(key) = headers.get(IDEMPOTENCY_KEY).and_then(IdempotencyKey::from_header) {
            return Idempotency::Keyed(key);
        }
        Idempotency::of_method(method)
    }

    /// Returns `true` if processing the request twice does no harm.
    #[must_use]
    pub const fn may_run_twice(&self) -> bool {
        !matches!(self, Idempotency::NotIdempotent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_properties_of_rfc_9110() {
        for (method, expected) in [
            ("GET", Idempotency::Safe),
            ("HEAD", Idempotency::Safe),
            ("OPTIONS", Idempotency::Safe),
            ("TRACE", Idempotency::Safe),
            ("PUT", Idempotency::Idempotent),
            ("DELETE", Idempotency::Idempotent),
            ("POST", Idempotency::NotIdempotent),
            ("PATCH", Idempotency::NotIdempotent),
            ("CONNECT", Idempotency::NotIdempotent),
            // Methods are case-sensitive (RFC 9110 §9.1).
            ("get", Idempotency::NotIdempotent),
            ("PURGE", Idempotency::NotIdempotent),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            assert_eq!(Idempotency::of_method(&method), expected, "{method}");
        }
    }

    #[test]
    fn a_declared_value_overrides_the_method() {
        let mut extensions = Extensions::new();
        extensions.insert(Idempotency::NotIdempotent);
        let of = Idempotency::of(&Method::GET, &HeaderMap::new(), &extensions);
        assert_eq!(of, Idempotency::NotIdempotent);
        extensions.insert(Idempotency::Idempotent);
        let of = Idempotency::of(&Method::POST, &HeaderMap::new(), &extensions);
        assert!(of.may_run_twice());
    }
}
