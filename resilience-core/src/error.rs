//! Errors that carry rejections.
//!
//! A layer never changes the error type of its service: the type must be able to *carry* a
//! rejection ([`CarriesRejection`]). A boxed error can. A foreign error can when it is wrapped in
//! [`Error`], once, at the bottom of the stack.
//!
//! ```
//! use resilience_core::{CarriesRejection, Error, Rejection, RejectionKind};
//!
//! let rejected: Error<std::io::Error> = Rejection::new(RejectionKind::Shed, "shed").into();
//! assert_eq!(rejected.rejection().map(Rejection::kind), Some(RejectionKind::Shed));
//! ```

use std::error::Error as StdError;
use std::fmt;
use std::io;

use crate::outcome::{AsOutcome, Outcome};
use crate::recognise::known;
use crate::rejection::Rejection;

/// An error type that carries the [`Rejection`] of a layer, and returns it again.
///
/// Layers put their rejections into the error type of the service, and read the rejections of the
/// layers below them: a retry recognises an open circuit whatever its classifier would return.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry a `Rejection`",
    label = "a resilience layer reports its rejections in the service's own error type",
    note = "wrap the service's errors once, below every resilience layer: `.map_err(resilience_core::Error::Service)`; where a retry or a breaker reads them, implement `AsOutcome` for `{Self}` as well",
    note = "or implement `From<Rejection>` and `CarriesRejection` for `{Self}`",
    note = "or box it: `.map_err(tower::BoxError::from)`. The price: a boxed error of a type that is not known here is an unknown failure, which counts with breakers and is retried if the request may run twice. A typed error with `AsOutcome`, or a closure with `.classify(..)`, is exact"
)]
pub trait CarriesRejection: From<Rejection> {
    /// Returns the rejection in this error. `None` for an error of the service.
    fn rejection(&self) -> Option<&Rejection>;

    /// Returns `true` if the rejection in this error proves that the request [did not
    /// run](Rejection::may_have_run).
    fn did_not_run(&self) -> bool {
        self.rejection().is_some_and(|rejection| !rejection.may_have_run())
    }

    /// Returns this error with a rejection that [may have run](Rejection::with_may_have_run),
    /// because an earlier attempt of the call may have. By default, and without a rejection, the
    /// error is not changed.
    #[must_use]
    fn with_may_have_run(self) -> Self {
        self
    }

    /// Returns this as a standard error, for the text of events; `None`, the default, leaves the
    /// text out where the [classifier](crate::Classify::as_error) does not know it either.
    fn as_std_error(&self) -> Option<&(dyn StdError + 'static)> {
        None
    }
}

impl CarriesRejection for Rejection {
    fn rejection(&self) -> Option<&Rejection> {
        Some(self)
    }

    fn with_may_have_run(self) -> Rejection {
        Rejection::with_may_have_run(self, true)
    }

    fn as_std_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

impl CarriesRejection for Box<dyn StdError + Send + Sync> {
    fn rejection(&self) -> Option<&Rejection> {
        Rejection::find(&**self)
    }

    /// Returns `true` only for a rejection that is the boxed error itself: one deep in the chain
    /// can be the end of a call that the service made while it ran.
    fn did_not_run(&self) -> bool {
        self.downcast_ref().is_some_and(|rejection: &Rejection| !rejection.may_have_run())
    }

    fn with_may_have_run(self) -> Self {
        match self.downcast::<Rejection>() {
            Ok(rejection) => rejection.with_may_have_run(true).into(),
            Err(other) => other,
        }
    }

    fn as_std_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&**self)
    }
}

/// An error of a service, or the rejection of a layer.
///
/// Wraps a foreign error type once, at the bottom of a stack; no layer above wraps it again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the service's or ours: there is no third")]
pub enum Error<E> {
    /// The service ran and failed.
    Service(E),
    /// A layer rejected the call.
    Rejected(Rejection),
}

impl<E> Error<E> {
    /// Returns the error of the service. `None` for a rejection.
    pub fn into_service(self) -> Option<E> {
        match self {
            Error::Service(error) => Some(error),
            Error::Rejected(_) => None,
        }
    }
}

impl<E> From<Rejection> for Error<E> {
    fn from(rejection: Rejection) -> Error<E> {
        Error::Rejected(rejection)
    }
}

impl<E> CarriesRejection for Error<E> {
    fn rejection(&self) -> Option<&Rejection> {
        match self {
            Error::Rejected(rejection) => Some(rejection),
            Error::Service(_) => None,
        }
    }

    fn with_may_have_run(self) -> Error<E> {
        match self {
            Error::Rejected(rejection) => Error::Rejected(rejection.with_may_have_run(true)),
            Error::Service(error) => Error::Service(error),
        }
    }

    fn as_std_error(&self) -> Option<&(dyn StdError + 'static)> {
        self.rejection().map(|rejection| rejection as &(dyn StdError + 'static))
    }
}

impl<E: AsOutcome> AsOutcome for Error<E> {
    fn as_outcome(&self) -> Outcome {
        match self {
            Error::Service(error) => error.as_outcome(),
            Error::Rejected(rejection) => rejection.as_outcome(),
        }
    }

    fn may_have_run(&self) -> bool {
        match self {
            Error::Service(error) => error.may_have_run(),
            Error::Rejected(rejection) => rejection.may_have_run(),
        }
    }

    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Error::Service(error) => error.as_error(),
            Error::Rejected(rejection) => Some(rejection),
        }
    }
}

impl<E: fmt::Display> fmt::Display for Error<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Service(error) => error.fmt(f),
            Error::Rejected(rejection) => rejection.fmt(f),
        }
    }
}

/// The source is the wrapped error or rejection itself, so that it is found in the chain of a boxed
/// error.
impl<E: StdError + 'static> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Error::Service(error) => Some(error),
            Error::Rejected(rejection) => Some(rejection),
        }
    }
}

/// Reads the first [`Rejection`], [`io::Error`] or `Elapsed` of tokio in the chain of sources. An
/// error without one has [`Outcome::Unknown`]: a circuit counts it as a failure, and a retry
/// repeats it. Give the policy a classifier, or use a type that implements [`AsOutcome`], for
/// errors that will not pass.
impl AsOutcome for Box<dyn StdError + Send + Sync> {
    fn as_outcome(&self) -> Outcome {
        known(&**self).map_or(Outcome::Unknown, AsOutcome::as_outcome)
    }

    fn may_have_run(&self) -> bool {
        // A rejection or a refused connection deep in the chain proves nothing: the service may
        // have made the call that ended so while it ran, and a client that followed a redirect has
        // sent the request before.
        let refused = self.downcast_ref::<io::Error>().is_some_and(|error| !error.may_have_run());
        !(refused || self.did_not_run())
    }

    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&**self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rejection::RejectionKind;

    #[test]
    fn a_rejection_is_found_in_every_carrier() {
        let rejection = Rejection::new(RejectionKind::Shed, "shed");
        let wrapped: Error<io::Error> = rejection.clone().into();
        assert_eq!(wrapped.rejection(), Some(&rejection));
        let boxed: Box<dyn StdError + Send + Sync> = wrapped.into();
        assert_eq!(boxed.rejection(), Some(&rejection));
        let service: Box<dyn StdError + Send + Sync> = "other".into();
        assert_eq!(service.rejection(), None);
    }

    #[test]
    fn the_source_of_a_boxed_error_is_read() {
        let boxed: Box<dyn StdError + Send + Sync> =
            io::Error::from(io::ErrorKind::ConnectionReset).into();
        assert_eq!(boxed.as_outcome(), Outcome::transient());
        let late = Rejection::new(RejectionKind::TimedOut, "timeout");
        let wrapped = crate::Error::<io::Error>::Rejected(late);
        let boxed: Box<dyn StdError + Send + Sync> = wrapped.into();
        assert_eq!(boxed.as_outcome(), Outcome::TimedOut);
        let boxed: Box<dyn StdError + Send + Sync> = "no such column".into();
        assert_eq!(boxed.as_outcome(), Outcome::Unknown);
        let inner = Error::Service(io::Error::from(io::ErrorKind::NotFound));
        let boxed: Box<dyn StdError + Send + Sync> = inner.into();
        assert_eq!(boxed.as_outcome(), Outcome::Permanent);
        let refused = || io::Error::from(io::ErrorKind::ConnectionRefused);
        for (error, may_have_run) in [(refused(), false), (io::Error::other(refused()), true)] {
            let boxed: Box<dyn StdError + Send + Sync> = error.into();
            let read = (boxed.as_outcome(), boxed.may_have_run());
            assert_eq!(read, (Outcome::transient(), may_have_run));
        }
        let shed = Rejection::new(RejectionKind::Shed, "shed");
        let boxed: Box<dyn StdError + Send + Sync> = io::Error::other(shed).into();
        assert_eq!((boxed.rejection().is_some(), boxed.may_have_run()), (true, true));
    }

    #[cfg(feature = "tokio")]
    #[tokio::test(start_paused = true)]
    async fn a_timeout_of_tokio_is_recognised() {
        use std::time::Duration;
        let never = std::future::pending::<()>();
        let elapsed = tokio::time::timeout(Duration::from_secs(1), never).await.unwrap_err();
        assert_eq!(elapsed.as_outcome(), Outcome::TimedOut);
        let boxed: Box<dyn StdError + Send + Sync> = elapsed.into();
        assert_eq!((boxed.as_outcome(), boxed.may_have_run()), (Outcome::TimedOut, true));
    }
}
