//! reqwest's errors, and its responses.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use reqwest::Response;
use resilience_core::{AsOutcome, Classify, Error, Outcome};

use super::StatusClassifier;

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
/// No answer in time is [`Outcome::TimedOut`]. A connection that was not made, or broke before the
/// answer was complete, is transient. What reqwest refused to send, a redirect that leads nowhere,
/// and a complete answer that is not what it should be, are permanent: the same request would end
/// the same way.
///
/// A failed connection is transient whatever the reason, and so is a name that does not resolve
/// or a certificate that does not verify: reqwest does not tell these apart, and a retry's limits
/// bound what the mistake costs.
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
    if error.is_timeout() {
        Outcome::TimedOut
    } else if error.is_builder() || error.is_redirect() || error.is_upgrade() {
        Outcome::Permanent
    } else if let Some(status) = error.status() {
        StatusClassifier.outcome(status, &http::HeaderMap::new())
    } else if error.is_decode() {
        // A body that broke off and one that is complete nonsense are both "decode" errors; only
        // the first has the connection's error underneath.
        io_cause(error).map_or(Outcome::Permanent, AsOutcome::as_outcome)
    } else {
        Outcome::transient()
    }
}

/// A [`reqwest::Error`] that says what it means, for a service that hands on something other than
/// reqwest's own response: one that reads the body inside the attempt, for instance.
#[derive(Debug)]
pub struct TransportError(reqwest::Error);

impl From<reqwest::Error> for TransportError {
    fn from(error: reqwest::Error) -> TransportError {
        TransportError(error)
    }
}

impl AsOutcome for TransportError {
    fn as_outcome(&self) -> Outcome {
        transport_outcome(&self.0)
    }
}

/// Transparent, as its source is.
impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}

fn io_cause(error: &reqwest::Error) -> Option<&io::Error> {
    std::iter::successors(error.source(), |&cause| cause.source())
        .find_map(|cause| cause.downcast_ref())
}
