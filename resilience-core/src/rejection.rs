//! A call that a layer refused, and why.
//!
//! There is one [`Rejection`] for the whole family. A layer never changes its service's error type:
//! it asks that the type can *carry* a rejection ([`CarriesRejection`]), which boxed errors can as
//! they are and a foreign error can once it is wrapped, at the bottom of the stack, in [`Error`].
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::{Rejection, RejectionKind};
//!
//! let rejection = Rejection::new(RejectionKind::RateLimited, "rate")
//!     .with_key("odds-api")
//!     .with_limit(30)
//!     .with_retry_after(Duration::from_secs(2));
//! assert_eq!(rejection.to_string(), "rate: rate limited for `odds-api` (limit 30), retry in 2s");
//! ```

use std::borrow::Cow;
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::outcome::{AsOutcome, Outcome};

/// Why a call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// A circuit breaker is open.
    CircuitOpen,
    /// A bulkhead has no permit, or its queue no place.
    BulkheadFull,
    /// A rate limit would be broken.
    RateLimited,
    /// An attempt took longer than its timeout.
    TimedOut,
    /// The call's deadline has passed.
    DeadlineExceeded,
    /// The retry budget is spent.
    RetryBudgetExhausted,
    /// The call was shed under overload.
    Shed,
    /// The process is shutting down.
    ShuttingDown,
}

impl RejectionKind {
    const fn words(self) -> &'static str {
        match self {
            RejectionKind::CircuitOpen => "circuit open",
            RejectionKind::BulkheadFull => "bulkhead full",
            RejectionKind::RateLimited => "rate limited",
            RejectionKind::TimedOut => "timed out",
            RejectionKind::DeadlineExceeded => "deadline exceeded",
            RejectionKind::RetryBudgetExhausted => "retry budget exhausted",
            RejectionKind::Shed => "shed",
            RejectionKind::ShuttingDown => "shutting down",
        }
    }
}

/// A layer's or key's name. A `&'static str` costs nothing to clone, anything else one
/// reference count.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Repr);

#[derive(Clone, PartialEq, Eq, Hash)]
enum Repr {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Name {
    /// The name of a layer that was not given one.
    #[must_use]
    pub const fn from_static(name: &'static str) -> Name {
        Name(Repr::Static(name))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(name) => name,
            Repr::Shared(name) => name,
        }
    }
}

impl From<&'static str> for Name {
    fn from(name: &'static str) -> Name {
        Name::from_static(name)
    }
}

impl From<String> for Name {
    fn from(name: String) -> Name {
        Name(Repr::Shared(name.into()))
    }
}

impl From<Arc<str>> for Name {
    fn from(name: Arc<str>) -> Name {
        Name(Repr::Shared(name))
    }
}

impl From<Cow<'static, str>> for Name {
    fn from(name: Cow<'static, str>) -> Name {
        match name {
            Cow::Borrowed(name) => name.into(),
            Cow::Owned(name) => name.into(),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

/// A limit, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quantity {
    /// So many of something.
    Count(u64),
    /// So long.
    Duration(Duration),
}

impl From<u64> for Quantity {
    fn from(count: u64) -> Quantity {
        Quantity::Count(count)
    }
}

impl From<Duration> for Quantity {
    fn from(duration: Duration) -> Quantity {
        Quantity::Duration(duration)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Quantity::Count(count) => count.fmt(f),
            Quantity::Duration(duration) => fmt::Debug::fmt(duration, f),
        }
    }
}

/// A refusal: which kind, by which layer, for which key, at which limit, and when to come back.
///
/// Making one does not allocate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    kind: RejectionKind,
    layer: Name,
    key: Option<Name>,
    limit: Option<Quantity>,
    retry_after: Option<Duration>,
}

impl Rejection {
    /// A refusal of this kind by the layer of this name.
    #[must_use]
    pub fn new(kind: RejectionKind, layer: impl Into<Name>) -> Rejection {
        Rejection { kind, layer: layer.into(), key: None, limit: None, retry_after: None }
    }

    /// Adds whose limit it was: a host, a tenant, a shard.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Name>) -> Rejection {
        self.key = Some(key.into());
        self
    }

    /// Adds the limit that was reached.
    #[must_use]
    pub fn with_limit(mut self, limit: impl Into<Quantity>) -> Rejection {
        self.limit = Some(limit.into());
        self
    }

    /// Adds when it is worth coming back.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Rejection {
        self.retry_after = Some(after);
        self
    }

    /// Why.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Who: the name of the layer.
    #[must_use]
    pub fn layer(&self) -> &str {
        self.layer.as_str()
    }

    /// Whose limit, where a layer keeps one for each key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_ref().map(Name::as_str)
    }

    /// The limit that was reached.
    #[must_use]
    pub fn limit(&self) -> Option<Quantity> {
        self.limit
    }

    /// Until when: how long from the refusal it is worth coming back, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The first rejection in `error` or its chain of sources.
    #[must_use]
    pub fn find<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Rejection> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(rejection) = error.downcast_ref() {
                return Some(rejection);
            }
            next = error.source();
        }
        None
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.kind.words())?;
        if let Some(key) = &self.key {
            write!(f, " for `{key}`")?;
        }
        if let Some(limit) = self.limit {
            write!(f, " (limit {limit})")?;
        }
        if let Some(after) = self.retry_after {
            write!(f, ", retry in {after:?}")?;
        }
        Ok(())
    }
}

impl StdError for Rejection {}

/// What a refusal means to the layers above it.
///
/// A timed-out attempt did reach the other side and is worth another. An open circuit, a full
/// bulkhead, a rate limit and shedding kept the call in the house: that is *not ready*. A spent
/// deadline, a spent budget and a shutdown end the call.
impl AsOutcome for Rejection {
    fn as_outcome(&self) -> Outcome {
        match self.kind {
            RejectionKind::TimedOut => Outcome::TimedOut,
            RejectionKind::CircuitOpen
            | RejectionKind::BulkheadFull
            | RejectionKind::RateLimited
            | RejectionKind::Shed => Outcome::NotReady(self.retry_after.into()),
            RejectionKind::DeadlineExceeded
            | RejectionKind::RetryBudgetExhausted
            | RejectionKind::ShuttingDown => Outcome::Permanent,
        }
    }
}

/// An error type that a layer's [`Rejection`] can travel in, and be found in again.
///
/// Layers put their refusals into the service's own error type, and read those of the layers below
/// them: a retry must recognise an open circuit whatever the classifier it was given would say.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot carry a `Rejection`",
    label = "a resilience layer reports its refusals in the service's own error type",
    note = "wrap the service's errors once, below every resilience layer: `.map_err(resilience_core::Error::Service)`",
    note = "or use a boxed error, which qualifies as it is: `.map_err(tower::BoxError::from)`",
    note = "or implement `From<Rejection>` and `CarriesRejection` for `{Self}`"
)]
pub trait CarriesRejection: From<Rejection> {
    /// The rejection in this error, if that is what it is.
    fn rejection(&self) -> Option<&Rejection>;
}

impl CarriesRejection for Rejection {
    fn rejection(&self) -> Option<&Rejection> {
        Some(self)
    }
}

impl CarriesRejection for Box<dyn StdError + Send + Sync> {
    fn rejection(&self) -> Option<&Rejection> {
        Rejection::find(&**self)
    }
}

/// A service's error, or a layer's refusal.
///
/// Wraps a foreign error type once, at the bottom of a stack; no layer above wraps it again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the service's or ours: there is no third")]
pub enum Error<E> {
    /// The service ran and failed.
    Service(E),
    /// A layer refused the call.
    Rejected(Rejection),
}

impl<E> Error<E> {
    /// The service's own error, if it was the service.
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
}

impl<E: AsOutcome> AsOutcome for Error<E> {
    fn as_outcome(&self) -> Outcome {
        match self {
            Error::Service(error) => error.as_outcome(),
            Error::Rejected(rejection) => rejection.as_outcome(),
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

/// Transparent: the source of a wrapped error is that error's own source.
impl<E: StdError + 'static> StdError for Error<E> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Error::Service(error) => error.source(),
            // The rejection itself is what `Rejection::find` looks for in a chain.
            Error::Rejected(rejection) => Some(rejection),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::RetryHint;
    use std::io;

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
    fn a_refusal_in_the_house_is_not_a_failure() {
        let open = Rejection::new(RejectionKind::CircuitOpen, "breaker");
        assert_eq!(open.as_outcome(), Outcome::NotReady(RetryHint::None));
        let limited = Rejection::new(RejectionKind::RateLimited, "rate")
            .with_retry_after(Duration::from_secs(1));
        assert_eq!(limited.as_outcome(), Outcome::not_ready(Duration::from_secs(1)));
        let late = Rejection::new(RejectionKind::TimedOut, "timeout");
        assert_eq!(late.as_outcome(), Outcome::TimedOut);
        let closing = Rejection::new(RejectionKind::ShuttingDown, "shutdown");
        assert_eq!(closing.as_outcome(), Outcome::Permanent);
    }

    #[test]
    fn a_rejection_stays_small_enough_to_return_by_value() {
        assert!(size_of::<Rejection>() <= 96, "{}", size_of::<Rejection>());
    }
}
