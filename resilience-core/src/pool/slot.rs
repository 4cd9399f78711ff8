//! What a pool keeps beside each object.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::time::Instant;

use deadpool::managed::Manager;

use super::core::Core;
use super::lifetime::Verdict;
use super::retired::Retired;

/// An object of a [`ResilientManager`](super::ResilientManager), and when it was made and used: what
/// deadpool's pool keeps. It dereferences to the object.
pub struct Slot<M: Manager> {
    object: M::Type,
    pub(super) life: Life<M>,
}

pub(super) struct Life<M: Manager> {
    core: Arc<Core<M>>,
    created: Instant,
    used: Instant,
    /// The sample that its life is shortened by.
    u: f64,
    /// Whether nobody had it yet.
    pub(super) fresh: bool,
    /// Why it goes, as the number of a [`Retired`], and [`UNDECIDED`] before.
    retired: AtomicU8,
    /// Whether whoever takes it out of deadpool's pool detaches it from its manager.
    reaped: AtomicBool,
}

const UNDECIDED: u8 = u8::MAX;

impl<M: Manager> Slot<M> {
    pub(super) fn new(core: &Arc<Core<M>>, object: M::Type, now: Instant, u: f64) -> Slot<M> {
        let life = Life {
            core: core.clone(),
            created: now,
            used: now,
            u,
            fresh: true,
            retired: AtomicU8::new(UNDECIDED),
            reaped: AtomicBool::new(false),
        };
        core.tally.made();
        Slot { object, life }
    }

    /// The object itself, which is no longer the pool's.
    #[must_use]
    pub fn into_inner(self) -> M::Type {
        self.life.retire(Retired::Taken);
        self.object
    }

    /// When it was made.
    #[must_use]
    pub fn created(&self) -> Instant {
        self.life.created
    }

    pub(super) fn object_mut(&mut self) -> &mut M::Type {
        &mut self.object
    }
}

impl<M: Manager> Life<M> {
    pub(super) fn verdict(&self, now: Instant) -> Verdict {
        self.core.lifetime().verdict(now, self.created, self.used, self.u)
    }

    pub(super) fn used(&mut self, now: Instant) {
        self.used = now;
    }

    pub(super) const fn last_used(&self) -> Instant {
        self.used
    }

    /// It is about to go, for this reason unless there is one already.
    pub(super) fn retire(&self, why: Retired) {
        let order = Ordering::Relaxed;
        let _ = self.retired.compare_exchange(UNDECIDED, why as u8, order, order);
    }

    /// It is taken out of deadpool's pool, under the lock of that.
    pub(super) fn reap(&self, why: Retired) {
        self.retire(why);
        self.reaped.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_reaped(&self) -> bool {
        self.reaped.load(Ordering::Relaxed)
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::Relaxed) != UNDECIDED
    }
}

/// The one place where an object's end is counted, so that none is forgotten and none counted twice.
impl<M: Manager> Drop for Life<M> {
    fn drop(&mut self) {
        let why = Retired::ALL.get(usize::from(*self.retired.get_mut())).copied();
        self.core.retired(why);
    }
}

impl<M: Manager> Deref for Slot<M> {
    type Target = M::Type;

    fn deref(&self) -> &M::Type {
        &self.object
    }
}

impl<M: Manager> DerefMut for Slot<M> {
    fn deref_mut(&mut self) -> &mut M::Type {
        &mut self.object
    }
}

impl<M: Manager> fmt::Debug for Slot<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot").field("created", &self.life.created).finish_non_exhaustive()
    }
}
