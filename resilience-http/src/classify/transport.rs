//! reqwest's errors, and its responses.

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

/// What a reqwest error means for trying again.
///
/// No response in time is [`Outcome::TimedOut`]. A connection that was not made, or broke before the
/// response was complete, is transient. What reqwest refused to send, a redirect that leads nowhere,
/// and a complete response that is not what it should be, are permanent: the same request would end
/// the same way.
///
/// A failed connection is transient whatever the reason, and so is a name that does not resolve:
/// reqwest does not tell these apart, and a retry's limits bound what the mistake costs. A
/// certificate that does not verify is known with the feature `tls` only, and is a failure that is not to be tried
/// again: see [`TransportFailure`].
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

/// What reqwest knows better than who it has it from.
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
        // A body that broke off and one that is complete nonsense are both "decode" errors; only
        // the first has a connection's error underneath.
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
