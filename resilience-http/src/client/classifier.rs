//! The classifier of a client: the standard tables, or a custom one.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use resilience_core::{AsOutcome, Classify, Error, Outcome, RetryHint};

use super::response::{HttpResponse, TransportResponse};
use crate::classify::{Head, HttpClassifier, TransportError, grpc};

/// The head of a response, as input of a client's classifier.
#[derive(Clone, Copy)]
pub struct ResponseHead<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
    is_grpc: bool,
}

impl<'a> ResponseHead<'a> {
    pub(super) fn of<A: HttpResponse>(response: &'a TransportResponse<A>) -> ResponseHead<'a> {
        let (response, is_grpc) = response.head();
        ResponseHead { status: response.status(), headers: response.headers(), is_grpc }
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the headers.
    #[must_use]
    pub const fn headers(&self) -> &'a HeaderMap {
        self.headers
    }
}

/// Uses the same tables as for a whole response.
impl Classify<ResponseHead<'_>, Error<TransportError>> for HttpClassifier {
    fn classify(&self, result: Result<&ResponseHead<'_>, &Error<TransportError>>) -> Outcome {
        self.outcome(result.map(|it| Head {
            status: it.status,
            headers: it.headers,
            is_grpc: it.is_grpc,
        }))
    }

    fn may_have_run(&self, result: Result<&ResponseHead<'_>, &Error<TransportError>>) -> bool {
        self.sent_may_have_run(result.map(|it| it.status))
    }

    fn as_error<'e>(
        &self,
        error: &'e Error<TransportError>,
    ) -> Option<&'e (dyn StdError + 'static)> {
        error.as_error()
    }
}

/// A custom classifier.
type Custom = dyn for<'a> Classify<ResponseHead<'a>, Error<TransportError>> + Send + Sync;

/// The classifier of a client. Clones share a custom classifier.
#[derive(Clone)]
pub struct ClientClassifier {
    kind: Kind,
    /// A failure may be that of a second request, after a redirect, so the first may have been
    /// processed.
    follows_redirects: bool,
}

#[derive(Clone)]
enum Kind {
    Standard(HttpClassifier),
    Custom(Arc<Custom>),
}

impl ClientClassifier {
    pub(super) const fn standard() -> ClientClassifier {
        ClientClassifier { kind: Kind::Standard(HttpClassifier::new()), follows_redirects: false }
    }

    pub(super) fn custom<K>(classifier: K) -> ClientClassifier
    where
        K: for<'a> Classify<ResponseHead<'a>, Error<TransportError>> + Send + Sync + 'static,
    {
        ClientClassifier { kind: Kind::Custom(Arc::new(classifier)), follows_redirects: false }
    }

    /// Returns `true` if a response with this head is throttled with a wait, for which the
    /// profile's limiter pauses itself. Always `false` for a custom classifier: a second, equal
    /// pause has no effect.
    pub(super) fn throttles(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let Kind::Standard(classifier) = &self.kind else { return false };
        let head = Head { status, headers, is_grpc: grpc::is_grpc(headers) };
        let outcome = classifier.outcome(Ok::<_, &Error<TransportError>>(head));
        matches!(outcome, Outcome::Throttled(RetryHint::After(_)))
    }

    /// Adapts the classifier to a service that follows redirects itself.
    pub(super) fn follows_redirects(mut self) -> ClientClassifier {
        self.follows_redirects = true;
        self
    }
}

impl<A: HttpResponse> Classify<TransportResponse<A>, Error<TransportError>> for ClientClassifier {
    fn classify(&self, result: Result<&TransportResponse<A>, &Error<TransportError>>) -> Outcome {
        let head = result.map(ResponseHead::of);
        match &self.kind {
            Kind::Standard(classifier) => {
                classifier.classify(head.as_ref().map_err(|error| *error))
            }
            Kind::Custom(classifier) => classifier.classify(head.as_ref().map_err(|error| *error)),
        }
    }

    fn may_have_run(&self, result: Result<&TransportResponse<A>, &Error<TransportError>>) -> bool {
        let head = result.map(ResponseHead::of);
        let following = HttpClassifier::new().follows_redirects();
        if self.follows_redirects
            && following
                .sent_may_have_run(head.as_ref().map(ResponseHead::status).map_err(|error| *error))
        {
            return true;
        }
        match &self.kind {
            Kind::Standard(classifier) => {
                classifier.may_have_run(head.as_ref().map_err(|error| *error))
            }
            Kind::Custom(classifier) => {
                classifier.may_have_run(head.as_ref().map_err(|error| *error))
            }
        }
    }

    fn as_error<'e>(
        &self,
        error: &'e Error<TransportError>,
    ) -> Option<&'e (dyn StdError + 'static)> {
        error.as_error()
    }
}

impl fmt::Debug for ClientClassifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Standard(classifier) => classifier.fmt(f),
            Kind::Custom(_) => f.debug_struct("Custom").finish_non_exhaustive(),
        }
    }
}

impl fmt::Debug for ResponseHead<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseHead").field("status", &self.status).finish_non_exhaustive()
    }
}
