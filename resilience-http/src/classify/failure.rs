//! Where a request broke, whoever's error says so.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use resilience_core::outcome::RetryHint;
use resilience_core::{AsOutcome, Outcome, Rejection, RejectionKind};

use super::StatusClassifier;

/// An error of whatever type.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(super) type Cause<'e> = &'e (dyn StdError + 'static);

/// Where on its way a request broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportFailure {
    /// It is no request that could be sent.
    Builder,
    /// Its address has no host, or none that there can be.
    NoHost,
    /// The connection was not made: refused, unreachable, a name that does not resolve, no time left for it;
    /// without the feature `tls`, also a TLS handshake that failed.
    Connect,
    /// The TLS handshake failed, for another reason than a certificate: it broke off, the other side does not
    /// speak TLS, there was no version or cipher for both. Only rustls' errors are known, and only with the
    /// feature `tls`.
    Tls,
    /// A certificate was not accepted in the TLS handshake: the server's (another name, expired, of an unknown
    /// issuer, revoked), or ours by the server. Known as [`Tls`](Self::Tls) is.
    Certificate,
    /// It broke before anything was sent, or the server said that it did nothing (`REFUSED_STREAM`, the
    /// streams after a `GOAWAY`).
    ResetBeforeSent,
    /// It broke when something had been sent.
    ResetAfterSent,
    /// No answer came in time.
    Timeout,
    /// The answer's body, or the request's, broke off.
    Body,
    /// The answer is complete, and not what it should be.
    Decode,
    /// What came back is not HTTP.
    Protocol,
    /// Redirects led nowhere.
    Redirect,
    /// An answer with this status, which somebody made into an error.
    Status(http::StatusCode),
    /// Something that is not recognised.
    Other,
}

impl TransportFailure {
    /// Where it broke, read off an error and all that caused it: reqwest's, hyper-util's, hyper's, h2's
    /// and the operating system's.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> TransportFailure {
        if causes(error).any(ran_out_of_time) {
            return TransportFailure::Timeout;
        }
        #[cfg(feature = "reqwest")]
        if let Some(failure) = causes(error).find_map(super::transport::failure) {
            return failure;
        }
        of_connection(error)
    }

    /// Whether the request may have had an effect, though it failed.
    #[must_use]
    pub const fn may_have_run(self) -> bool {
        !(self.had_no_connection() || matches!(self, Self::NoHost | Self::ResetBeforeSent))
    }

    /// Whether it failed before there was a connection for it.
    pub(crate) const fn had_no_connection(self) -> bool {
        matches!(self, Self::Builder | Self::Connect | Self::Tls | Self::Certificate)
    }
}

/// What it means for trying again. What was never a request, redirects that lead nowhere and a complete
/// answer that is not what it should be are permanent: the same request would end the same way.
///
/// So would a certificate that is not accepted, but it is the server's and not the request's: it is a failure
/// that is not to be tried again ([`RetryHint::Never`]), which a circuit counts, where a permanent one would be a good
/// answer to it. Another handshake that failed may pass: a server that restarts or has too many connections
/// breaks off, and a load balancer without servers answers in plain text or by an alert.
impl AsOutcome for TransportFailure {
    fn as_outcome(&self) -> Outcome {
        use TransportFailure as F;
        match self {
            F::Timeout => Outcome::TimedOut,
            F::Builder | F::NoHost | F::Redirect | F::Decode => Outcome::Permanent,
            F::Certificate => Outcome::Transient(RetryHint::Never),
            F::Status(status) => StatusClassifier.outcome(*status, &http::HeaderMap::new()),
            F::Connect
            | F::Tls
            | F::ResetBeforeSent
            | F::ResetAfterSent
            | F::Body
            | F::Protocol => Outcome::transient(),
            F::Other => Outcome::Unknown,
        }
    }
}

impl fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransportFailure::Builder => "not a request",
            TransportFailure::NoHost => "an address without a host",
            TransportFailure::Connect => "no connection",
            TransportFailure::Tls => "no TLS handshake",
            TransportFailure::Certificate => "a certificate that is not accepted",
            TransportFailure::ResetBeforeSent => "connection reset before the request was sent",
            TransportFailure::ResetAfterSent => "connection reset after the request was sent",
            TransportFailure::Timeout => "no answer in time",
            TransportFailure::Body => "a body broke off",
            TransportFailure::Decode => "an answer that cannot be read",
            TransportFailure::Protocol => "an answer that is not HTTP",
            TransportFailure::Redirect => "redirects that lead nowhere",
            TransportFailure::Status(status) => return write!(f, "status {status}"),
            TransportFailure::Other => "transport failure",
        })
    }
}

/// An error and all that caused it, the latest first.
pub(super) fn causes<'e>(error: Cause<'e>) -> impl Iterator<Item = Cause<'e>> {
    std::iter::successors(Some(error), |&cause| {
        // An `io::Error` names the source of what it wraps, and not what it wraps.
        let wrapped = cause.downcast_ref().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as Cause<'e>).or_else(|| cause.source())
    })
}

/// By a limit of ours: a body that stalled.
fn ran_out_of_time(cause: Cause<'_>) -> bool {
    let kind = cause.downcast_ref().map(Rejection::kind);
    matches!(kind, Some(RejectionKind::TimedOut | RejectionKind::DeadlineExceeded))
}

/// As hyper, h2 and the operating system tell it.
pub(super) fn of_connection(error: Cause<'_>) -> TransportFailure {
    let connects = |cause: &Cause<'_>| {
        cause.downcast_ref().is_some_and(hyper_util::client::legacy::Error::is_connect)
    };
    let connecting = causes(error).find(connects);
    #[cfg(feature = "tls")]
    if let Some(failure) = connecting.and_then(super::tls::of_handshake) {
        return failure;
    }
    if connecting.is_some() {
        return TransportFailure::Connect;
    }
    // The innermost knows best, but hyper knows what had been sent.
    let by_hyper = causes(error).find_map(|cause| of_hyper(cause.downcast_ref()?));
    let by_h2 = causes(error).find_map(|cause| of_h2(cause.downcast_ref()?));
    let by_io = || causes(error).find_map(|cause| of_io(cause.downcast_ref()?));
    let known = by_h2.or(by_hyper).or_else(by_io);
    #[cfg(feature = "tls")]
    let known = known.or_else(|| super::tls::of_connection(error));
    known.unwrap_or(TransportFailure::Other)
}

fn of_hyper(error: &hyper::Error) -> Option<TransportFailure> {
    if error.is_canceled() {
        // hyper hands such a request back: nothing of it was written.
        Some(TransportFailure::ResetBeforeSent)
    } else if error.is_timeout() {
        Some(TransportFailure::Timeout)
    } else if error.is_parse() {
        Some(TransportFailure::Protocol)
    } else if error.is_incomplete_message() {
        Some(TransportFailure::ResetAfterSent)
    } else if error.is_user() || error.is_body_write_aborted() {
        Some(TransportFailure::Body)
    } else {
        None
    }
}

/// RFC 9113: a stream that was refused (§8.7), or came after the last that is mentioned in an orderly
/// `GOAWAY` (§6.8), was not processed.
fn of_h2(error: &h2::Error) -> Option<TransportFailure> {
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let going = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    (error.is_remote() && (refused || going)).then_some(TransportFailure::ResetBeforeSent)
}

fn of_io(error: &io::Error) -> Option<TransportFailure> {
    use io::ErrorKind::{
        BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset, TimedOut, UnexpectedEof,
    };
    match error.kind() {
        // Only ever the answer to an attempt to connect.
        ConnectionRefused => Some(TransportFailure::Connect),
        TimedOut => Some(TransportFailure::Timeout),
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof => {
            Some(TransportFailure::ResetAfterSent)
        }
        _ => None,
    }
}

/// A transport's error that says where it broke and what that means. What it wraps is its own.
#[derive(Debug)]
pub struct TransportError {
    failure: TransportFailure,
    error: BoxError,
}

impl TransportError {
    /// Wraps whatever error a client ends in. See [`TransportFailure::of`].
    #[must_use]
    pub fn new(error: impl Into<BoxError>) -> TransportError {
        let error = error.into();
        TransportError { failure: TransportFailure::of(&*error), error }
    }

    #[cfg(feature = "client")]
    pub(crate) fn no_host(address: impl fmt::Display) -> TransportError {
        let failure = TransportFailure::NoHost;
        TransportError { failure, error: format!("{failure}: {address}").into() }
    }

    /// Where it broke.
    #[must_use]
    pub const fn failure(&self) -> TransportFailure {
        self.failure
    }

    /// The error itself.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }
}

impl AsOutcome for TransportError {
    fn as_outcome(&self) -> Outcome {
        self.failure.as_outcome()
    }

    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

/// Transparent, as its source is.
impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.error.source()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_operating_systems_errors() {
        for (kind, failure) in [
            (io::ErrorKind::ConnectionRefused, TransportFailure::Connect),
            (io::ErrorKind::ConnectionReset, TransportFailure::ResetAfterSent),
            (io::ErrorKind::BrokenPipe, TransportFailure::ResetAfterSent),
            (io::ErrorKind::TimedOut, TransportFailure::Timeout),
            (io::ErrorKind::PermissionDenied, TransportFailure::Other),
        ] {
            let wrapped = io::Error::other(io::Error::from(kind));
            assert_eq!(TransportError::new(wrapped).failure(), failure, "{kind}");
        }
    }

    #[test]
    fn http2_streams_that_were_not_processed() {
        let ours = h2::Error::from(h2::Reason::REFUSED_STREAM);
        // Not the server's word.
        assert_eq!(TransportFailure::of(&ours), TransportFailure::Other);
    }

    #[test]
    fn a_certificate_is_a_failure_that_is_not_tried_again() {
        let outcome = TransportFailure::Certificate.as_outcome();
        assert_eq!(outcome, Outcome::Transient(RetryHint::Never));
    }

    #[test]
    fn what_was_never_sent_never_ran() {
        use TransportFailure as F;
        for failure in
            [F::Builder, F::NoHost, F::Connect, F::Tls, F::Certificate, F::ResetBeforeSent]
        {
            assert!(!failure.may_have_run(), "{failure}");
        }
        for failure in [F::ResetAfterSent, F::Timeout, F::Body, F::Protocol, F::Redirect, F::Other]
        {
            assert!(failure.may_have_run(), "{failure}");
        }
    }
}
