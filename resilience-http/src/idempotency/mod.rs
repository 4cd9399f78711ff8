//! Whether a request may run twice.
//!
//! A retry after "connection reset" is a guess that the first one did not run. For a GET the guess costs
//! nothing; for a payment it costs the payment. Whether it may be made is a property of the request and not
//! of the failure, so it is a type here ([`Idempotency`]), read off the method as RFC 9110 §9.2 has it, or
//! declared by who knows better:
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
//! // The bank knows the key, and pays once.
//! request.extensions_mut().insert(Idempotency::Keyed(IdempotencyKey::from_bits(7)));
//! assert!(of(&request));
//! # Ok::<_, http::Error>(())
//! ```
//!
//! # What is sent again
//!
//! | the attempt ended in | safe, idempotent, keyed | anything else |
//! |---|---|---|
//! | a rejection by a layer of ours, a connection that was not made, a TLS handshake that broke off, `REFUSED_STREAM` | again | again: it never ran |
//! | 425 Too Early | again | again: RFC 8470 §5.2 has the server not process it |
//! | 403 and 413 with a hint, 408, 429, 503 | again | **no** |
//! | a time-out, a connection that broke, 500, 502, 504 | again | **no** |
//! | 421 Misdirected Request | no: the same connection would be asked | no |
//! | a certificate that is not accepted | no: it would be the same | no |
//!
//! That a 503 to a POST is not repeated is deliberate. RFC 9110 §9.2.2 asks for "some means to detect that
//! the original request was never applied", and a 503 is none: a proxy answers so for a server that broke
//! off in the middle of the request. Nor is a 429, which a server behind ours may have caused, or a 408,
//! which a handler that reads its body as it goes may send when half the work is done. Who knows that a server
//! means *not begun* by it says so with a [`Classify`](resilience_core::Classify) type of their own, whose
//! `may_have_run` is asked.

mod key;

pub use key::{IDEMPOTENCY_KEY, IdempotencyKey};

use http::{Extensions, HeaderMap, Method};

/// What happens if a request runs twice.
///
/// As an extension of a request it takes the place of what the method says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Idempotency {
    /// Nothing happens at all: it only reads (RFC 9110 §9.2.1).
    Safe,
    /// The same as if it ran once (RFC 9110 §9.2.2).
    Idempotent,
    /// The server keeps it from running twice, by this key.
    Keyed(IdempotencyKey),
    /// It runs twice.
    NotIdempotent,
}

impl Idempotency {
    /// What the method says by itself. A method that is not in RFC 9110 is not idempotent.
    #[must_use]
    pub fn of_method(method: &Method) -> Idempotency {
        match *method {
            Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE => Idempotency::Safe,
            Method::PUT | Method::DELETE => Idempotency::Idempotent,
            _ => Idempotency::NotIdempotent,
        }
    }

    /// What is declared in the extensions; or else by an `Idempotency-Key` header; or else by the method.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap, extensions: &Extensions) -> Idempotency {
        extensions.get().cloned().unwrap_or_else(|| Idempotency::of_head(method, headers))
    }

    /// What the header says, or else the method.
    pub(crate) fn of_head(method: &Method, headers: &HeaderMap) -> Idempotency {
        if let Some(key) = headers.get(IDEMPOTENCY_KEY).and_then(IdempotencyKey::from_header) {
            return Idempotency::Keyed(key);
        }
        Idempotency::of_method(method)
    }

    /// Whether no harm is done if it runs twice.
    #[must_use]
    pub const fn may_run_twice(&self) -> bool {
        !matches!(self, Idempotency::NotIdempotent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_what_the_rfc_says() {
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
    fn what_is_declared_holds() {
        let mut extensions = Extensions::new();
        extensions.insert(Idempotency::NotIdempotent);
        let of = Idempotency::of(&Method::GET, &HeaderMap::new(), &extensions);
        assert_eq!(of, Idempotency::NotIdempotent);
        extensions.insert(Idempotency::Idempotent);
        let of = Idempotency::of(&Method::POST, &HeaderMap::new(), &extensions);
        assert!(of.may_run_twice());
    }
}
