//! Outcomes of requests that may or may not run twice.

use http::{HeaderMap, StatusCode};
use resilience_core::{AsOutcome, Classify, Error, Outcome};

use super::StatusClassifier;
use super::failure::{TransportError, TransportFailure};
use super::grpc::{GrpcClassifier, is_grpc};

/// [`StatusClassifier`]'s table for answers ([`GrpcClassifier`]'s for gRPC's), [`TransportFailure`]'s for errors, and for both whether the
/// request may have had an effect: the [table](crate::idempotency#what-is-sent-again) of what a request that
/// is not idempotent is sent again after.
///
/// ```
/// use http::{Response, StatusCode};
/// use resilience_core::{Classify, Error};
/// use resilience_http::classify::{HttpClassifier, TransportError};
///
/// let may_have_run = |status| {
///     let response = Response::builder().status(status).body(())?;
///     let result = Ok::<_, Error<TransportError>>(response);
///     Ok::<_, http::Error>(HttpClassifier::new().may_have_run(result.as_ref()))
/// };
/// assert!(may_have_run(StatusCode::SERVICE_UNAVAILABLE)?);
/// assert!(!may_have_run(StatusCode::TOO_EARLY)?);
/// # Ok::<_, http::Error>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct HttpClassifier {
    follows_redirects: bool,
}

/// What an answer is classified by.
pub(crate) struct Head<'a> {
    pub(crate) status: StatusCode,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) is_grpc: bool,
}

impl Head<'_> {
    fn of(status: StatusCode, headers: &HeaderMap) -> Head<'_> {
        Head { status, headers, is_grpc: is_grpc(headers) }
    }
}

impl HttpClassifier {
    /// For a client that hands redirects on.
    #[must_use]
    pub const fn new() -> HttpClassifier {
        HttpClassifier { follows_redirects: false }
    }

    /// For a client that follows redirects by itself: that no connection was made proves nothing any more,
    /// since it may have been the second one, and the first server answered.
    #[must_use]
    pub const fn follows_redirects(mut self) -> HttpClassifier {
        self.follows_redirects = true;
        self
    }

    pub(crate) fn outcome(self, result: Result<Head<'_>, &Error<TransportError>>) -> Outcome {
        match result {
            Ok(Head { status, headers, is_grpc: true }) => GrpcClassifier.outcome(status, headers),
            Ok(Head { status, headers, is_grpc: false }) => {
                StatusClassifier.outcome(status, headers)
            }
            Err(error) => error.as_outcome(),
        }
    }

    pub(crate) fn ran(self, result: Result<StatusCode, &Error<TransportError>>) -> bool {
        match result {
            // RFC 8470 §5.2.
            Ok(status) => status != StatusCode::TOO_EARLY,
            Err(Error::Service(error)) => match error.failure() {
                TransportFailure::Builder | TransportFailure::NoHost => false,
                failure => self.follows_redirects || failure.may_have_run(),
            },
            Err(Error::Rejected(rejection)) => rejection.may_have_run(),
        }
    }
}

impl<B> Classify<http::Response<B>, Error<TransportError>> for HttpClassifier {
    fn classify(&self, result: Result<&http::Response<B>, &Error<TransportError>>) -> Outcome {
        self.outcome(result.map(|response| Head::of(response.status(), response.headers())))
    }

    fn may_have_run(&self, result: Result<&http::Response<B>, &Error<TransportError>>) -> bool {
        self.ran(result.map(http::Response::status))
    }
}

#[cfg(feature = "reqwest")]
impl Classify<reqwest::Response, Error<TransportError>> for HttpClassifier {
    fn classify(&self, result: Result<&reqwest::Response, &Error<TransportError>>) -> Outcome {
        self.outcome(result.map(|response| Head::of(response.status(), response.headers())))
    }

    fn may_have_run(&self, result: Result<&reqwest::Response, &Error<TransportError>>) -> bool {
        self.ran(result.map(reqwest::Response::status))
    }
}
