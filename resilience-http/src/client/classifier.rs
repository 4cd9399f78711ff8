//! The classifier of a client: the standard tables, or the caller's own.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use http::{HeaderMap, StatusCode};
use resilience_core::{AsOutcome, Classify, Error, Outcome};

use super::answer::{Answered, HttpResponse};
use crate::classify::{Head, HttpClassifier, TransportError};

/// The head of a response, as the classifier of a client reads it.
#[derive(Clone, Copy)]
pub struct ResponseHead<'a> {
    status: StatusCode,
    headers: &'a HeaderMap,
    is_grpc: bool,
}

impl<'a> ResponseHead<'a> {
    pub(super) fn of<A: HttpResponse>(answered: &'a Answered<A>) -> ResponseHead<'a> {
        let (answer, is_grpc) = answered.head();
        ResponseHead { status: answer.status(), headers: answer.headers(), is_grpc }
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

/// Reads the same tables as for a whole response.
impl Classify<ResponseHead<'_>, Error<TransportError>> for HttpClassifier {
    fn classify(&self, result: Result<&ResponseHead<'_>, &Error<TransportError>>) -> Outcome {
        self.outcome(result.map(|it| Head {
            status: it.status,
            headers: it.headers,
            is_grpc: it.is_grpc,
        }))
    }

    fn may_have_run(&self, result: Result<&ResponseHead<'_>, &Error<TransportError>>) -> bool {
        self.ran(result.map(|it| it.status))
    }

    fn as_error<'e>(
        &self,
        error: &'e Error<TransportError>,
    ) -> Option<&'e (dyn StdError + 'static)> {
        error.as_error()
    }
}

/// A classifier of the caller's.
type Custom = dyn for<'a> Classify<ResponseHead<'a>, Error<TransportError>> + Send + Sync;

/// The classifier of all authorities of a client. Clones share one of the caller's.
#[derive(Clone)]
pub struct ClientClassifier(Kind);

#[derive(Clone)]
enum Kind {
    Standard(HttpClassifier),
    Custom(Arc<Custom>),
}

impl ClientClassifier {
    pub(super) const fn standard() -> ClientClassifier {
        ClientClassifier(Kind::Standard(HttpClassifier::new()))
    }

    pub(super) fn custom<K>(classifier: K) -> ClientClassifier
    where
        K: for<'a> Classify<ResponseHead<'a>, Error<TransportError>> + Send + Sync + 'static,
    {
        ClientClassifier(Kind::Custom(Arc::new(classifier)))
    }

    /// Follows redirects, if it is not the caller's own.
    pub(super) const fn follows_redirects(&mut self) {
        if let Kind::Standard(classifier) = &mut self.0 {
            *classifier = classifier.follows_redirects();
        }
    }
}

impl<A: HttpResponse> Classify<Answered<A>, Error<TransportError>> for ClientClassifier {
    fn classify(&self, result: Result<&Answered<A>, &Error<TransportError>>) -> Outcome {
        let head = result.map(ResponseHead::of);
        match &self.0 {
            Kind::Standard(classifier) => {
                classifier.classify(head.as_ref().map_err(|error| *error))
            }
            Kind::Custom(classifier) => classifier.classify(head.as_ref().map_err(|error| *error)),
        }
    }

    fn may_have_run(&self, result: Result<&Answered<A>, &Error<TransportError>>) -> bool {
        let head = result.map(ResponseHead::of);
        match &self.0 {
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
        match &self.0 {
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
