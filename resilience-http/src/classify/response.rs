//! The classifier that also decides which failed requests may have been processed.

use std::error::Error as StdError;

use http::{HeaderMap, StatusCode};
use resilience_core::{AsOutcome, CarriesRejection, Classify, Error, Outcome, Rejection};

use super::StatusClassifier;
use super::failure::{BoxError, TransportError, TransportFailure};
use super::grpc::{GrpcClassifier, is_grpc};

/// The standard classifier of a client: the tables of [`StatusClassifier`] for responses
/// ([`GrpcClassifier`] for gRPC) and of [`TransportFailure`] for errors. It also decides which
/// failed requests may have had an effect, by the [table of retried
/// attempts](crate::idempotency#which-attempts-are-retried). A boxed error is read through its
/// chain of sources.
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

/// The parts of a response that are used for its classification.
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
    /// Creates a classifier for a client that returns redirects to its caller.
    #[must_use]
    pub const fn new() -> HttpClassifier {
        HttpClassifier { follows_redirects: false }
    }

    /// Adapts the classifier to a client that follows redirects itself. A failed connect, or a 425,
    /// may belong to a second request, after the server of the first has processed it. Everything
    /// that was sent is therefore taken as possibly processed.
    #[must_use]
    pub const fn follows_redirects(mut self) -> HttpClassifier {
        self.follows_redirects = true;
        self
    }

    pub(crate) fn outcome(self, result: Result<Head<'_>, &impl CallError>) -> Outcome {
        match result {
            Ok(Head { status, headers, is_grpc: true }) => GrpcClassifier.outcome(status, headers),
            Ok(Head { status, headers, is_grpc: false }) => {
                StatusClassifier.outcome(status, headers)
            }
            Err(error) => match error.rejection() {
                Some(rejection) => rejection.as_outcome(),
                None => error.failure().as_outcome(),
            },
        }
    }

    pub(crate) fn sent_may_have_run(self, result: Result<StatusCode, &impl CallError>) -> bool {
        match result {
            // RFC 8470 §5.2 binds only the server that sent the 425: the server before a redirect
            // (303) may have processed the request.
            Ok(status) => self.follows_redirects || status != StatusCode::TOO_EARLY,
            Err(error) => match (error.rejection(), error.failure()) {
                (Some(rejection), _) => rejection.may_have_run(),
                (None, TransportFailure::Builder | TransportFailure::NoHost) => false,
                (None, failure) => self.follows_redirects || failure.may_have_run(),
            },
        }
    }
}

/// Implements `Classify` for a type of response and a type of error.
macro_rules! classify {
    ([$($generics:tt)*] $response:ty, $error:ty) => {
        impl<$($generics)*> Classify<$response, $error> for HttpClassifier {
            fn classify(&self, result: Result<&$response, &$error>) -> Outcome {
                self.outcome(result.map(|it| Head::of(it.status(), it.headers())))
            }

            fn may_have_run(&self, result: Result<&$response, &$error>) -> bool {
                self.sent_may_have_run(result.map(<$response>::status))
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

/// An error of a transport, or a rejection: typed, or in the chain of sources of a boxed error.
pub(crate) trait CallError {
    fn rejection(&self) -> Option<&Rejection>;
    fn failure(&self) -> TransportFailure;
}

impl CallError for Error<TransportError> {
    fn rejection(&self) -> Option<&Rejection> {
        match self {
            Error::Service(error) => error.local_rejection(),
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

impl CallError for BoxError {
    fn rejection(&self) -> Option<&Rejection> {
        CarriesRejection::rejection(self)
    }

    fn failure(&self) -> TransportFailure {
        let wrapped = self.downcast_ref().map(TransportError::failure);
        wrapped.unwrap_or_else(|| TransportFailure::of(&**self))
    }
}
