//! What an answer means for trying again.
//!
//! One table, because a client whose retry, breaker and budget each keep their own list of bad
//! statuses ends up with three lists. [`StatusClassifier`] is that table as a
//! [`Classify`]: give it to a retry policy, and to everything else that
//! asks how a call went.
//!
//! | status | outcome | why |
//! |---|---|---|
//! | 1xx, 2xx, 3xx | success | an answer; a redirect is the client's to follow |
//! | 429 | throttled, with the server's hint | fewer calls were asked for |
//! | 503 | transient, with the server's hint | the server says that it will pass |
//! | 408, 425 | transient | the server gave the request up before it began on it |
//! | 504 | transient | a gateway answered in time; *we* waited for nobody |
//! | 500, 502, 507 and every 5xx that is not listed here | transient | most often passes; RFC 9110 §15 reads an unknown 5xx, such as a CDN's 520 to 530, as a 500 |
//! | 501, 505, 506, 508, 510, 511 | permanent | the server describes what it cannot do, not how it is |
//! | other 4xx | permanent | the same request gets the same response; an unknown one is read as a 400 |
//! | 600 and above | unknown | no class of HTTP (RFC 9110 §15) |
//!
//! 408 and 504 are not [`TimedOut`](resilience_core::Outcome::TimedOut): that outcome means that
//! nothing came back in time, the dearest kind of failure to a budget, and here something did.
//!
//! A hint is `Retry-After`, or else a rate limit that is [used up](crate::hints). It counts with 429 and 503 only. RFC 9110 also gives it a meaning with redirects,
//! which is none of a retry's business, and anywhere else it is noise.
//!
//! A failure that says [`x-resilience-retry: never`](crate::propagate::attempt::RETRY) stays what it is, and
//! is not tried again, whatever else it says: somebody further down [has done so](crate::propagate).
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
mod answer;
#[cfg(feature = "transport")]
mod failure;
pub mod grpc;
#[cfg(feature = "grpc")]
mod status;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "reqwest")]
mod transport;

#[cfg(feature = "client")]
pub(crate) use answer::Head;
#[cfg(feature = "transport")]
pub use answer::HttpClassifier;
#[cfg(feature = "client")]
pub(crate) use failure::BoxError;
#[cfg(feature = "transport")]
pub use failure::{TransportError, TransportFailure};
pub use grpc::GrpcClassifier;
#[cfg(feature = "grpc")]
pub use status::to_status;
#[cfg(feature = "reqwest")]
pub use transport::transport_outcome;

use std::error::Error as StdError;

use http::{HeaderMap, Response, StatusCode};
use resilience_core::outcome::RetryHint;
use resilience_core::{AsOutcome, Classify, Outcome};

use crate::clock;
use crate::hints::Hints;
use crate::propagate::attempt;

/// Reads outcomes off HTTP statuses. See the [module's table](self).
///
/// It classifies `http::Response`s whose service's error speaks for itself, and with the feature
/// `reqwest` reqwest's responses and errors. It looks at heads only: a body that breaks off is an
/// error of whoever reads it, so read it inside the attempt.
#[derive(Debug, Clone, Copy, Default)]
pub struct StatusClassifier;

impl StatusClassifier {
    /// The outcome of an answer with this head.
    #[must_use]
    pub fn outcome(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        match status.as_u16() {
            100..400 => Outcome::Success,
            failed => failure(failed, headers),
        }
    }
}

/// Headers are read only now: most answers are good.
#[cold]
fn failure(status: u16, headers: &HeaderMap) -> Outcome {
    let never = attempt::says_never(headers);
    let said = if never { RetryHint::Never } else { RetryHint::None };
    let hint = || match said {
        RetryHint::Never => said,
        _ => Hints::from_headers(headers, clock::wall_now()).retry_hint(),
    };
    match status {
        429 => Outcome::Throttled(hint()),
        503 => Outcome::Transient(hint()),
        501 | 505 | 506 | 508 | 510 | 511 => Outcome::Permanent,
        408 | 425 | 500..600 => Outcome::Transient(said),
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

    /// CONFORMANCE E25: only 429 and 503 are read.
    #[test]
    fn only_429_and_503_are_asked_when_to_come_back() {
        let hint = RetryHint::After(Duration::from_secs(9));
        for status in 100..1_000 {
            let expected = if matches!(status, 429 | 503) { hint } else { RetryHint::None };
            assert_eq!(outcome(status, Some("9")).hint(), expected, "{status}");
        }
    }

    #[test]
    fn never_holds_for_every_failure() {
        for status in 100..1_000 {
            let headers =
                HeaderMap::from_iter([(attempt::RETRY, attempt::NEVER), (RETRY_AFTER, 9.into())]);
            let code = StatusCode::from_u16(status).unwrap();
            let told = StatusClassifier.outcome(code, &headers);
            let plain = outcome(status, None);
            let known = plain.failure().is_some() && plain != Outcome::Unknown;
            let hint = if known { RetryHint::Never } else { RetryHint::None };
            assert_eq!((told.failure(), told.hint()), (plain.failure(), hint), "{status}");
        }
    }

    #[test]
    fn a_bad_hint_leaves_the_status_as_it_is() {
        assert_eq!(outcome(429, Some("-1")), Outcome::Throttled(RetryHint::None));
        assert_eq!(outcome(503, Some("soon")), Outcome::transient());
    }

    #[test]
    fn an_error_speaks_for_itself() {
        let reset = io::Error::from(io::ErrorKind::ConnectionReset);
        let classify = |error| StatusClassifier.classify(Result::<&Response<()>, _>::Err(error));
        assert_eq!(classify(&reset), Outcome::transient());
    }
}
