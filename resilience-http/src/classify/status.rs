//! `tonic::Status`: its creation from rejections and transport errors, and its classification.

use std::error::Error as StdError;
use std::sync::Arc;

use resilience_core::{AsOutcome, Classify, Error, Outcome, Rejection};
use tonic::{Code, Response, Status};

use super::GrpcClassifier;
use super::failure::{BoxError, TransportError, TransportFailure, causes};
use super::grpc::{code_of, with_hint};
use crate::hints::grpc;
use crate::server::RejectionFormat;

/// Returns the status that represents `error` to a gRPC caller, with `error` as its source.
///
/// A [`Rejection`], or an error with one in its chain of sources, has the code of [its
/// row](RejectionFormat): UNAVAILABLE, RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED, with
/// `grpc-retry-pushback-ms` in the metadata and a message without names of layers, keys or limits
/// ([`RejectionFormat::status`] can include them). An error of a transport is UNAVAILABLE, or
/// DEADLINE_EXCEEDED if no response arrived in time. A status in the chain is returned unchanged,
/// and any other error is converted by tonic (`Status::from_error`).
///
/// Use it between a tonic client and its layers. Without it, tonic converts their rejections to
/// UNKNOWN:
///
/// ```
/// use resilience_core::{Error, Rejection, RejectionKind};
/// use resilience_http::classify::{TransportError, to_status};
/// use std::time::Duration;
///
/// let open = Rejection::new(RejectionKind::CircuitOpen, "quotes").with_retry_after(Duration::from_secs(2));
/// let status = to_status(Error::<TransportError>::Rejected(open));
/// assert_eq!(status.code(), tonic::Code::Unavailable);
/// assert_eq!(status.metadata().get("grpc-retry-pushback-ms").unwrap(), "2000");
/// assert_eq!(status.message(), "a dependency is down");
/// ```
#[must_use]
pub fn to_status(error: impl Into<BoxError>) -> Status {
    let error = error.into();
    let status = causes(&*error).find_map(<dyn StdError>::downcast_ref::<Status>);
    let mut converted = match (Rejection::find(&*error), status) {
        // A status with UNKNOWN is tonic's own conversion of a rejection, which is redone here.
        (_, Some(status)) if status.code() != Code::Unknown => return Status::from_error(error),
        (Some(rejection), _) => RejectionFormat::new().anonymous().status(rejection),
        (None, Some(_)) => return Status::from_error(error),
        (None, None) => match failure_of(&*error) {
            TransportFailure::Other => return Status::from_error(error),
            failure => Status::new(code_for(failure), failure.to_string()),
        },
    };
    converted.set_source(Arc::from(error));
    converted
}

/// Returns the failure of the first [`TransportError`] in the chain, or else the failure of the
/// chain itself.
fn failure_of(error: &(dyn StdError + 'static)) -> TransportFailure {
    let wrapped = causes(error).find_map(<dyn StdError>::downcast_ref);
    wrapped.map_or_else(|| TransportFailure::of(error), TransportError::failure)
}

fn code_for(failure: TransportFailure) -> Code {
    use TransportFailure as F;
    match failure {
        F::Timeout => Code::DeadlineExceeded,
        F::Builder | F::NoHost | F::Redirect | F::Decode | F::Protocol => Code::Internal,
        F::Status(status) => i32::try_from(code_of(status)).map_or(Code::Unknown, Code::from_i32),
        F::Other => Code::Unknown,
        F::Connect
        | F::Tls
        | F::Certificate
        | F::ResetBeforeSent
        | F::ResetAfterSent
        | F::Body
        | F::Rejected => Code::Unavailable,
    }
}

/// The error that a status was created from in this process, as opposed to a status from a server.
enum Local<'s> {
    Rejected(&'s Rejection),
    Failed(TransportFailure),
}

fn local(status: &Status) -> Option<Local<'_>> {
    let source = status.source()?;
    if let Some(rejection) = Rejection::find(source) {
        return Some(Local::Rejected(rejection));
    }
    let failure = failure_of(source);
    (failure != TransportFailure::Other).then_some(Local::Failed(failure))
}

impl GrpcClassifier {
    /// Returns the outcome of a call that ended in `status`.
    ///
    /// A rejection in its chain of sources has its own outcome: an open circuit, for example, is
    /// *not ready*. A transport error there has the outcome of its [`TransportFailure`]. Otherwise
    /// the outcome is that of the code, with the retry hints in metadata and details.
    ///
    /// As a [`Classify`] type the classifier handles results with a `tonic::Response`; for others,
    /// call this method in a closure.
    #[must_use]
    pub fn of_status(&self, status: &Status) -> Outcome {
        match local(status) {
            Some(Local::Rejected(rejection)) => rejection.as_outcome(),
            Some(Local::Failed(failure)) => failure.as_outcome(),
            None => self.of_received(status),
        }
    }

    fn of_received(self, status: &Status) -> Outcome {
        let outcome = self.of_code(u32::try_from(i32::from(status.code())).unwrap_or_default());
        if outcome.failure().is_none() {
            return outcome;
        }
        let headers = status.metadata().as_ref();
        let hint = grpc::longer(grpc::hint(headers), grpc::of_details(status.details()));
        with_hint(outcome, headers, hint)
    }
}

fn may_have_run(status: &Status) -> bool {
    match local(status) {
        Some(Local::Rejected(rejection)) => rejection.may_have_run(),
        Some(Local::Failed(failure)) => failure.may_have_run(),
        None => true,
    }
}

/// Classifies the responses of generated clients. See [`GrpcClassifier::of_status`].
impl<T> Classify<Response<T>, Status> for GrpcClassifier {
    fn classify(&self, result: Result<&Response<T>, &Status>) -> Outcome {
        result.map_or_else(|status| self.of_status(status), |_| Outcome::Success)
    }

    fn may_have_run(&self, result: Result<&Response<T>, &Status>) -> bool {
        result.map_or_else(may_have_run, |_| true)
    }

    fn as_error<'e>(&self, error: &'e Status) -> Option<&'e (dyn StdError + 'static)> {
        Some(error)
    }
}

/// Classifies the responses of generated clients below other layers.
impl<T> Classify<Response<T>, Error<Status>> for GrpcClassifier {
    fn classify(&self, result: Result<&Response<T>, &Error<Status>>) -> Outcome {
        match result {
            Ok(_) => Outcome::Success,
            Err(Error::Service(status)) => self.of_status(status),
            Err(Error::Rejected(rejection)) => rejection.as_outcome(),
        }
    }

    fn may_have_run(&self, result: Result<&Response<T>, &Error<Status>>) -> bool {
        match result {
            Ok(_) => true,
            Err(Error::Service(status)) => may_have_run(status),
            Err(Error::Rejected(rejection)) => rejection.may_have_run(),
        }
    }

    fn as_error<'e>(&self, error: &'e Error<Status>) -> Option<&'e (dyn StdError + 'static)> {
        Some(error)
    }
}
