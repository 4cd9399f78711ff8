//! An object on its way out of the pool, and back.

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use deadpool::managed::Manager;

use super::Retired;
use super::escort::Escort;
use super::handle::Shared;
use super::lifetime::Verdict;
use super::place::GivenUp;
use super::slot::Slot;
use crate::bulkhead::{Bulkhead, BulkheadPermit};
use crate::clock;

pub(super) type Permit<M> = BulkheadPermit<Held<M>>;

/// How a permit holds on to the pool.
pub(super) struct Held<M: Manager>(Arc<Shared<M>>);

impl<M: Manager> Held<M> {
    #[inline]
    pub(super) fn new(shared: &Arc<Shared<M>>) -> Held<M> {
        Held(shared.clone())
    }
}

impl<M: Manager> Borrow<Bulkhead> for Held<M> {
    #[inline]
    fn borrow(&self) -> &Bulkhead {
        &self.0.bulkhead
    }
}

/// The permit is back when what holds it is dropped.
impl<M: Manager> Drop for Held<M> {
    #[inline]
    fn drop(&mut self) {
        if self.0.core.is_closed() {
            self.0.returned.notify_waiters();
        }
    }
}

/// An object that its holder has for itself. It dereferences to what the manager made. Dropped, it goes
/// back to its pool, and outlives the pool's handles until then.
///
/// It does not go back, but is retired, if it was said to be [broken](Pooled::broken), if it is dropped by
/// a panic, if it is too old by now, and if the pool was closed or made smaller meanwhile.
#[must_use = "dropped, it goes back to the pool"]
pub struct Pooled<M: Manager> {
    out: Option<Out<M>>,
    /// Who may say that it is broken after it was dropped.
    escort: Option<Escort<M>>,
}

/// Of a [`Pooled`], without its drop.
pub(super) struct Out<M: Manager> {
    slot: Box<Slot<M>>,
    permit: Permit<M>,
    pub(super) broken: bool,
}

const THERE: &str = "the object is there until its holder is gone";

impl<M: Manager> Pooled<M> {
    #[inline]
    pub(super) const fn new(slot: Box<Slot<M>>, permit: Permit<M>) -> Pooled<M> {
        Pooled { out: Some(Out { slot, permit, broken: false }), escort: None }
    }

    pub(super) fn escorted(mut self, escort: Escort<M>) -> Pooled<M> {
        self.escort = Some(escort);
        self
    }

    #[inline]
    fn out(&self) -> &Out<M> {
        match &self.out {
            Some(out) => out,
            None => unreachable!("{THERE}"),
        }
    }

    #[inline]
    fn out_mut(&mut self) -> &mut Out<M> {
        match &mut self.out {
            Some(out) => out,
            None => unreachable!("{THERE}"),
        }
    }

    /// It must not be used again: its protocol is in an unknown state, the other side hung up. It is
    /// retired when this is dropped, and nobody gets it after that. There is no way back.
    pub fn broken(&mut self) {
        self.out_mut().broken = true;
    }

    /// Whether it was said to be.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.out().broken
    }

    /// The object itself, which is no longer the pool's: the pool may make another.
    #[must_use]
    pub fn take(mut self) -> M::Type {
        let Some(Out { mut slot, permit, .. }) = self.out.take() else { unreachable!("{THERE}") };
        let shared = &permit.holder().0;
        let _given_up = GivenUp(shared);
        shared.core.inner.detach(slot.object_mut());
        slot.into_inner()
    }
}

impl<M: Manager> Out<M> {
    /// Back to the pool, if that wants it. The object goes before the permit: who is next finds its place.
    #[inline]
    pub(super) fn give_back(self) {
        let Out { mut slot, permit, broken } = self;
        let shared = &permit.holder().0;
        match shared.reason(&mut slot, broken) {
            None => shared.give(slot),
            Some(why) => {
                slot.life.retire(why);
                let _given_up = GivenUp(shared);
                shared.let_go(*slot);
            }
        }
    }
}

impl<M: Manager> Shared<M> {
    /// Why an object does not go back, if it does not.
    #[inline]
    fn reason(&self, slot: &mut Slot<M>, broken: bool) -> Option<Retired> {
        if broken || std::thread::panicking() {
            return Some(Retired::Broken);
        }
        if self.core.is_closed() {
            return Some(Retired::Closed);
        }
        if self.core.lifetime().is_endless() {
            return None;
        }
        let now = clock::now();
        slot.life.used(now);
        (slot.life.verdict(now) != Verdict::Keep).then_some(Retired::TooOld)
    }

    #[inline]
    pub(super) fn give(&self, slot: Box<Slot<M>>) {
        let mut shelf = self.shelf.lock();
        // Read under the lock: whoever lowers it takes the surplus under the lock afterwards.
        let surplus = shelf.give(slot, self.limit());
        drop(shelf);
        if let Some(slot) = surplus {
            self.let_go(*slot);
        }
    }
}

impl<M: Manager> Drop for Pooled<M> {
    #[inline]
    fn drop(&mut self) {
        let Some(out) = self.out.take() else { return };
        match &self.escort {
            None => out.give_back(),
            Some(escort) => escort.park(out),
        }
    }
}

impl<M: Manager> Deref for Pooled<M> {
    type Target = M::Type;

    #[inline]
    fn deref(&self) -> &M::Type {
        &self.out().slot
    }
}

impl<M: Manager> DerefMut for Pooled<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut M::Type {
        &mut self.out_mut().slot
    }
}

impl<M: Manager> fmt::Debug for Pooled<M>
where
    M::Type: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Out { slot, broken, .. } = self.out();
        f.debug_struct("Pooled").field("object", &***slot).field("broken", broken).finish()
    }
}
