//! Classification of reqwest's responses and errors.

use std::error::Error as StdError;

use reqwest::Response;
use resilience_core::{AsOutcome, Classify, Error, Outcome};

use super::StatusClassifier;
use super::failure::{TransportError, TransportFailure, causes, of_connection};

impl Classify<Response, Error<reqwest::Error>> for StatusClassifier {
    fn classify(&self, result: Result<&Response, &Error<reqwest::Error>>) -> Outcome {
        match result {
            Ok(response) => self.outcome(response.status(), response.headers()),
            Err(Error::Service(error)) => transport_outcome(error),
            Err(Error::Rejected(rejection)) => rejection.as_outcome(),
        }
    }
}

/// Returns the outcome of a reqwest error.
///
/// No response in time is [`Outcome::TimedOut`]. A connection that was not made, or that broke
/// before the response was complete, is transient. An invalid request, a redirect that cannot be
/// followed, and a complete response with invalid content are permanent: the same request would end
/// the same way.
///
/// A failed connect is transient whatever its cause, also an unresolvable name: reqwest does not
/// distinguish the causes, and the limits of the retry bound the cost of a mistake. A rejected
/// certificate is recognised only with the feature `tls`, and is a failure that is never retried:
/// see [`TransportFailure`].
///
/// ```
/// use resilience_core::Outcome;
/// use resilience_http::classify::transport_outcome;
///
/// let error = reqwest::Client::new().get("no scheme").build().unwrap_err();
/// assert_eq!(transport_outcome(&error), Outcome::Permanent);
/// ```
#[must_use]
pub fn transport_outcome(error: &reqwest::Error) -> Outcome {
    TransportFailure::of(error).as_outcome()
}

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> TransportError {
        TransportError::new(error)
    }
}

/// Returns the failure that reqwest's error reports itself, before the errors that it wraps.
pub(super) fn failure(cause: &(dyn StdError + 'static)) -> Option<TransportFailure> {
    let error = cause.downcast_ref::<reqwest::Error>()?;
    if error.is_builder() {
        Some(TransportFailure::Builder)
    } else if error.is_redirect() {
        Some(TransportFailure::Redirect)
    } else if let Some(status) = error.status() {
        Some(TransportFailure::Status(status))
    } else if error.is_connect() {
        Some(of_connection(error))
    } else if error.is_timeout() {
        Some(TransportFailure::Timeout)
    } else if error.is_upgrade() {
        Some(TransportFailure::Decode)
    } else if error.is_body() || error.is_decode() {
        // reqwest reports a body that broke off and a complete but invalid one as "decode" errors;
        // only the first has an error of the connection as a source.
        let broke = error.is_body() || causes(error).any(is_of_connection);
        Some(if broke { TransportFailure::Body } else { TransportFailure::Decode })
    } else {
        Some(of_connection(error))
    }
}

fn is_of_connection(cause: &(dyn StdError + 'static)) -> bool {
    let io = cause.downcast_ref::<std::io::Error>();
    cause.is::<hyper::Error>() || io.is_some_and(|io| io.as_outcome() != Outcome::Permanent)
}
