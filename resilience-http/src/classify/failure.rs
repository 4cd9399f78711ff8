//! [`TransportFailure`]: the step at which a request broke, read from the errors of any client.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use resilience_core::{AsOutcome, Outcome, Rejection, RejectionKind, RetryHint};
use tower_service::Service;

use super::StatusClassifier;

/// An error of any type.
pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;
pub(super) type Cause<'e> = &'e (dyn StdError + 'static);

/// The step at which a request broke.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransportFailure {
    /// The request is invalid and cannot be sent.
    Builder,
    /// The address has no host, or an impossible one.
    NoHost,
    /// The connection was not made: refused, unreachable, an unresolvable name, or a connect
    /// timeout. Without the feature `tls`, also a failed TLS handshake.
    Connect,
    /// The TLS handshake failed for another reason than a certificate: it broke off, the peer does
    /// not speak TLS, or the two have no version or cipher in common. Recognised only in rustls'
    /// errors, and only with the feature `tls`.
    Tls,
    /// A certificate was not accepted in the TLS handshake: the server's (wrong name, expired,
    /// unknown issuer, revoked), or the client's by the server. Recognised under the conditions of
    /// [`Tls`](Self::Tls).
    Certificate,
    /// The connection broke before anything was sent, or the server declared that it did not
    /// process the request (`REFUSED_STREAM`, or a stream after a `GOAWAY`).
    ResetBeforeSent,
    /// The connection broke after part of the request was sent.
    ResetAfterSent,
    /// No response arrived in time.
    Timeout,
    /// The body of the response, or of the request, broke off.
    Body,
    /// The response is complete, but its content is invalid.
    Decode,
    /// The response is not HTTP.
    Protocol,
    /// Too many redirects, or a redirect to an invalid address.
    Redirect,
    /// A response with this status, which a client converted into an error.
    Status(http::StatusCode),
    /// A policy of this crate family rejected the request below the client, before it was sent: for
    /// example a connector without a free connection permit.
    Rejected,
    /// An unknown error.
    Other,
}

impl TransportFailure {
    /// Returns the step at which the request broke, from `error` and its chain of sources.
    /// Recognises errors of reqwest, hyper-util (its client and its bare connector), hyper, h2,
    /// tokio and the operating system, and with the feature `grpc` those of tonic's channel.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> TransportFailure {
        if Rejection::find(error).is_some_and(|rejection| !rejection.may_have_run()) {
            return TransportFailure::Rejected;
        }
        if causes(error).any(is_time_limit) {
            return TransportFailure::Timeout;
        }
        #[cfg(feature = "reqwest")]
        if let Some(failure) = causes(error).find_map(super::transport::failure) {
            return failure;
        }
        of_connection(error)
    }

    /// Returns `true` if the failed request may have had an effect.
    #[must_use]
    pub const fn may_have_run(self) -> bool {
        !(self.had_no_connection() || matches!(self, Self::NoHost | Self::ResetBeforeSent))
    }

    /// Returns `true` if the request failed before it had a connection.
    pub(crate) const fn had_no_connection(self) -> bool {
        matches!(
            self,
            Self::Builder | Self::Connect | Self::Tls | Self::Certificate | Self::Rejected
        )
    }
}

/// Maps the failure to an outcome. An invalid request, a redirect that cannot be followed and a
/// complete response with invalid content are permanent: the same request would end the same way.
///
/// A rejected certificate would, too, but it is a fault of the server and not of the request. It is
/// therefore a failure that is never retried ([`RetryHint::Never`]) and that the circuit counts; a
/// permanent outcome would count as a good response. Another failed handshake may pass: a server
/// that restarts or has too many connections breaks off, and a load balancer without backends
/// responds in plain text or with an alert.
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
            F::Rejected => Outcome::NotReady(RetryHint::None),
            F::Other => Outcome::Unknown,
        }
    }
}

impl fmt::Display for TransportFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TransportFailure::Builder => "not a valid request",
            TransportFailure::NoHost => "an address without a host",
            TransportFailure::Connect => "no connection",
            TransportFailure::Tls => "no TLS handshake",
            TransportFailure::Certificate => "a certificate that is not accepted",
            TransportFailure::ResetBeforeSent => "connection reset before the request was sent",
            TransportFailure::ResetAfterSent => "connection reset after the request was sent",
            TransportFailure::Timeout => "no response in time",
            TransportFailure::Body => "a body broke off",
            TransportFailure::Decode => "a response with invalid content",
            TransportFailure::Protocol => "a response that is not HTTP",
            TransportFailure::Redirect => "a redirect that cannot be followed",
            TransportFailure::Status(status) => return write!(f, "status {status}"),
            TransportFailure::Rejected => "rejected before it was sent",
            TransportFailure::Other => "transport failure",
        })
    }
}

/// Returns an error and its chain of sources, the outermost first.
pub(super) fn causes<'e>(error: Cause<'e>) -> impl Iterator<Item = Cause<'e>> {
    std::iter::successors(Some(error), |&cause| {
        // `io::Error::source` skips the wrapped error itself, so it is taken with `get_ref`.
        let wrapped = cause.downcast_ref().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as Cause<'e>).or_else(|| cause.source())
    })
}

/// Returns `true` for a rejection by a time limit of this crate family, for example of a stalled
/// body.
fn is_time_limit(cause: Cause<'_>) -> bool {
    let kind = cause.downcast_ref().map(Rejection::kind);
    matches!(kind, Some(RejectionKind::TimedOut | RejectionKind::DeadlineExceeded))
}

/// The error of hyper-util's `HttpConnector`, which has no public name: an unresolvable name, or an
/// address that refuses or does not respond in time. Clients other than hyper-util's return it
/// unwrapped.
type ConnectorError = <HttpConnector as Service<Uri>>::Error;

/// Returns `true` for errors that wrap the cause of a failed connect.
fn is_connect(cause: Cause<'_>) -> bool {
    #[cfg(feature = "grpc")]
    if cause.is::<tonic::ConnectError>() {
        return true;
    }
    #[cfg(all(feature = "client", feature = "grpc"))]
    if is_connect_timeout_of_tonic(cause) {
        return true;
    }
    cause.downcast_ref().is_some_and(hyper_util::client::legacy::Error::is_connect)
}

/// Returns `true` for `Endpoint::connect_timeout` over a connector that is not tonic's own. That
/// timer is outside of the code that creates a `ConnectError`; a call that takes too long ends in
/// `TimeoutExpired`.
#[cfg(all(feature = "client", feature = "grpc"))]
fn is_connect_timeout_of_tonic(cause: Cause<'_>) -> bool {
    let timer = cause.source().and_then(<dyn StdError>::downcast_ref).and_then(io::Error::get_ref);
    cause.is::<tonic::transport::Error>()
        && timer.is_some_and(|timer| timer.is::<tokio::time::error::Elapsed>())
}

/// Reads the errors of hyper-util, hyper, h2, tokio and the operating system.
pub(super) fn of_connection(error: Cause<'_>) -> TransportFailure {
    // Checked before the handshake: a connector that fails has made no connection for one.
    if causes(error).any(|cause| cause.is::<ConnectorError>()) {
        return TransportFailure::Connect;
    }
    let connecting = causes(error).find(|cause| is_connect(*cause));
    #[cfg(feature = "tls")]
    if let Some(failure) = connecting.and_then(super::tls::of_handshake) {
        return failure;
    }
    if connecting.is_some() {
        return TransportFailure::Connect;
    }
    // The innermost error is the most precise, except that only hyper records if anything was sent.
    let by_hyper = causes(error).find_map(|cause| of_hyper(cause.downcast_ref()?));
    let by_h2 = causes(error).find_map(|cause| of_h2(cause.downcast_ref()?));
    let by_io = || causes(error).find_map(|cause| of_io(cause.downcast_ref()?));
    let known = by_h2.or(by_hyper).or_else(by_io);
    #[cfg(feature = "tls")]
    let known = known.or_else(|| super::tls::of_connection(error));
    let late = || causes(error).any(is_late).then_some(TransportFailure::Timeout);
    known.or_else(late).unwrap_or(TransportFailure::Other)
}

/// Returns `true` for the errors of timers around a call.
fn is_late(cause: Cause<'_>) -> bool {
    #[cfg(feature = "grpc")]
    if cause.is::<tonic::TimeoutExpired>() {
        return true;
    }
    cause.is::<tokio::time::error::Elapsed>()
}

fn of_hyper(error: &hyper::Error) -> Option<TransportFailure> {
    if error.is_canceled() || error.is_closed() {
        // hyper returns such a request to its caller, or never took it: nothing was written.
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

/// Reads an HTTP/2 error. By RFC 9113 a refused stream (§8.7), and a stream after the last one
/// named in an orderly `GOAWAY` (§6.8), was not processed. Every other end by the server may come
/// after processing.
fn of_h2(error: &h2::Error) -> Option<TransportFailure> {
    if let Some(io) = error.get_io() {
        // h2's errors have no source: the I/O error is read here.
        return of_io(io);
    }
    if !error.is_remote() {
        return error.is_library().then_some(TransportFailure::Protocol);
    }
    let is_refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let is_shutdown = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    Some(if is_refused || is_shutdown {
        TransportFailure::ResetBeforeSent
    } else {
        TransportFailure::ResetAfterSent
    })
}

fn of_io(error: &io::Error) -> Option<TransportFailure> {
    use io::ErrorKind::{
        AddrNotAvailable, BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset,
        HostUnreachable, NetworkDown, NetworkUnreachable, NotConnected, TimedOut, UnexpectedEof,
    };
    match error.kind() {
        // Only a connect ends in these errors.
        ConnectionRefused | AddrNotAvailable => Some(TransportFailure::Connect),
        TimedOut => Some(TransportFailure::Timeout),
        // The unreachable kinds can also end an open connection: ICMP messages arrive at any time.
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof | NotConnected
        | HostUnreachable | NetworkUnreachable | NetworkDown => {
            Some(TransportFailure::ResetAfterSent)
        }
        _ => None,
    }
}

/// An error of a transport, with the step at which the request broke. `Display` and the sources are
/// those of the wrapped error.
#[derive(Debug)]
pub struct TransportError {
    failure: TransportFailure,
    error: BoxError,
}

impl TransportError {
    /// Wraps the error of any client. See [`TransportFailure::of`].
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

    /// Returns the error of a request that is not sent, for this reason.
    #[cfg(feature = "client")]
    pub(crate) fn unsendable(reason: &'static str) -> TransportError {
        TransportError { failure: TransportFailure::Builder, error: reason.into() }
    }

    /// Returns the step at which the request broke.
    #[must_use]
    pub const fn failure(&self) -> TransportFailure {
        self.failure
    }

    /// Returns the wrapped error.
    #[must_use]
    pub fn get_ref(&self) -> &(dyn StdError + Send + Sync + 'static) {
        &*self.error
    }

    /// Returns the rejection in the chain of sources that stopped the request in this process, for
    /// example by a connection limit or an open circuit. Such a rejection is no failure of the
    /// server.
    pub(crate) fn local_rejection(&self) -> Option<&Rejection> {
        let rejection = Rejection::find(&*self.error);
        rejection.filter(|it| matches!(it.as_outcome(), Outcome::NotReady(_)))
    }
}

/// Maps the [failure](TransportError::failure) to its outcome. If a limit of this process rejected
/// the request, the outcome is that of the rejection, and not a failure of the server.
impl AsOutcome for TransportError {
    fn as_outcome(&self) -> Outcome {
        self.local_rejection().map_or_else(|| self.failure.as_outcome(), AsOutcome::as_outcome)
    }

    fn may_have_run(&self) -> bool {
        // reqwest follows redirects: a failed connect may be the second request, after a first one
        // that was processed.
        #[cfg(feature = "reqwest")]
        if causes(&*self.error).any(|cause| cause.is::<reqwest::Error>()) {
            return true;
        }
        self.local_rejection().map_or_else(|| self.failure.may_have_run(), Rejection::may_have_run)
    }

    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

/// Formats the wrapped error.
impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

/// Returns the source of the wrapped error. A wrapped rejection is itself the source, so that a
/// search of the chain finds it.
impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if self.error.is::<Rejection>() { Some(&*self.error) } else { self.error.source() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_operating_system_are_recognised() {
        for (kind, failure) in [
            (io::ErrorKind::ConnectionRefused, TransportFailure::Connect),
            (io::ErrorKind::ConnectionReset, TransportFailure::ResetAfterSent),
            (io::ErrorKind::BrokenPipe, TransportFailure::ResetAfterSent),
            (io::ErrorKind::TimedOut, TransportFailure::Timeout),
            (io::ErrorKind::AddrNotAvailable, TransportFailure::Connect),
            (io::ErrorKind::HostUnreachable, TransportFailure::ResetAfterSent),
            (io::ErrorKind::NotConnected, TransportFailure::ResetAfterSent),
            (io::ErrorKind::PermissionDenied, TransportFailure::Other),
        ] {
            let wrapped = io::Error::other(io::Error::from(kind));
            assert_eq!(TransportError::new(wrapped).failure(), failure, "{kind}");
        }
    }

    #[test]
    fn a_reason_that_was_not_received_is_not_recognised() {
        let local = h2::Error::from(h2::Reason::REFUSED_STREAM);
        // Created in this process, and not received from a server.
        assert_eq!(TransportFailure::of(&local), TransportFailure::Other);
    }

    #[tokio::test]
    async fn a_timer_around_a_call_is_a_timeout() {
        let never = std::future::pending::<()>();
        let late = tokio::time::timeout(std::time::Duration::from_millis(1), never).await;
        let error = io::Error::other(late.unwrap_err());
        assert_eq!(TransportFailure::of(&error), TransportFailure::Timeout);
    }

    #[test]
    fn a_limit_of_this_process_is_no_failure_of_the_server() {
        for kind in
            [RejectionKind::BulkheadFull, RejectionKind::RateLimited, RejectionKind::CircuitOpen]
        {
            let rejection = Rejection::new(kind, "connections");
            let error = TransportError::new(io::Error::other(io::Error::other(rejection)));
            assert_eq!(error.as_outcome(), Outcome::NotReady(RetryHint::None), "{kind:?}");
            assert!(!error.may_have_run(), "{kind:?}");
        }
        // A stalled body.
        let rejection = Rejection::new(RejectionKind::TimedOut, "body");
        let error = TransportError::new(io::Error::other(rejection));
        assert_eq!((error.as_outcome(), error.may_have_run()), (Outcome::TimedOut, true));
    }

    #[test]
    fn a_rejected_certificate_is_a_failure_that_is_never_retried() {
        let outcome = TransportFailure::Certificate.as_outcome();
        assert_eq!(outcome, Outcome::Transient(RetryHint::Never));
    }

    #[test]
    fn a_request_that_was_not_sent_had_no_effect() {
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
