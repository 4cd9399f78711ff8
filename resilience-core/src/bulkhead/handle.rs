//! The handle that calls share.

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use super::acquire::Acquire;
use super::admission_queue::{AdmissionQueue, FullAction};
use super::builder::{BulkheadBuilder, BulkheadConfig};
use super::group::{Group, Member};
use super::permit::BulkheadPermit;
use super::permits::{Denied, PermitGrant};
use crate::keyed::Entry;
use crate::name::Name;
use crate::observe::{Event, Gauges, Listener, names};
#[cfg(feature = "tower")]
use crate::plan_input::{BulkheadInput, QueueInput};
use crate::rejection::{Rejection, RejectionKind, Unit};

/// A limit on the calls under way at once. Clones share it. See the [module](super).
#[derive(Clone)]
pub struct Bulkhead(pub(super) Arc<Member>);

/// A bulkhead at one moment, for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BulkheadSnapshot {
    /// The number of permits.
    pub limit: u32,
    /// Permits in use. More than `limit` after it was lowered, or while the bulkhead only observes.
    pub in_use: u32,
    /// Permits that a new call gets at once: 0 while others wait for what is free, and while more
    /// are in use than there are. A bulkhead that only observes admits more.
    pub available: u32,
    /// The most permits that were in use at once.
    pub peak: u32,
    /// Calls that wait.
    pub queued: usize,
    /// Calls that ever had to wait.
    pub waited: u64,
    /// Calls that were rejected, or would have been by a bulkhead that only observes.
    pub rejected: u64,
}

/// Why a call is not admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BulkheadRejectReason {
    /// No permit was free, or none became free in time.
    Full { limit: u32, in_use: u32 },
    /// The queue was full, or a newer call took its place.
    QueueFull { limit: u32, queued: usize },
    /// The call needs more permits than there are.
    Never { limit: u32, cost: u32 },
    /// The deadline of the call had passed before it could wait.
    Late,
}

impl Bulkhead {
    /// Returns a builder with the defaults: 25 permits, and a call that finds none is rejected at
    /// once.
    ///
    /// 25 is resilience4j's default. Calls are rejected by default because the right limits on
    /// waits depend on the callers. If calls wait, at most 100 do, which is four times the duration
    /// of a call.
    pub fn builder() -> BulkheadBuilder {
        BulkheadBuilder::new()
    }

    pub(super) fn new(name: Name, listener: Listener, config: BulkheadConfig) -> Bulkhead {
        Bulkhead(Group::found(name, listener, config))
    }

    /// Takes `weight` permits if they are free and no call waits for them. Never waits or yields. A
    /// weight of 0 is always admitted. The permits are borrowed from this handle, which costs less
    /// than [owning](Bulkhead::try_acquire_owned) them.
    ///
    /// # Errors
    /// [`BulkheadFull`](RejectionKind::BulkheadFull), if they are not free.
    #[inline]
    pub fn try_acquire(&self, weight: u32) -> Result<BulkheadPermit<&Bulkhead>, Rejection> {
        let grant = match self.admission_queue().permits.try_take(weight) {
            Ok(grant) => grant,
            Err(denied) => self.denied(weight, denied)?,
        };
        Ok(BulkheadPermit::new(self, grant))
    }

    /// Takes permits as [`try_acquire`](Bulkhead::try_acquire) does, without counting or reporting
    /// a rejection.
    #[cfg(feature = "pool")]
    pub(crate) fn quietly(&self, weight: u32) -> Option<BulkheadPermit<&Bulkhead>> {
        let grant = self.admission_queue().permits.try_take(weight).ok()?;
        Some(BulkheadPermit::new(self, grant))
    }

    /// Takes permits that outlive this handle, as [`try_acquire`](Bulkhead::try_acquire) does.
    ///
    /// # Errors
    /// [`BulkheadFull`](RejectionKind::BulkheadFull), if they are not free.
    #[inline]
    pub fn try_acquire_owned(&self, weight: u32) -> Result<BulkheadPermit, Rejection> {
        Ok(self.try_acquire(weight)?.into_owned())
    }

    /// Takes `weight` permits, and waits for them if this bulkhead is configured to. Dropping the
    /// future leaves the queue.
    ///
    /// A [limited wait](BulkheadBuilder::wait_at_most) needs tokio's timer, unless the deadline of
    /// the surrounding call comes first.
    #[inline]
    pub fn acquire(&self, weight: u32) -> Acquire<&Bulkhead> {
        Acquire::new(self, weight)
    }

    /// Takes permits that outlive this handle, as [`acquire`](Bulkhead::acquire) does.
    #[inline]
    pub fn acquire_owned(&self, weight: u32) -> Acquire {
        Acquire::new(self.clone(), weight)
    }

    /// Changes the number of permits, here and for [every key](Bulkhead::fresh), at once. Calls
    /// that wait and fit now are served; calls that wait for more permits than the new limit are
    /// rejected. Permits in use stay in use; none is granted while they exceed the limit. 0 is a
    /// pause: calls wait or are rejected until the limit is raised.
    pub fn resize(&self, max_concurrent: u32) {
        self.0.group.change(|config| BulkheadConfig { max_concurrent, ..*config });
    }

    /// Puts another configuration into force, here and for [every key](Bulkhead::fresh), at once.
    /// The name, the listener and the numbers of the snapshot stay. Permits in use stay in use.
    /// Calls that wait keep their place and their limit on the wait, even if later calls are
    /// rejected at once; calls that wait for more permits than the new limit are rejected.
    pub fn set_config(&self, config: BulkheadConfig) {
        self.0.group.change(|_| config);
    }

    /// Returns the configuration in force.
    #[must_use]
    pub fn config(&self) -> BulkheadConfig {
        self.0.group.config()
    }

    /// Returns a bulkhead with permits of its own. It shares the name, the listener and the
    /// configuration: a later [`set_config`](Bulkhead::set_config) on either applies to both.
    #[must_use]
    pub fn fresh(&self) -> Bulkhead {
        Bulkhead(Group::join(&self.0.group))
    }

    /// Returns the state now. Takes the lock of the queue for a moment.
    #[must_use]
    pub fn snapshot(&self) -> BulkheadSnapshot {
        let admission_queue = self.admission_queue();
        let counts = admission_queue.permits.counts();
        let stats = admission_queue.stats();
        BulkheadSnapshot {
            limit: counts.limit,
            in_use: counts.in_use,
            available: counts.available(),
            peak: admission_queue.permits.peak(),
            queued: stats.queued,
            waited: stats.waited,
            rejected: admission_queue.rejected(),
        }
    }

    /// Returns the number of permits.
    #[cfg(feature = "pool")]
    pub(crate) fn limit(&self) -> u32 {
        self.admission_queue().permits.counts().limit
    }

    /// Returns the name that rejections and events carry.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.group.name.as_str()
    }

    /// Returns `true` if permits are in use or calls wait.
    pub(crate) fn is_busy(&self) -> bool {
        let admission_queue = self.admission_queue();
        admission_queue.permits.counts().in_use > 0 || !admission_queue.stats().idle
    }

    #[inline]
    pub(super) fn admission_queue(&self) -> &AdmissionQueue {
        &self.0.admission_queue
    }

    /// Rejects a call that does not wait, or only observes it.
    #[cold]
    fn denied(&self, weight: u32, denied: Denied) -> Result<PermitGrant, Rejection> {
        if self.admission_queue().full_action() == FullAction::Observe {
            return Ok(self.observe(weight, denied, || None));
        }
        Err(self.reject(self.admission_queue().reason(denied, weight), || None))
    }

    pub(super) fn observe(
        &self,
        weight: u32,
        denied: Denied,
        key: impl FnOnce() -> Option<Name>,
    ) -> PermitGrant {
        // Before the permits are taken: the closure that names the key may panic.
        if let Some(reason) = self.admission_queue().would_reject(weight, denied) {
            let rejection = self.rejection(reason, key);
            self.0.group.listener.notify(|| Event::WouldReject(&rejection));
        }
        self.admission_queue().admit_over_limit(weight)
    }

    pub(super) fn reject(
        &self,
        reason: BulkheadRejectReason,
        key: impl FnOnce() -> Option<Name>,
    ) -> Rejection {
        let rejection = self.rejection(reason, key);
        self.0.group.listener.notify(|| Event::Rejected(&rejection));
        rejection
    }

    /// Counts and returns a rejection.
    fn rejection(
        &self,
        reason: BulkheadRejectReason,
        key: impl FnOnce() -> Option<Name>,
    ) -> Rejection {
        self.admission_queue().count_rejection();
        reason.into_rejection(self.0.group.name.clone(), key())
    }
}

#[cfg(feature = "tower")]
impl Bulkhead {
    /// Returns the input of a stack's plan.
    pub(crate) fn planned(&self) -> BulkheadInput {
        let BulkheadConfig { max_concurrent, on_full, max_queued, observe_only, .. } =
            self.config();
        BulkheadInput {
            max_concurrent,
            queue: QueueInput { on_full, chosen: true, max_queued },
            enforced: !observe_only,
        }
    }
}

impl BulkheadRejectReason {
    /// Returns the rejection. Without a time to retry after, since it is not known when a permit is
    /// free.
    fn into_rejection(self, layer: Name, key: Option<Name>) -> Rejection {
        let kind = match self {
            BulkheadRejectReason::Late => RejectionKind::DeadlineExceeded,
            _ => RejectionKind::BulkheadFull,
        };
        let mut rejection = Rejection::new(kind, layer);
        if let Some(key) = key {
            rejection = rejection.with_key(key);
        }
        let (limit, observed, unit) = match self {
            BulkheadRejectReason::Full { limit, in_use } => {
                (limit, u64::from(in_use), Unit::Permits)
            }
            BulkheadRejectReason::QueueFull { limit, queued } => {
                (limit, queued as u64, Unit::CallsWaiting)
            }
            BulkheadRejectReason::Never { limit, cost } => {
                rejection = rejection.never();
                (limit, u64::from(cost), Unit::Permits)
            }
            BulkheadRejectReason::Late => return rejection,
        };
        rejection.with_limit(u64::from(limit)).with_observed(observed).with_unit(unit)
    }
}

/// Visits [`names::BULKHEAD_IN_USE`], [`names::BULKHEAD_QUEUED`] and [`names::BULKHEAD_LIMIT`].
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
        let counts = self.admission_queue().permits.counts();
        f.debug_struct("Bulkhead")
            .field("name", &self.name())
            .field("limit", &counts.limit)
            .field("in_use", &counts.in_use)
            .finish_non_exhaustive()
    }
}

/// Remembers nothing: a bulkhead without permits in use and calls that wait is as new.
impl Entry for Bulkhead {
    /// Returns `true` while permits are in use, calls wait, or there is a handle outside of the
    /// store. If such a bulkhead were evicted, its calls would be under way beside those of the
    /// next bulkhead for the key.
    fn is_pinned(&self, _: Instant) -> bool {
        Arc::strong_count(&self.0) > 1 || self.is_busy()
    }

    fn heap_bytes(&self) -> usize {
        Member::HEAP_BYTES + self.admission_queue().stats().heap_bytes
    }
}
