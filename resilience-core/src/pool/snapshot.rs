//! What there is to see of a pool.

use deadpool::managed::Manager;

use super::Retired;
use super::handle::ResilientPool;
use super::tally::Tally;
use crate::observe::{Gauges, names};

/// A pool at one moment, for metrics and tests. Each number is exact; they are read one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PoolSnapshot {
    /// The most objects there may be; 0 once closed.
    pub max_size: usize,
    /// How many there are or are being made. More than `max_size` after that was lowered, until they come back.
    pub size: usize,
    /// How many of them nobody uses.
    pub idle: usize,
    /// Calls that have an object or are at work on getting one.
    pub in_use: u32,
    /// The most that ever were.
    pub peak: u32,
    /// Calls that wait.
    pub waiting: usize,
    /// Calls that ever had to wait.
    pub waited: u64,
    /// Calls that were refused because all objects were out.
    pub refused: u64,
    /// Objects made.
    pub created: u64,
    /// Failures to make one.
    pub create_failures: u64,
    retired: [u64; Retired::ALL.len()],
}

impl PoolSnapshot {
    /// Objects that went for this reason.
    #[must_use]
    pub const fn retired(&self, why: Retired) -> u64 {
        self.retired[why as usize]
    }
}

impl<M: Manager> ResilientPool<M> {
    /// What there is now. Takes the pool's locks for a moment.
    #[must_use]
    pub fn snapshot(&self) -> PoolSnapshot {
        let (shared, calls) = (&*self.0, self.0.bulkhead.snapshot());
        let tally: &Tally = &shared.core.tally;
        let shelf = shared.shelf.lock();
        let (size, idle) = (shelf.size(), shelf.idle());
        drop(shelf);
        PoolSnapshot {
            max_size: shared.limit(),
            size,
            idle,
            in_use: calls.in_use,
            peak: calls.peak,
            waiting: calls.queued,
            waited: calls.waited,
            refused: calls.refused,
            created: tally.count_made(),
            create_failures: tally.count_failed(),
            retired: Retired::ALL.map(|why| tally.count_retired(why)),
        }
    }
}

/// [`names::POOL_MAX_SIZE`], [`names::POOL_SIZE`], [`names::POOL_IDLE`], [`names::POOL_IN_USE`] and
/// [`names::POOL_WAITING`].
impl<M: Manager> Gauges for ResilientPool<M> {
    #[expect(clippy::cast_precision_loss, reason = "for people and graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        let now = self.snapshot();
        visit(names::POOL_MAX_SIZE, now.max_size as f64);
        visit(names::POOL_SIZE, now.size as f64);
        visit(names::POOL_IDLE, now.idle as f64);
        visit(names::POOL_IN_USE, f64::from(now.in_use));
        visit(names::POOL_WAITING, now.waiting as f64);
    }
}
