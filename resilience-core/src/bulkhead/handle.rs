//! The bulkhead, as it is held by those who use it.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::acquire::Acquire;
use super::builder::BulkheadBuilder;
use super::config::BulkheadConfig;
use super::family::{Family, Member};
use super::ledger::{Charge, Denied};
use super::permit::BulkheadPermit;
use super::refusal::Refusal;
use super::turnstile::{Posture, Turnstile};
use crate::keyed::Entry;
use crate::name::Name;
use crate::observe::{Event, Gauges, Listener, names};
use crate::rejection::Rejection;

/// A limit on how much is under way at once. Clones share it. See the [module](super).
#[derive(Clone)]
pub struct Bulkhead(pub(super) Arc<Member>);

/// A bulkhead at one moment, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// How many permits there are.
    pub limit: u32,
    /// How many are out. More than `limit` after it was lowered, or while this only observes.
    pub in_use: u32,
    /// Permits that a new call gets at once: 0 while others wait for what is free, and while more are out
    /// than there are. By the limit also while this only observes, and then admits more.
    pub available: u32,
    /// The most that ever were.
    pub peak: u32,
    /// Calls that wait.
    pub queued: usize,
    /// Calls that ever had to wait.
    pub waited: u64,
    /// Calls that were refused, or would have been if this did more than observe.
    pub refused: u64,
}

impl Bulkhead {
    /// Starts from the defaults: 25 permits, and a call that finds none is refused at once.
    ///
    /// 25 is resilience4j's. Refusing is the default because it needs nothing else to be right: how
    /// long it is worth waiting, and how many may, depend on what callers can bear. Where calls wait,
    /// at most 100 do: for four times as long as a call takes.
    pub fn builder() -> BulkheadBuilder {
        BulkheadBuilder::new()
    }

    pub(super) fn new(name: Name, listener: Listener, config: BulkheadConfig) -> Bulkhead {
        Bulkhead(Family::found(name, listener, config.0))
    }

    /// `weight` permits, if they are free and nobody waits for them; never waits, also not by yielding.
    /// A weight of 0 is always admitted. The permits are borrowed from this handle, which costs less
    /// than [owning](Bulkhead::try_acquire_owned) them.
    ///
    /// # Errors
    /// If they are not free.
    #[inline]
    pub fn try_acquire(&self, weight: u32) -> Result<BulkheadPermit<&Bulkhead>, Rejection> {
        match self.turnstile().try_take(weight) {
            Ok(charge) => Ok(BulkheadPermit::new(self, charge)),
            Err(denied) => {
                let charge = self.denied(weight, denied)?;
                Ok(BulkheadPermit::new(self, charge))
            }
        }
    }

    /// The same for whoever can do without: that there is none is no refusal, and nobody is told.
    #[cfg(feature = "pool")]
    pub(crate) fn quietly(&self, weight: u32) -> Option<BulkheadPermit<&Bulkhead>> {
        let charge = self.turnstile().try_take(weight).ok()?;
        Some(BulkheadPermit::new(self, charge))
    }

    /// As [`try_acquire`](Bulkhead::try_acquire), for permits that outlive this handle.
    ///
    /// # Errors
    /// If they are not free.
    #[inline]
    pub fn try_acquire_owned(&self, weight: u32) -> Result<BulkheadPermit, Rejection> {
        Ok(self.try_acquire(weight)?.into_owned())
    }

    /// `weight` permits, waiting for them if this bulkhead waits. Dropping the future leaves the queue.
    ///
    /// Waiting for a [limited time](BulkheadBuilder::wait_at_most) needs tokio's timer, unless the
    /// deadline of the surrounding call comes before.
    #[inline]
    pub fn acquire(&self, weight: u32) -> Acquire<&Bulkhead> {
        Acquire::new(self, weight)
    }

    /// As [`acquire`](Bulkhead::acquire), for permits that outlive this handle.
    #[inline]
    pub fn acquire_owned(&self, weight: u32) -> Acquire {
        Acquire::new(self.clone(), weight)
    }

    /// Changes how many permits there are, here and for [every key](Bulkhead::fresh), at once. Those
    /// that wait and fit now are served; those that wait for more than there are now are refused.
    /// Permits that are out stay out: below that, it is a debt. 0 is a pause: calls wait or are
    /// refused, until it is raised.
    pub fn resize(&self, max_concurrent: u32) {
        self.0.family().change(|rules| rules.max_concurrent = max_concurrent);
    }

    /// Puts another configuration into force, here and for [every key](Bulkhead::fresh), at once. The
    /// name, the listener and the numbers of the snapshot stay. Permits that are out stay out. Calls that
    /// wait keep their place and the time they were given, also where later calls are rejected at once;
    /// those that wait for more permits than there are now are rejected.
    pub fn set_config(&self, config: BulkheadConfig) {
        self.0.family().change(|rules| *rules = config.0);
    }

    /// A bulkhead with permits of its own and the same configuration, also when that changes: what a
    /// keyed store makes for a new key.
    #[must_use]
    pub fn fresh(&self) -> Bulkhead {
        Bulkhead(Family::join(self.0.family()))
    }

    /// What there is now. Takes the queue's lock for a moment.
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let turnstile = self.turnstile();
        let (permits, sight) = (turnstile.ledger().permits(), turnstile.look());
        BulkheadSnapshot {
            limit: permits.limit,
            in_use: permits.in_use,
            available: permits.available(),
            peak: turnstile.ledger().peak(),
            queued: sight.queued,
            waited: sight.waited,
            refused: turnstile.refused(),
        }
    }

    /// How many permits there are.
    #[cfg(feature = "pool")]
    #[inline]
    pub(crate) fn limit(&self) -> u32 {
        self.turnstile().ledger().permits().limit
    }

    /// What rejections and events call this bulkhead.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.family().name().as_str()
    }

    /// Whether permits are out, or calls wait.
    pub(crate) fn is_busy(&self) -> bool {
        self.turnstile().ledger().permits().in_use > 0 || !self.turnstile().look().idle
    }

    #[inline]
    pub(super) fn turnstile(&self) -> &Turnstile {
        self.0.turnstile()
    }

    /// What becomes of a call that does not wait.
    #[cold]
    fn denied(&self, weight: u32, denied: Denied) -> Result<Charge, Rejection> {
        if self.turnstile().posture() == Posture::Observed {
            return Ok(self.observe(weight, denied, || None));
        }
        Err(self.refuse(self.turnstile().refusal(denied, weight), || None))
    }

    pub(super) fn observe(
        &self,
        weight: u32,
        denied: Denied,
        key: impl FnOnce() -> Option<Name>,
    ) -> Charge {
        // The key's name before the permits: it may panic.
        if let Some(refusal) = self.turnstile().would_refuse(weight, denied) {
            self.turnstile().count_refusal();
            let family = self.0.family();
            let rejection = refusal.into_rejection(family.name().clone(), key());
            family.listener().tell(|| Event::WouldReject(&rejection));
        }
        self.turnstile().let_in(weight)
    }

    pub(super) fn refuse(&self, refusal: Refusal, key: impl FnOnce() -> Option<Name>) -> Rejection {
        self.turnstile().count_refusal();
        let family = self.0.family();
        let rejection = refusal.into_rejection(family.name().clone(), key());
        family.listener().tell(|| Event::Rejected(&rejection));
        rejection
    }
}

/// [`names::BULKHEAD_IN_USE`], [`names::BULKHEAD_QUEUED`] and [`names::BULKHEAD_LIMIT`].
impl Gauges for Bulkhead {
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        let now = self.snapshot();
        visit(names::BULKHEAD_IN_USE, f64::from(now.in_use));
        visit(names::BULKHEAD_QUEUED, now.queued as f64);
        visit(names::BULKHEAD_LIMIT, f64::from(now.limit));
    }
}

impl fmt::Debug for Bulkhead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let permits = self.turnstile().ledger().permits();
        f.debug_struct("Bulkhead")
            .field("name", &self.name())
            .field("limit", &permits.limit)
            .field("in_use", &permits.in_use)
            .finish_non_exhaustive()
    }
}

/// Remembers nothing: without permits out and calls that wait, it is as new.
impl Entry for Bulkhead {
    /// While permits are out, calls wait, or anybody but the store holds it: they would be admitted
    /// beside those of the next bulkhead for this key.
    fn is_pinned(&self, _: Instant) -> bool {
        Arc::strong_count(&self.0) > 1 || self.is_busy()
    }

    fn heap_bytes(&self) -> usize {
        Member::HEAP_BYTES + self.turnstile().look().heap_bytes
    }
}
