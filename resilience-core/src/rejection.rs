//! The rejection of a call by a layer.
//!
//! All layers share one type, [`Rejection`], which travels in the service's own error type
//! (`CarriesRejection`). A rejection names its layer, its reason, the key and the limit, and the
//! time after which another call is worth it.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::{Rejection, RejectionKind};
//!
//! let rejection = Rejection::new(RejectionKind::RateLimited, "rate")
//!     .with_key("odds-api")
//!     .with_limit(30)
//!     .with_observed(31)
//!     .with_retry_after(Duration::from_secs(2));
//! assert_eq!(
//!     rejection.to_string(),
//!     "rate: rate limited for `odds-api` (31 calls, limit 30), retry in 2 s"
//! );
//! ```

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::time::Duration;

use crate::name::Name;
use crate::outcome::{AsOutcome, Outcome, RetryHint};
use crate::rounded::Rounded;

/// The reason of a rejection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectionKind {
    /// A circuit breaker is open.
    CircuitOpen,
    /// A bulkhead has no permit free, or no place in its queue.
    BulkheadFull,
    /// The call would exceed a rate limit.
    RateLimited,
    /// An attempt took longer than its timeout.
    TimedOut,
    /// The call's deadline has passed.
    DeadlineExceeded,
    /// The call was shed under overload. For layers of your own, and for the uploads that
    /// `resilience-http` rejects: no policy of this crate sheds.
    Shed,
    /// The process is shutting down.
    ShuttingDown,
    /// The lease under which the work ran is lost.
    LeaseLost,
    /// Something that the call needs is still to come: data, or a lease that another holder has.
    NotReady,
}

impl RejectionKind {
    /// Returns `true` for the kinds that end a call which is under way.
    const fn is_out_of_time(self) -> bool {
        matches!(self, RejectionKind::TimedOut | RejectionKind::DeadlineExceeded)
    }

    /// Returns `true` for the kinds that end work which may have had an effect.
    const fn ends_work(self) -> bool {
        self.is_out_of_time() || matches!(self, RejectionKind::LeaseLost)
    }

    const fn unit(self) -> Unit {
        match self {
            RejectionKind::CircuitOpen => Unit::Failures,
            _ => Unit::Calls,
        }
    }

    const fn words(self) -> &'static str {
        match self {
            RejectionKind::CircuitOpen => "circuit open",
            RejectionKind::BulkheadFull => "bulkhead full",
            RejectionKind::RateLimited => "rate limited",
            RejectionKind::TimedOut => "timed out",
            RejectionKind::DeadlineExceeded => "deadline exceeded",
            RejectionKind::Shed => "shed",
            RejectionKind::ShuttingDown => "shutting down",
            RejectionKind::LeaseLost => "lease lost",
            RejectionKind::NotReady => "not ready",
        }
    }
}

/// A limit, in its own unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Quantity {
    /// A number of calls, permits or bytes.
    Count(u64),
    /// A length of time.
    Duration(Duration),
}

/// The unit of a count in a [`Rejection`], for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unit {
    /// Calls, or the tokens that they cost.
    Calls,
    /// Calls in a queue.
    CallsWaiting,
    /// Permits in use, or needed by a call.
    Permits,
    /// Failed calls.
    Failures,
    /// Slow calls.
    SlowCalls,
    /// Probes of a half-open circuit.
    Probes,
    /// Probes that failed.
    FailedProbes,
    /// Per cent of the calls.
    Percent,
    /// Bytes.
    Bytes,
}

impl Unit {
    /// Returns the words for one, and for any other count.
    const fn words(self) -> [&'static str; 2] {
        match self {
            Unit::Calls => ["call", "calls"],
            Unit::CallsWaiting => ["call waiting", "calls waiting"],
            Unit::Permits => ["permit", "permits"],
            Unit::Failures => ["failure", "failures"],
            Unit::SlowCalls => ["slow call", "slow calls"],
            Unit::Probes => ["probe", "probes"],
            Unit::FailedProbes => ["failed probe", "failed probes"],
            Unit::Percent => ["% of the calls"; 2],
            Unit::Bytes => ["byte", "bytes"],
        }
    }

    /// Shows a quantity in this unit.
    fn show(self, quantity: Quantity, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Quantity::Count(count) = quantity else { return fmt::Display::fmt(&quantity, f) };
        write!(f, "{count} {}", self.words()[usize::from(count != 1)])
    }
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
            Quantity::Duration(duration) => Rounded(*duration).fmt(f),
        }
    }
}

/// The rejection of a call: its kind, the layer, the key, the limit and the observed value, and
/// when to retry.
///
/// Creating one does not allocate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    pub(crate) kind: RejectionKind,
    pub(crate) layer: Name,
    pub(crate) key: Option<Name>,
    pub(crate) limit: Option<Quantity>,
    pub(crate) observed: Option<Quantity>,
    pub(crate) unit: Unit,
    pub(crate) retry: RetryHint,
    pub(crate) may_have_run: bool,
}

impl Rejection {
    /// Returns a rejection of this kind by the layer of this name.
    #[must_use]
    pub fn new(kind: RejectionKind, layer: impl Into<Name>) -> Rejection {
        Rejection {
            kind,
            layer: layer.into(),
            key: None,
            limit: None,
            observed: None,
            unit: kind.unit(),
            retry: RetryHint::None,
            may_have_run: kind.ends_work(),
        }
    }

    /// Sets the key that the limit belongs to: a host, a tenant, a shard.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Name>) -> Rejection {
        self.key = Some(key.into());
        self
    }

    /// Sets the limit that was reached.
    #[must_use]
    pub fn with_limit(mut self, limit: impl Into<Quantity>) -> Rejection {
        self.limit = Some(limit.into());
        self
    }

    /// Sets the value that exceeded the limit.
    #[must_use]
    pub fn with_observed(mut self, observed: impl Into<Quantity>) -> Rejection {
        self.observed = Some(observed.into());
        self
    }

    /// Sets the unit of `limit` and `observed` where they are counts. By default failures for an
    /// open circuit, and calls for everything else.
    #[must_use]
    pub const fn with_unit(mut self, unit: Unit) -> Rejection {
        self.unit = unit;
        self
    }

    /// Sets the time after which a retry is worth it.
    #[must_use]
    pub fn with_retry_after(mut self, after: Duration) -> Rejection {
        self.retry = RetryHint::After(after);
        self
    }

    /// Forbids a retry: the call needs more than the limit will ever allow.
    #[must_use]
    pub fn never(mut self) -> Rejection {
        self.retry = RetryHint::Never;
        self
    }

    /// Returns the reason.
    #[must_use]
    pub fn kind(&self) -> RejectionKind {
        self.kind
    }

    /// Returns the name of the layer.
    #[must_use]
    pub fn layer(&self) -> &str {
        self.layer.as_str()
    }

    /// Returns the key that the limit belongs to, where a layer keeps a limit for each key.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.key.as_ref().map(Name::as_str)
    }

    /// Returns the limit that was reached.
    #[must_use]
    pub fn limit(&self) -> Option<Quantity> {
        self.limit
    }

    /// Returns the value that exceeded the limit, in the same unit.
    #[must_use]
    pub fn observed(&self) -> Option<Quantity> {
        self.observed
    }

    /// Returns the unit of `limit` and `observed` where they are counts.
    #[must_use]
    pub const fn unit(&self) -> Unit {
        self.unit
    }

    /// Returns the time from the rejection until a retry is worth it. `None` if it is not known, or
    /// if a retry is never worth it.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self.retry {
            RetryHint::After(after) => Some(after),
            RetryHint::None | RetryHint::Never => None,
        }
    }

    /// Returns the time to retry after as a hint, [never](RetryHint::Never) included.
    #[must_use]
    pub fn retry_hint(&self) -> RetryHint {
        self.retry
    }

    /// Returns `true` if the request may have had an effect: an attempt of the call was sent, and
    /// did not certainly fail without one. Set for [`TimedOut`](RejectionKind::TimedOut) and
    /// [`DeadlineExceeded`](RejectionKind::DeadlineExceeded), unless the time passed before the
    /// request was sent, and for every kind once an earlier attempt of the same call may have run.
    #[must_use]
    pub const fn may_have_run(&self) -> bool {
        self.may_have_run
    }

    /// Sets whether the request may have had an effect. By default, only a rejection that ends a
    /// call under way (by a timeout or a deadline) may have had one.
    #[must_use]
    pub const fn with_may_have_run(mut self, may_have_run: bool) -> Rejection {
        self.may_have_run = may_have_run;
        self
    }

    /// Returns the first rejection in `error` or its chain of sources.
    #[must_use]
    pub fn find<'e>(error: &'e (dyn StdError + 'static)) -> Option<&'e Rejection> {
        chain(error).find_map(|error| error.downcast_ref())
    }
}

/// Iterates over an error and the chain of its sources, outermost first.
pub(crate) fn chain<'e>(
    error: &'e (dyn StdError + 'static),
) -> impl Iterator<Item = &'e (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |&error| {
        // The source of an `io::Error` is the source of the error it wraps, which would be left
        // out.
        let wrapped = error.downcast_ref().and_then(io::Error::get_ref);
        wrapped.map(|wrapped| wrapped as &(dyn StdError + 'static)).or_else(|| error.source())
    })
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.layer, self.kind.words())?;
        if self.kind.is_out_of_time() && !self.may_have_run {
            f.write_str(" before it was sent")?;
        }
        if let Some(key) = &self.key {
            write!(f, " for `{key}`")?;
        }
        match (self.observed, self.limit) {
            (Some(observed), Some(limit)) => {
                f.write_str(" (")?;
                self.unit.show(observed, f)?;
                write!(f, ", limit {limit})")?;
            }
            (Some(observed), None) => {
                f.write_str(" (")?;
                self.unit.show(observed, f)?;
                f.write_str(")")?;
            }
            (None, Some(limit)) => {
                f.write_str(" (limit ")?;
                self.unit.show(limit, f)?;
                f.write_str(")")?;
            }
            (None, None) => {}
        }
        match self.retry {
            RetryHint::None => Ok(()),
            RetryHint::After(after) => write!(f, ", retry in {}", Rounded(after)),
            RetryHint::Never => f.write_str(", never to be retried"),
        }
    }
}

impl StdError for Rejection {}

/// Outcomes of rejections, for the layers above.
///
/// An attempt that timed out is worth another. An open circuit, a full bulkhead, a rate limit and
/// shedding kept the call from the service: that is *not ready*. A shutdown is *not ready*, and
/// never worth another attempt. A call with a passed deadline was abandoned. The service itself
/// responded to none of them.
impl AsOutcome for Rejection {
    fn as_outcome(&self) -> Outcome {
        match self.kind {
            RejectionKind::TimedOut => Outcome::TimedOut,
            RejectionKind::CircuitOpen
            | RejectionKind::BulkheadFull
            | RejectionKind::RateLimited
            | RejectionKind::Shed
            | RejectionKind::NotReady => Outcome::NotReady(self.retry),
            RejectionKind::DeadlineExceeded | RejectionKind::LeaseLost => Outcome::Abandoned,
            RejectionKind::ShuttingDown => Outcome::NotReady(RetryHint::Never),
        }
    }

    fn may_have_run(&self) -> bool {
        self.may_have_run
    }

    fn as_error(&self) -> Option<&(dyn StdError + 'static)> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejection_before_the_service_is_not_a_failure() {
        let open = Rejection::new(RejectionKind::CircuitOpen, "breaker");
        assert_eq!(open.as_outcome(), Outcome::NotReady(RetryHint::None));
        let limited = Rejection::new(RejectionKind::RateLimited, "rate")
            .with_retry_after(Duration::from_secs(1));
        assert_eq!(limited.as_outcome(), Outcome::not_ready(Duration::from_secs(1)));
        let too_much = Rejection::new(RejectionKind::RateLimited, "rate").never();
        assert_eq!(too_much.as_outcome(), Outcome::NotReady(RetryHint::Never));
        assert_eq!(too_much.to_string(), "rate: rate limited, never to be retried");
        let late = Rejection::new(RejectionKind::TimedOut, "timeout");
        assert_eq!(late.as_outcome(), Outcome::TimedOut);
        let closing = Rejection::new(RejectionKind::ShuttingDown, "shutdown");
        assert_eq!(closing.as_outcome(), Outcome::NotReady(RetryHint::Never));
        let late = Rejection::new(RejectionKind::DeadlineExceeded, "deadline");
        assert_eq!(late.as_outcome(), Outcome::Abandoned);
        let early = Rejection::new(RejectionKind::NotReady, "odds")
            .with_retry_after(Duration::from_secs(1));
        assert_eq!(early.as_outcome(), Outcome::not_ready(Duration::from_secs(1)));
        let lost = Rejection::new(RejectionKind::LeaseLost, "lease").with_key("daily");
        assert_eq!((lost.as_outcome(), lost.may_have_run()), (Outcome::Abandoned, true));
        assert_eq!(lost.to_string(), "lease: lease lost for `daily`");
    }

    #[test]
    fn only_a_call_under_way_may_have_run() {
        let late =
            Rejection::new(RejectionKind::TimedOut, "odds").with_limit(Duration::from_secs(1));
        assert!(late.may_have_run());
        assert_eq!(late.to_string(), "odds: timed out (limit 1 s)");
        let unsent = late.with_may_have_run(false);
        assert_eq!(unsent.to_string(), "odds: timed out before it was sent (limit 1 s)");
        let open = Rejection::new(RejectionKind::CircuitOpen, "breaker");
        assert!(!open.may_have_run());
        assert!(open.with_may_have_run(true).may_have_run());
    }

    #[test]
    fn a_rejection_stays_small_enough_to_return_by_value() {
        assert!(size_of::<Rejection>() <= 112, "{}", size_of::<Rejection>());
    }
}
