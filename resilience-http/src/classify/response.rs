//! Outcomes of requests that may or may not run twice.

use std::error::Error as StdError;

use http::{HeaderMap, StatusCode};
use resilience_core::{AsOutcome, CarriesRejection, Classify, Error, Outcome, Rejection};

use super::StatusClassifier;
use super::failure::{BoxError, TransportError, TransportFailure};
use super::grpc::{GrpcClassifier, is_grpc};

/// [`StatusClassifier`]'s table for answers ([`GrpcClassifier`]'s for gRPC's), [`TransportFailure`]'s for errors, and for both whether the
/// request may have had an effect: the [table](crate::idempotency#what-is-sent-again) of what a request that
/// is not idempotent is sent again after. A boxed error is read through its chain of sources.
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

/// What a response is classified by.
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
    /// Reads the results of a client that returns redirects.
    #[must_use]
    pub const fn new() -> HttpClassifier {
        HttpClassifier { follows_redirects: false }
    }

    /// Reads the results of a client that follows redirects itself: no connection, or a 425, may be about a second
    /// request, and the server of the first may have run it. So everything that was sent may have run.
    #[must_use]
    pub const fn follows_redirects(mut self) -> HttpClassifier {
        self.follows_redirects = true;
        self
    }

    pub(crate) fn outcome(self, result: Result<Head<'_>, &impl Ending>) -> Outcome {
        match result {
            Ok(Head { status, headers, is_grpc: true }) => GrpcClassifier.outcome(status, headers),
            Ok(Head { status, headers, is_grpc: false }) => {
                StatusClassifier.outcome(status, headers)
            }
            Err(error) => match error.rejected() {
                Some(rejection) => rejection.as_outcome(),
                None => error.failure().as_outcome(),
            },
        }
    }

    pub(crate) fn ran(self, result: Result<StatusCode, &impl Ending>) -> bool {
        match result {
            // RFC 8470 §5.2, of the server that answered: the one before it may have run the request (303).
            Ok(status) => self.follows_redirects || status != StatusCode::TOO_EARLY,
            Err(error) => match (error.rejected(), error.failure()) {
                (Some(rejection), _) => rejection.may_have_run(),
                (None, TransportFailure::Builder | TransportFailure::NoHost) => false,
                (None, failure) => self.follows_redirects || failure.may_have_run(),
            },
        }
    }
}

/// Implements `Classify` for a type of response and one of error.
macro_rules! classify {
    ([$($generics:tt)*] $response:ty, $error:ty) => {
        impl<$($generics)*> Classify<$response, $error> for HttpClassifier {
            fn classify(&self, result: Result<&$response, &$error>) -> Outcome {
                self.outcome(result.map(|it| Head::of(it.status(), it.headers())))
            }

            fn may_have_run(&self, result: Result<&$response, &$error>) -> bool {
                self.ran(result.map(<$response>::status))
            }

            fn as_error<'e>(&self, error: &'e $error) -> Option<&'e (dyn StdError + 'static)> {
                error.as_error()
            }
        }
    };
}
classify!([B] http::Response<B>, Error<TransportError>);
classify!([B] http::Response<B>, BoxError);
#[cfg(feature = "reqwest")]
classify!([] reqwest::Response, Error<TransportError>);
#[cfg(feature = "reqwest")]
classify!([] reqwest::Response, BoxError);

/// An error of a transport, or a rejection: typed, or in a box in whose chain either is looked for.
pub(crate) trait Ending {
    fn rejected(&self) -> Option<&Rejection>;
    fn failure(&self) -> TransportFailure;
}

impl Ending for Error<TransportError> {
    fn rejected(&self) -> Option<&Rejection> {
        match self {
            Error::Service(error) => error.kept_here(),
            Error::Rejected(rejection) => Some(rejection),
        }
    }

    fn failure(&self) -> TransportFailure {
        match self {
            Error::Service(error) => error.failure(),
            Error::Rejected(_) => TransportFailure::Other,
        }
    }
}

impl Ending for BoxError {
    fn rejected(&self) -> Option<&Rejection> {
        self.rejection()
    }

    fn failure(&self) -> TransportFailure {
        let wrapped = self.downcast_ref().map(TransportError::failure);
        wrapped.unwrap_or_else(|| TransportFailure::of(&**self))
    }
}
