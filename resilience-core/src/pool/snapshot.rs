//! Counters and snapshot of a pool.

use std::sync::atomic::{AtomicU64, Ordering};

use deadpool::managed::Manager;

use super::Retired;
use super::handle::ResilientPool;
use crate::observe::{Gauges, names};

#[derive(Debug, Default)]
pub(super) struct PoolCounters {
    created: AtomicU64,
    create_failures: AtomicU64,
    retired: [AtomicU64; Retired::ALL.len()],
}

impl PoolCounters {
    pub(super) fn created(&self) {
        self.created.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn create_failed(&self) {
        self.create_failures.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retired(&self, why: Retired) {
        self.retired[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_created(&self) -> u64 {
        self.created.load(Ordering::Relaxed)
    }
}

/// State of a pool at one moment, for metrics and tests. Each number is exact; they are read one
/// after another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// Maximum number of objects; 0 once closed.
    pub max_size: usize,
    /// Objects that exist or are being made. May exceed a lowered `max_size` until checked-out
    /// objects return.
    pub size: usize,
    /// Idle objects.
    pub idle: usize,
    /// Calls that hold an object or are getting one.
    pub in_use: u32,
    /// Highest `in_use` since the pool was made.
    pub peak: u32,
    /// Calls in the queue.
    pub queued: usize,
    /// Calls that were ever queued.
    pub waited: u64,
    /// Calls rejected because all objects were checked out.
    pub rejected: u64,
    /// Objects made.
    pub created: u64,
    /// Failed attempts to make an object.
    pub create_failures: u64,
    retired: [u64; Retired::ALL.len()],
}

impl PoolSnapshot {
    /// Returns the number of objects retired for this reason.
    #[must_use]
    pub const fn retired(&self, why: Retired) -> u64 {
        self.retired[why as usize]
    }
}

impl<M: Manager> ResilientPool<M> {
    /// Returns a snapshot. Takes the pool's locks for a moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let shared = &*self.0;
        let calls = shared.bulkhead.snapshot();
        let counters: &PoolCounters = &shared.core.counters;
        let idle_list = shared.idle_list.lock();
        let size = idle_list.size();
        let idle = idle_list.idle();
        drop(idle_list);
        PoolSnapshot {
            max_size: shared.limit(),
            size,
            idle,
            in_use: calls.in_use,
            peak: calls.peak,
            queued: calls.queued,
            waited: calls.waited,
            rejected: calls.rejected,
            created: counters.count_created(),
            create_failures: counters.create_failures.load(Ordering::Relaxed),
            retired: Retired::ALL.map(|why| counters.retired[why as usize].load(Ordering::Relaxed)),
        }
    }
}

/// Visits [`names::POOL_MAX_SIZE`], [`names::POOL_SIZE`], [`names::POOL_IDLE`],
/// [`names::POOL_IN_USE`] and [`names::POOL_QUEUED`].
impl<M: Manager> Gauges for ResilientPool<M> {
    #[expect(clippy::cast_precision_loss, reason = "for people and graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        let now = self.snapshot();
        visit(names::POOL_MAX_SIZE, now.max_size as f64);
        visit(names::POOL_SIZE, now.size as f64);
        visit(names::POOL_IDLE, now.idle as f64);
        visit(names::POOL_IN_USE, f64::from(now.in_use));
        visit(names::POOL_QUEUED, now.queued as f64);
    }
}
