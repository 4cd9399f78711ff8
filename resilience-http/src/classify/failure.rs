//! Where a request broke, whoever's error says so.

use std::error::Error as StdError;
use std::fmt;
use std::io;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use resilience_core::{AsOutcome, Outcome, Rejection, RejectionKind, RetryHint};
use tower_service::Service;

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
    /// No response came in time.
    Timeout,
    /// The response's body, or the request's, broke off.
    Body,
    /// The response is complete, and not what it should be.
    Decode,
    /// What came back is not HTTP.
    Protocol,
    /// Redirects led nowhere.
    Redirect,
    /// A response with this status, which somebody made into an error.
    Status(http::StatusCode),
    /// A policy of this crate family rejected the request below the client, before it was sent: a connector
    /// without room for a connection, for example.
    Rejected,
    /// Something that is not recognised.
    Other,
}

impl TransportFailure {
    /// Returns where the request broke, read off `error` and its chain of sources: errors of reqwest, hyper-util
    /// (its client and its bare connector), hyper, h2, tokio and the operating system, and with the feature
    /// `grpc` those of tonic's channel.
    #[must_use]
    pub fn of(error: &(dyn StdError + 'static)) -> TransportFailure {
        if Rejection::find(error).is_some_and(|rejection| !rejection.may_have_run()) {
            return TransportFailure::Rejected;
        }
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
        matches!(
            self,
            Self::Builder | Self::Connect | Self::Tls | Self::Certificate | Self::Rejected
        )
    }
}

/// What it means for trying again. What was never a request, redirects that lead nowhere and a complete
/// response that is not what it should be are permanent: the same request would end the same way.
///
/// So would a certificate that is not accepted, but it is the server's and not the request's: it is a failure
/// that is not to be tried again ([`RetryHint::Never`]), which a circuit counts, where a permanent one would be a good
/// response to it. Another handshake that failed may pass: a server that restarts or has too many connections
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
            F::Rejected => Outcome::NotReady(RetryHint::None),
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
            TransportFailure::Timeout => "no response in time",
            TransportFailure::Body => "a body broke off",
            TransportFailure::Decode => "a response that cannot be read",
            TransportFailure::Protocol => "a response that is not HTTP",
            TransportFailure::Redirect => "redirects that lead nowhere",
            TransportFailure::Status(status) => return write!(f, "status {status}"),
            TransportFailure::Rejected => "rejected before it was sent",
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

/// Error of hyper-util's `HttpConnector`, which has no public name: a name that does not resolve, an address
/// that refuses or does not respond in time. Clients other than hyper-util's return it as it is.
type ConnectorError = <HttpConnector as Service<Uri>>::Error;

/// Returns `true` for the errors that wrap whatever kept a connection from being made.
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

/// Returns `true` for `Endpoint::connect_timeout` over a connector that is not tonic's own. The timer stands
/// outside of what makes a `ConnectError`; calls that take too long end in `TimeoutExpired`.
#[cfg(all(feature = "client", feature = "grpc"))]
fn is_connect_timeout_of_tonic(cause: Cause<'_>) -> bool {
    let timer = cause.source().and_then(<dyn StdError>::downcast_ref).and_then(io::Error::get_ref);
    cause.is::<tonic::transport::Error>()
        && timer.is_some_and(|timer| timer.is::<tokio::time::error::Elapsed>())
}

/// Reads the errors of hyper-util, hyper, h2, tokio and the operating system.
pub(super) fn of_connection(error: Cause<'_>) -> TransportFailure {
    // Before the handshake: a connector that fails has no connection to shake hands on.
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
    // The innermost knows best, but hyper knows what had been sent.
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
        // hyper returns such a request to its caller, or has not taken it: nothing of it was written.
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
/// `GOAWAY` (§6.8), was not processed. Every other end that the server sets may come after it has run.
fn of_h2(error: &h2::Error) -> Option<TransportFailure> {
    if let Some(io) = error.get_io() {
        // h2's errors have no source.
        return of_io(io);
    }
    if !error.is_remote() {
        return error.is_library().then_some(TransportFailure::Protocol);
    }
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    let going = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    Some(if refused || going {
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
        // Only an attempt to connect ends in these.
        ConnectionRefused | AddrNotAvailable => Some(TransportFailure::Connect),
        TimedOut => Some(TransportFailure::Timeout),
        // The unreachable ones end a connection as well: ICMP messages arrive at any time.
        BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof | NotConnected
        | HostUnreachable | NetworkUnreachable | NetworkDown => {
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

    /// Returns the error of a request that is not sent, for this reason.
    #[cfg(feature = "client")]
    pub(crate) fn unsendable(reason: &'static str) -> TransportError {
        TransportError { failure: TransportFailure::Builder, error: reason.into() }
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

    /// Returns the rejection in this error or its chain of sources that kept the request in this process: a
    /// limit on connections, an open circuit. The other side is not to blame for it.
    pub(crate) fn kept_here(&self) -> Option<&Rejection> {
        let rejection = Rejection::find(&*self.error);
        rejection.filter(|it| matches!(it.as_outcome(), Outcome::NotReady(_)))
    }
}

/// Reads the [failure](TransportError::failure), unless a rejection of a limit in this process is in the chain
/// of sources: then the outcome is the rejection's, and not a failure of the other side.
impl AsOutcome for TransportError {
    fn as_outcome(&self) -> Outcome {
        self.kept_here().map_or_else(|| self.failure.as_outcome(), AsOutcome::as_outcome)
    }

    fn may_have_run(&self) -> bool {
        // reqwest follows redirects: no connection may mean no second one, after a server that has run.
        #[cfg(feature = "reqwest")]
        if causes(&*self.error).any(|cause| cause.is::<reqwest::Error>()) {
            return true;
        }
        self.kept_here().map_or_else(|| self.failure.may_have_run(), Rejection::may_have_run)
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

/// The source is that of the wrapped error; a wrapped rejection is the source itself, so that it is found.
impl StdError for TransportError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        if self.error.is::<Rejection>() { Some(&*self.error) } else { self.error.source() }
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
    fn http2_streams_that_were_not_processed() {
        let ours = h2::Error::from(h2::Reason::REFUSED_STREAM);
        // Not the server's word.
        assert_eq!(TransportFailure::of(&ours), TransportFailure::Other);
    }

    #[tokio::test]
    async fn a_timer_around_a_call() {
        let never = std::future::pending::<()>();
        let late = tokio::time::timeout(std::time::Duration::from_millis(1), never).await;
        let error = io::Error::other(late.unwrap_err());
        assert_eq!(TransportFailure::of(&error), TransportFailure::Timeout);
    }

    #[test]
    fn a_limit_of_this_process_is_no_failure_of_the_other_side() {
        for kind in
            [RejectionKind::BulkheadFull, RejectionKind::RateLimited, RejectionKind::CircuitOpen]
        {
            let rejection = Rejection::new(kind, "connections");
            let error = TransportError::new(io::Error::other(io::Error::other(rejection)));
            assert_eq!(error.as_outcome(), Outcome::NotReady(RetryHint::None), "{kind:?}");
            assert!(!error.may_have_run(), "{kind:?}");
        }
        // A body that stalled.
        let rejection = Rejection::new(RejectionKind::TimedOut, "body");
        let error = TransportError::new(io::Error::other(rejection));
        assert_eq!((error.as_outcome(), error.may_have_run()), (Outcome::TimedOut, true));
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
