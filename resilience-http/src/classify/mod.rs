//! Classification of HTTP responses and transport errors.
//!
//! All policies share one table, since a client whose retry, breaker and budget each keep their own
//! list of bad statuses ends up with three lists. [`StatusClassifier`] is that table as a
//! [`Classify`] type, for a retry policy and for every other policy that needs the outcome of a
//! call.
//!
//! | status | outcome | why |
//! |---|---|---|
//! | 1xx, 2xx, 3xx | success | a response; the client follows redirects |
//! | 429 | throttled, with the server's hint | the server requests fewer calls |
//! | 403 with `Retry-After` | throttled, with the hint | a rate limit under another status, like GitHub's secondary limit |
//! | 503 | transient, with the server's hint | a state of the server that will pass |
//! | 408, 425 | transient, with `Retry-After` | the server gave the request up before it began to process it |
//! | 413 with `Retry-After` | transient, with the hint | the condition is temporary (RFC 9110 §15.5.14) |
//! | 504 | transient, with `Retry-After` | a gateway responded in time |
//! | 500, 502, 507 and every 5xx that is not in this table | transient, with `Retry-After` | most often passes; RFC 9110 §15 reads an unknown 5xx, such as a CDN's 520 to 530, as a 500 |
//! | 501, 505, 506, 508, 510, 511 | permanent | the server lacks the ability, which will not change |
//! | other 4xx | permanent | the same request gets the same response; an unknown one is read as a 400 |
//! | 600 and above | unknown | no class of HTTP (RFC 9110 §15) |
//!
//! 408 and 504 are not [`TimedOut`](resilience_core::Outcome::TimedOut): that outcome means that no
//! response arrived in time, which is the most expensive failure for a budget, and here a response
//! did arrive.
//!
//! The hint is `Retry-After`, or else, for 429 and 503, an exhausted rate limit. The [table of
//! hints](crate::hints#effect-by-status) lists their other effects.
//!
//! A failure with [`x-resilience-retry: never`](crate::propagate::attempt::RETRY) keeps its outcome
//! and is not retried, whatever the other hints: a service further down [has retried
//! already](crate::propagate).
//!
//! ```
//! use http::Response;
//! use resilience_core::{Classify, Outcome};
//! use resilience_http::StatusClassifier;
//! use std::convert::Infallible;
//! use std::time::Duration;
//!
//! let busy = Response::builder().status(429).header("retry-after", "2").body(())?;
//! let outcome = Classify::<_, Infallible>::classify(&StatusClassifier, Ok(&busy));
//! assert_eq!(outcome, Outcome::throttled(Duration::from_secs(2)));
//! # Ok::<_, http::Error>(())
//! ```

#[cfg(feature = "transport")]
mod failure;
pub mod grpc;
#[cfg(feature = "transport")]
mod response;
#[cfg(feature = "grpc")]
mod status;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "reqwest")]
mod transport;

#[cfg(feature = "client")]
pub(crate) use failure::BoxError;
#[cfg(feature = "transport")]
pub use failure::{TransportError, TransportFailure};
pub use grpc::GrpcClassifier;
#[cfg(feature = "client")]
pub(crate) use response::Head;
#[cfg(feature = "transport")]
pub use response::HttpClassifier;
#[cfg(feature = "grpc")]
pub use status::to_status;
#[cfg(feature = "reqwest")]
pub use transport::transport_outcome;

use std::error::Error as StdError;

use http::{HeaderMap, Response, StatusCode};
use resilience_core::{AsOutcome, Classify, Outcome, RetryHint};

use crate::clock;
use crate::hints::Hints;
use crate::propagate::attempt;

/// A classifier of HTTP responses by their status. See the [module's table](self).
///
/// Classifies `http::Response`s of a service with an error type that implements [`AsOutcome`], and
/// with the feature `reqwest` reqwest's responses and errors. Only heads are read: a body that
/// breaks off is an error of its reader, so read the body inside the attempt.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatusClassifier;

impl StatusClassifier {
    /// Returns the outcome of a response with this head.
    #[must_use]
    pub fn outcome(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        match status.as_u16() {
            100..400 => Outcome::Success,
            status => failure(status, headers),
        }
    }
}

// `#[cold]`: most responses are successes, and their headers are not read.
#[cold]
fn failure(status: u16, headers: &HeaderMap) -> Outcome {
    let hint = Hints::from_headers(headers, clock::wall_now()).retry_hint_of(status);
    let is_forbidden = attempt::forbids_retry(headers);
    let waits = if is_forbidden { RetryHint::Never } else { hint };
    match status {
        429 => Outcome::Throttled(waits),
        403 if hint != RetryHint::None => Outcome::Throttled(waits),
        501 | 505 | 506 | 508 | 510 | 511 => Outcome::Permanent,
        408 | 425 | 500..600 => Outcome::Transient(waits),
        413 if hint != RetryHint::None => Outcome::Transient(waits),
        400..500 => Outcome::Permanent,
        _ => Outcome::Unknown,
    }
}

impl<B, E: AsOutcome> Classify<Response<B>, E> for StatusClassifier {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        match result {
            Ok(response) => self.outcome(response.status(), response.headers()),
            Err(error) => error.as_outcome(),
        }
    }

    fn as_error<'e>(&self, error: &'e E) -> Option<&'e (dyn StdError + 'static)> {
        error.as_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::RETRY_AFTER;
    use std::io;
    use std::time::Duration;

    fn outcome(status: u16, retry_after: Option<&str>) -> Outcome {
        let value = retry_after.map(|value| (RETRY_AFTER, value.parse().unwrap()));
        let headers = HeaderMap::from_iter(value);
        StatusClassifier.outcome(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn every_status_has_its_row() {
        for status in 100..1_000 {
            let expected = match status {
                100..400 => Outcome::Success,
                429 => Outcome::Throttled(RetryHint::None),
                501 | 505 | 506 | 508 | 510 | 511 => Outcome::Permanent,
                408 | 425 | 500..600 => Outcome::transient(),
                400..500 => Outcome::Permanent,
                _ => Outcome::Unknown,
            };
            assert_eq!(outcome(status, None), expected, "{status}");
        }
    }

    #[test]
    fn retry_after_is_used_by_status() {
        let hint = RetryHint::After(Duration::from_secs(9));
        for status in 100..1_000 {
            let expected = match status {
                403 | 429 => Outcome::Throttled(hint),
                501 | 505 | 506 | 508 | 510 | 511 => Outcome::Permanent,
                408 | 413 | 425 | 500..600 => Outcome::Transient(hint),
                _ => outcome(status, None),
            };
            assert_eq!(outcome(status, Some("9")), expected, "{status}");
        }
    }

    #[test]
    fn exhausted_counters_are_a_hint_for_429_and_503() {
        let hint = RetryHint::After(Duration::from_secs(9));
        let of = |status: u16, remaining: &str| {
            let pairs = [("x-ratelimit-remaining", remaining), ("x-ratelimit-reset", "9")];
            let pairs = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let headers = HeaderMap::from_iter(pairs);
            StatusClassifier.outcome(StatusCode::from_u16(status).unwrap(), &headers)
        };
        for status in 100..1_000 {
            let expected = match status {
                429 => Outcome::Throttled(hint),
                503 => Outcome::Transient(hint),
                _ => outcome(status, None),
            };
            assert_eq!(of(status, "0"), expected, "{status}");
            assert_eq!(of(status, "1"), outcome(status, None), "{status}: not exhausted");
        }
    }

    #[test]
    fn never_applies_to_every_failure() {
        for status in 100..1_000 {
            let headers =
                HeaderMap::from_iter([(attempt::RETRY, attempt::NEVER), (RETRY_AFTER, 9.into())]);
            let code = StatusCode::from_u16(status).unwrap();
            let forbidden = StatusClassifier.outcome(code, &headers);
            let plain = outcome(status, Some("9"));
            let known = plain.failure().is_some() && plain != Outcome::Unknown;
            let hint = if known { RetryHint::Never } else { RetryHint::None };
            let found = (forbidden.failure(), forbidden.hint());
            assert_eq!(found, (plain.failure(), hint), "{status}");
        }
    }

    #[test]
    fn an_invalid_hint_does_not_change_the_outcome() {
        assert_eq!(outcome(429, Some("-1")), Outcome::Throttled(RetryHint::None));
        assert_eq!(outcome(503, Some("soon")), Outcome::transient());
        assert_eq!(outcome(403, Some("soon")), Outcome::Permanent);
        assert_eq!(outcome(413, Some("1.5")), Outcome::Permanent);
    }

    #[test]
    fn an_error_has_its_own_outcome() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let classify = |error| StatusClassifier.classify(Result::<&Response<()>, _>::Err(error));
        assert_eq!(classify(&reset), Outcome::transient());
    }
}
