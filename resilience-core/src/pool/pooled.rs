//! An object that is checked out, and its return.

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use deadpool::managed::Manager;

use super::Retired;
use super::deferred_return::DeferredReturn;
use super::handle::Shared;
use super::managed_object::ManagedObject;
use super::slot_reservation::ReleaseSlot;
use crate::bulkhead::{Bulkhead, BulkheadPermit};
use crate::clock;

pub(super) type Permit<M> = BulkheadPermit<PoolRef<M>>;

/// The pool, as a permit holds it. Notifies `drain` when it is dropped, by which time the permit is
/// back.
pub(super) struct PoolRef<M: Manager>(Arc<Shared<M>>);

impl<M: Manager> PoolRef<M> {
    pub(super) fn new(shared: &Arc<Shared<M>>) -> PoolRef<M> {
        PoolRef(shared.clone())
    }
}

impl<M: Manager> Borrow<Bulkhead> for PoolRef<M> {
    fn borrow(&self) -> &Bulkhead {
        &self.0.bulkhead
    }
}

impl<M: Manager> Drop for PoolRef<M> {
    fn drop(&mut self) {
        if self.0.core.is_closed() {
            self.0.returned.notify_waiters();
        }
    }
}

/// A checked-out object. Dereferences to the type that the manager makes. Dropped, it returns to
/// its pool, which it keeps alive until then.
///
/// It is retired instead if it was marked [broken](Pooled::broken), is dropped by a panic, is too
/// old, or if the pool was closed or made smaller meanwhile.
#[must_use = "dropped, it goes back to the pool"]
pub struct Pooled<M: Manager> {
    checked_out: Option<CheckedOut<M>>,
    deferred: Option<DeferredReturn<M>>,
}

/// Contents of a [`Pooled`]; a separate type because fields cannot be moved out of a type with
/// `Drop`.
pub(super) struct CheckedOut<M: Manager> {
    object: Box<ManagedObject<M>>,
    permit: Permit<M>,
    pub(super) broken: bool,
}

const PRESENT: &str = "the object is present until its guard is dropped";

impl<M: Manager> Pooled<M> {
    pub(super) const fn new(object: Box<ManagedObject<M>>, permit: Permit<M>) -> Pooled<M> {
        let checked_out = CheckedOut { object, permit, broken: false };
        Pooled { checked_out: Some(checked_out), deferred: None }
    }

    pub(super) fn with_deferred_return(mut self, deferred: DeferredReturn<M>) -> Pooled<M> {
        self.deferred = Some(deferred);
        self
    }

    fn get(&self) -> &CheckedOut<M> {
        match &self.checked_out {
            Some(checked_out) => checked_out,
            None => unreachable!("{PRESENT}"),
        }
    }

    fn get_mut(&mut self) -> &mut CheckedOut<M> {
        match &mut self.checked_out {
            Some(checked_out) => checked_out,
            None => unreachable!("{PRESENT}"),
        }
    }

    /// Marks the object as broken: its protocol is in an unknown state, or the peer hung up. It is
    /// retired when this guard is dropped. Cannot be undone.
    pub fn broken(&mut self) {
        self.get_mut().broken = true;
    }

    /// Returns `true` if the object was marked as broken.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.get().broken
    }

    /// Takes the object out of the pool, which may make another in its place.
    #[must_use]
    pub fn take(mut self) -> M::Type {
        let Some(CheckedOut { mut object, permit, .. }) = self.checked_out.take() else {
            unreachable!("{PRESENT}")
        };
        let shared = &permit.holder().0;
        let _release = ReleaseSlot(shared);
        shared.core.inner.detach(object.object_mut());
        object.into_inner()
    }
}

impl<M: Manager> CheckedOut<M> {
    /// Returns the object to the pool, or retires it. The object goes before the permit, so that
    /// the next holder of a permit finds the slot.
    pub(super) fn give_back(self) {
        let CheckedOut { mut object, permit, broken } = self;
        let shared = &permit.holder().0;
        match shared.reason_to_retire(&mut object, broken) {
            None => shared.give(object),
            Some(why) => {
                object.life.retire(why);
                let _release = ReleaseSlot(shared);
                shared.discard(*object);
            }
        }
    }
}

impl<M: Manager> Shared<M> {
    fn reason_to_retire(&self, object: &mut ManagedObject<M>, broken: bool) -> Option<Retired> {
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
        object.life.used(now);
        object.life.expired(now)
    }

    pub(super) fn give(&self, object: Box<ManagedObject<M>>) {
        let mut idle_list = self.idle_list.lock();
        // The limit is read under the lock: `resize` lowers it first and trims under the lock
        // afterwards.
        let surplus = idle_list.give(object, self.limit());
        drop(idle_list);
        if let Some(object) = surplus {
            self.discard(*object);
        }
    }
}

impl<M: Manager> Drop for Pooled<M> {
    fn drop(&mut self) {
        let Some(checked_out) = self.checked_out.take() else { return };
        match &self.deferred {
            None => checked_out.give_back(),
            Some(deferred) => deferred.dropped(checked_out),
        }
    }
}

impl<M: Manager> Deref for Pooled<M> {
    type Target = M::Type;

    fn deref(&self) -> &M::Type {
        &self.get().object
    }
}

impl<M: Manager> DerefMut for Pooled<M> {
    fn deref_mut(&mut self) -> &mut M::Type {
        &mut self.get_mut().object
    }
}

impl<M: Manager> fmt::Debug for Pooled<M>
where
    M::Type: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CheckedOut { object, broken, .. } = self.get();
        f.debug_struct("Pooled").field("object", &***object).field("broken", broken).finish()
    }
}
