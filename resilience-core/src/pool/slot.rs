//! What a pool keeps beside each object.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Instant;

use deadpool::managed::{Manager, Metrics};

use super::Retired;
use super::core::Core;
use super::lifetime::Verdict;

/// An object of a [`ResilientManager`](super::ResilientManager), and when it was made and used: what
/// a pool keeps. It dereferences to the object.
pub struct Slot<M: Manager> {
    object: M::Type,
    pub(super) life: Life<M>,
}

pub(super) struct Life<M: Manager> {
    core: Arc<Core<M>>,
    /// As managers are told it.
    metrics: Metrics,
    /// When it is too old.
    end: Option<Instant>,
    used: Instant,
    /// Why it goes, once that is known.
    retired: Option<Retired>,
}

impl<M: Manager> Slot<M> {
    pub(super) fn new(core: &Arc<Core<M>>, object: M::Type, now: Instant, u: f64) -> Slot<M> {
        let metrics = Metrics { created: now, recycled: None, recycle_count: 0 };
        let end = core.lifetime().end(now, u);
        let life = Life { core: core.clone(), metrics, end, used: now, retired: None };
        core.tally.made();
        Slot { object, life }
    }

    /// The object itself, which is no longer the pool's.
    #[must_use]
    pub fn into_inner(mut self) -> M::Type {
        self.life.retire(Retired::Taken);
        self.object
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Instant {
        self.life.metrics.created
    }

    pub(super) fn object_mut(&mut self) -> &mut M::Type {
        &mut self.object
    }
}

impl<M: Manager> Life<M> {
    #[inline]
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        self.core.lifetime().verdict_at(now, self.end, self.used)
    }

    #[inline]
    pub(super) const fn used(&mut self, now: Instant) {
        self.used = now;
    }

    pub(super) const fn last_used(&self) -> Instant {
        self.used
    }

    pub(super) const fn metrics(&self) -> Metrics {
        self.metrics
    }

    /// It was found to work, now.
    #[inline]
    pub(super) const fn recycled(&mut self) {
        self.metrics.recycled = Some(self.used);
        self.metrics.recycle_count += 1;
    }

    /// It is about to go, for this reason unless there is one already.
    pub(super) const fn retire(&mut self, why: Retired) {
        if self.retired.is_none() {
            self.retired = Some(why);
        }
    }
}

/// The one place where an object's end is counted, so that none is forgotten and none counted twice.
impl<M: Manager> Drop for Life<M> {
    fn drop(&mut self) {
        self.core.retired(self.retired);
    }
}

impl<M: Manager> Deref for Slot<M> {
    type Target = M::Type;

    #[inline]
    fn deref(&self) -> &M::Type {
        &self.object
    }
}

impl<M: Manager> DerefMut for Slot<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut M::Type {
        &mut self.object
    }
}

impl<M: Manager> fmt::Debug for Slot<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("created", &self.life.metrics.created).finish_non_exhaustive()
    }
}
