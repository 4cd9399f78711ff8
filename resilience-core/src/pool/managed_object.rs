//! An object of a pool, with its times and its end.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use deadpool::managed::{Manager, Metrics};

use super::Retired;
use super::core::Core;

/// An object of a [`ResilientManager`](super::ResilientManager), with the times of its creation and
/// last use. Dereferences to the object.
pub struct ManagedObject<M: Manager> {
    object: M::Type,
    pub(super) life: Life<M>,
}

pub(super) struct Life<M: Manager> {
    core: Arc<Core<M>>,
    /// Passed to the manager's `recycle`.
    metrics: Metrics,
    /// When `max_age` is over.
    end: Option<Instant>,
    used: Instant,
    /// The first reason to retire the object.
    retired: Option<Retired>,
}

impl<M: Manager> ManagedObject<M> {
    pub(super) fn new(
        core: &Arc<Core<M>>,
        object: M::Type,
        now: Instant,
        u: f64,
    ) -> ManagedObject<M> {
        let metrics = Metrics { created: now, recycled: None, recycle_count: 0 };
        let end = core.lifetime().end(now, u);
        let life = Life { core: core.clone(), metrics, end, used: now, retired: None };
        core.counters.created();
        ManagedObject { object, life }
    }

    /// Takes the object out of the pool.
    #[must_use]
    pub fn into_inner(mut self) -> M::Type {
        self.life.retire(Retired::Taken);
        self.object
    }

    /// Returns the instant at which the object was made.
    #[must_use]
    pub fn created(&self) -> Instant {
        self.life.metrics.created
    }

    pub(super) fn object_mut(&mut self) -> &mut M::Type {
        &mut self.object
    }
}

impl<M: Manager> Life<M> {
    pub(super) fn expired(&self, now: Instant) -> Option<Retired> {
        self.core.lifetime().expired_at(now, self.end, self.used)
    }

    pub(super) const fn used(&mut self, now: Instant) {
        self.used = now;
    }

    pub(super) const fn last_used(&self) -> Instant {
        self.used
    }

    pub(super) const fn metrics(&self) -> Metrics {
        self.metrics
    }

    /// Notes that the object was validated at its last use.
    pub(super) const fn recycled(&mut self) {
        self.metrics.recycled = Some(self.used);
        self.metrics.recycle_count += 1;
    }

    /// Notes why the object is retired, unless a reason is known.
    pub(super) const fn retire(&mut self, why: Retired) {
        if self.retired.is_none() {
            self.retired = Some(why);
        }
    }
}

/// Counts the end of an object: here only, so that each is counted once.
impl<M: Manager> Drop for Life<M> {
    fn drop(&mut self) {
        self.core.retired(self.retired);
    }
}

impl<M: Manager> Deref for ManagedObject<M> {
    type Target = M::Type;

    fn deref(&self) -> &M::Type {
        &self.object
    }
}

impl<M: Manager> DerefMut for ManagedObject<M> {
    fn deref_mut(&mut self) -> &mut M::Type {
        &mut self.object
    }
}

impl<M: Manager> fmt::Debug for ManagedObject<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagedObject")
            .field("created", &self.life.metrics.created)
            .finish_non_exhaustive()
    }
}
