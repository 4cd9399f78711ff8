//! Classification of gRPC calls by the status in headers and trailers.
//!
//! A failed gRPC call is a `200 OK`. Its result is in `grpc-status`, in the head of a
//! *trailers-only* response, which is how most failures arrive, or in the trailers after the body.
//!
//! | `grpc-status` | outcome | why |
//! |---|---|---|
//! | 0 OK, or none in the head | success | the result is known at the end of the body |
//! | 14 UNAVAILABLE | transient | the one code that all of gRPC's own policies retry |
//! | 10 ABORTED, 13 INTERNAL, 2 UNKNOWN | transient | they do not depend on the request |
//! | 8 RESOURCE_EXHAUSTED | throttled | the server requests fewer calls |
//! | 4 DEADLINE_EXCEEDED | timed out | the call may still be running |
//! | 1 CANCELLED | abandoned | the caller gave up |
//! | all others | permanent | the request is at fault |
//! | not a number | transient | gRPC reads it as UNKNOWN |
//!
//! A failure carries the [retry hint](crate::hints::grpc) of the response, which is more precise
//! than the code: a DEADLINE_EXCEEDED with a pushback is transient. `x-resilience-retry: never` is
//! read as in every response.
//!
//! A response with another status than 200 comes from a proxy. It is mapped by gRPC's own table
//! (`http-grpc-status-mapping`): 400 is INTERNAL, 401 UNAUTHENTICATED, 403 PERMISSION_DENIED, 404
//! UNIMPLEMENTED, 429, 502, 503 and 504 are UNAVAILABLE, and everything else is UNKNOWN.
//!
//! ```
//! use http::Response;
//! use resilience_core::{Classify, Outcome};
//! use resilience_http::classify::GrpcClassifier;
//! use std::convert::Infallible;
//!
//! let unavailable = Response::builder().header("grpc-status", "14").body(())?;
//! let outcome = Classify::<_, Infallible>::classify(&GrpcClassifier, Ok(&unavailable));
//! assert_eq!(outcome, Outcome::transient());
//! # Ok::<_, http::Error>(())
//! ```

use std::error::Error as StdError;

#[cfg(any(feature = "layers", feature = "transport"))]
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Response, StatusCode};
use resilience_core::{AsOutcome, Classify, Outcome, RetryHint};

use crate::hints::grpc;
use crate::propagate::attempt;

pub(crate) const STATUS: &str = "grpc-status";

/// A classifier of gRPC responses by their heads. See the [module's table](self).
///
/// Classifies `http::Response`s of a service with an error type that implements [`AsOutcome`]: for
/// a channel, its error wrapped in a `TransportError` (feature `transport`).
#[derive(Debug, Clone, Copy, Default)]
pub struct GrpcClassifier;

impl GrpcClassifier {
    /// Returns the outcome of a response with this head.
    #[must_use]
    pub fn outcome(&self, status: StatusCode, headers: &HeaderMap) -> Outcome {
        match code_in(headers) {
            None if status == StatusCode::OK => Outcome::Success,
            code => hinted(self.of_code(code.unwrap_or_else(|| code_of(status))), headers),
        }
    }

    /// Returns the outcome of a call that ended with these trailers. Without a status it is that of
    /// UNKNOWN.
    #[must_use]
    pub fn of_trailers(&self, trailers: &HeaderMap) -> Outcome {
        hinted(self.of_code(code_in(trailers).unwrap_or(UNKNOWN)), trailers)
    }

    /// Returns the outcome of a call that ended in this code.
    #[must_use]
    pub fn of_code(&self, code: u32) -> Outcome {
        match code {
            0 => Outcome::Success,
            1 => Outcome::Abandoned,
            4 => Outcome::TimedOut,
            8 => Outcome::Throttled(RetryHint::None),
            3 | 5..=7 | 9 | 11 | 12 | 15 | 16 => Outcome::Permanent,
            // UNKNOWN, ABORTED, INTERNAL, UNAVAILABLE, and undefined codes.
            _ => Outcome::transient(),
        }
    }
}

const UNKNOWN: u32 = 2;

fn code_in(headers: &HeaderMap) -> Option<u32> {
    let number = |value: &http::HeaderValue| value.to_str().ok()?.parse().ok();
    headers.get(STATUS).map(|value| number(value).unwrap_or(UNKNOWN))
}

fn hinted(outcome: Outcome, headers: &HeaderMap) -> Outcome {
    if outcome.failure().is_none() {
        return outcome;
    }
    with_hint(outcome, headers, grpc::hint(headers))
}

/// Returns the failure `outcome` with `hint`, or with `Never` if `headers` forbid a retry.
pub(super) fn with_hint(outcome: Outcome, headers: &HeaderMap, hint: RetryHint) -> Outcome {
    let is_forbidden = attempt::forbids_retry(headers);
    match if is_forbidden { RetryHint::Never } else { hint } {
        RetryHint::None => outcome,
        hint if matches!(outcome, Outcome::Throttled(_)) => Outcome::Throttled(hint),
        hint => Outcome::Transient(hint),
    }
}

pub(super) fn code_of(status: StatusCode) -> u32 {
    match status.as_u16() {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => UNKNOWN,
    }
}

/// Returns `true` for `application/grpc`, `application/grpc+proto` and the like, but not for
/// `application/grpc-web`.
#[cfg(any(feature = "layers", feature = "transport"))]
pub(crate) fn is_grpc(headers: &HeaderMap) -> bool {
    const GRPC: &[u8] = b"application/grpc";
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    kind.and_then(|kind| kind.split_at_checked(GRPC.len())).is_some_and(|(kind, rest)| {
        kind.eq_ignore_ascii_case(GRPC) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

impl<B, E: AsOutcome> Classify<Response<B>, E> for GrpcClassifier {
    fn classify(&self, result: Result<&Response<B>, &E>) -> Outcome {
        // See docs/decisions/0030-a-rejection-survives-tonic.md.
        match result {
            Ok(response) => self.outcome(response.status(), response.headers()),
            Err(error) => error.as_outcome(),
        }
    }

    fn may_have_run(&self, result: Result<&Response<B>, &E>) -> bool {
        result.map_or_else(AsOutcome::may_have_run, |_| true)
    }

    fn as_error<'e>(&self, error: &'e E) -> Option<&'e (dyn StdError + 'static)> {
        error.as_error()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcome(status: u16, code: Option<&str>) -> Outcome {
        let mut headers = HeaderMap::new();
        if let Some(code) = code {
            headers.insert("grpc-status", code.parse().unwrap());
        }
        GrpcClassifier.outcome(StatusCode::from_u16(status).unwrap(), &headers)
    }

    #[test]
    fn every_code_has_its_row() {
        for code in 0..=20 {
            let expected = match code {
                0 => Outcome::Success,
                1 => Outcome::Abandoned,
                4 => Outcome::TimedOut,
                8 => Outcome::Throttled(RetryHint::None),
                2 | 10 | 13 | 14 | 17.. => Outcome::transient(),
                _ => Outcome::Permanent,
            };
            assert_eq!(outcome(200, Some(&code.to_string())), expected, "{code}");
        }
    }

    #[test]
    fn a_status_that_is_no_number_is_unknown() {
        for code in ["", "-1", "14.0", "4294967296", "UNAVAILABLE"] {
            assert_eq!(outcome(200, Some(code)), Outcome::transient(), "{code:?}");
        }
    }

    #[test]
    fn a_failure_carries_the_retry_hint() {
        let with = |code: &'static str, (name, value): (&'static str, &'static str)| {
            let pairs = [(STATUS, code), (name, value)];
            let pairs = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            let headers = HeaderMap::from_iter(pairs);
            let outcome = GrpcClassifier.outcome(StatusCode::OK, &headers);
            assert_eq!(GrpcClassifier.of_trailers(&headers), outcome);
            outcome
        };
        let later = "grpc-retry-pushback-ms";
        let never = ("x-resilience-retry", "never");
        let second = RetryHint::After(std::time::Duration::from_secs(1));
        for (code, pair, expected) in [
            ("14", (later, "1000"), Outcome::Transient(second)),
            ("8", (later, "1000"), Outcome::Throttled(second)),
            ("4", (later, "1000"), Outcome::Transient(second)),
            ("14", (later, "-1"), Outcome::Transient(RetryHint::Never)),
            ("8", never, Outcome::Throttled(RetryHint::Never)),
            ("0", (later, "1000"), Outcome::Success),
            ("5", (later, "1000"), Outcome::Permanent),
        ] {
            assert_eq!(with(code, pair), expected, "{code} {pair:?}");
        }
        assert_eq!(GrpcClassifier.of_trailers(&HeaderMap::new()), Outcome::transient());
    }

    #[test]
    fn a_response_without_grpc_status_is_mapped_by_its_http_status() {
        assert_eq!(outcome(200, None), Outcome::Success);
        for (status, expected) in [
            (400, Outcome::transient()),
            (401, Outcome::Permanent),
            (403, Outcome::Permanent),
            (404, Outcome::Permanent),
            (429, Outcome::transient()),
            (503, Outcome::transient()),
            (500, Outcome::transient()),
            (302, Outcome::transient()),
        ] {
            assert_eq!(outcome(status, None), expected, "{status}");
        }
        // A status that is present wins over the proxy's HTTP status.
        assert_eq!(outcome(503, Some("5")), Outcome::Permanent);
    }
}
