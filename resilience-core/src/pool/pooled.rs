//! An object on its way out of the pool, and back.

use std::borrow::Borrow;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use deadpool::managed::{Manager, Object};

use super::core::Core;
use super::escort::Escort;
use super::handle::Shared;
use super::keeper::Keeper;
use super::lifetime::Verdict;
use super::retired::Retired;
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

impl<M: Manager> Held<M> {
    #[inline]
    fn core(&self) -> &Core<M> {
        &self.0.core
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

/// An object that is not known to work. Dropped, it is retired: what it was in the middle of is not known
/// either.
pub(super) struct Doubtful<M: Manager>(Option<Object<Keeper<M>>>);

impl<M: Manager> Doubtful<M> {
    pub(super) const fn new(object: Object<Keeper<M>>) -> Doubtful<M> {
        Doubtful(Some(object))
    }

    /// A fresh one is. Others are asked.
    #[inline]
    pub(super) async fn is_good(&mut self, core: &Core<M>) -> bool {
        let object = there_mut(&mut self.0);
        if std::mem::take(&mut object.life.fresh) {
            return true;
        }
        let metrics = *Object::metrics(object);
        core.validate(object, &metrics).await
    }

    /// Puts a new one into its place.
    pub(super) fn replace(&mut self, mut fresh: Slot<M>, core: &Core<M>) {
        fresh.life.fresh = false;
        let mut old = std::mem::replace(&mut **there_mut(&mut self.0), fresh);
        old.life.retire(Retired::Invalid);
        core.inner.detach(old.object_mut());
    }

    #[inline]
    pub(super) fn into_good(mut self) -> Object<Keeper<M>> {
        match self.0.take() {
            Some(object) => object,
            None => unreachable!("{THERE}"),
        }
    }
}

impl<M: Manager> Drop for Doubtful<M> {
    #[inline]
    fn drop(&mut self) {
        if let Some(object) = self.0.take() {
            object.life.retire(Retired::Invalid);
            drop(Object::take(object));
        }
    }
}

const THERE: &str = "what a guard holds is there until the guard is gone";

#[inline]
fn there<T>(held: &Option<T>) -> &T {
    match held {
        Some(held) => held,
        None => unreachable!("{THERE}"),
    }
}

#[inline]
fn there_mut<T>(held: &mut Option<T>) -> &mut T {
    match held {
        Some(held) => held,
        None => unreachable!("{THERE}"),
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

/// Of a [`Pooled`], without its drop. The object goes before the permit: who is next finds its place.
pub(super) struct Out<M: Manager> {
    object: Object<Keeper<M>>,
    permit: Permit<M>,
    pub(super) broken: bool,
}

impl<M: Manager> Pooled<M> {
    #[inline]
    pub(super) const fn new(object: Object<Keeper<M>>, permit: Permit<M>) -> Pooled<M> {
        Pooled { out: Some(Out { object, permit, broken: false }), escort: None }
    }

    pub(super) fn escorted(mut self, escort: Escort<M>) -> Pooled<M> {
        self.escort = Some(escort);
        self
    }

    /// It must not be used again: its protocol is in an unknown state, the other side hung up. It is
    /// retired when this is dropped, and nobody gets it after that. There is no way back.
    pub fn broken(&mut self) {
        there_mut(&mut self.out).broken = true;
    }

    /// Whether it was said to be.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        there(&self.out).broken
    }

    /// The object itself, which is no longer the pool's: the pool may make another.
    #[must_use]
    pub fn take(mut self) -> M::Type {
        let Some(Out { object, permit, .. }) = self.out.take() else { unreachable!("{THERE}") };
        let object = Object::take(object).into_inner();
        drop(permit);
        object
    }
}

impl<M: Manager> Out<M> {
    /// Back to the pool, if that wants it.
    #[inline]
    pub(super) fn give_back(self) {
        let Out { mut object, permit, broken } = self;
        match reason(&mut object, permit.holder().core(), broken) {
            None => drop(object),
            Some(why) => {
                object.life.retire(why);
                drop(Object::take(object));
            }
        }
        drop(permit);
    }
}

/// Why it does not go back, if it does not.
#[inline]
fn reason<M: Manager>(slot: &mut Slot<M>, core: &Core<M>, broken: bool) -> Option<Retired> {
    if broken || std::thread::panicking() {
        return Some(Retired::Broken);
    }
    if core.is_closed() {
        return Some(Retired::Closed);
    }
    if core.lifetime().is_endless() {
        return None;
    }
    let now = clock::now();
    slot.life.used(now);
    (slot.life.verdict(now) != Verdict::Keep).then_some(Retired::TooOld)
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
        &there(&self.out).object
    }
}

impl<M: Manager> DerefMut for Pooled<M> {
    #[inline]
    fn deref_mut(&mut self) -> &mut M::Type {
        &mut there_mut(&mut self.out).object
    }
}

impl<M: Manager> fmt::Debug for Pooled<M>
where
    M::Type: fmt::Debug,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Out { object, broken, .. } = there(&self.out);
        f.debug_struct("Pooled").field("object", &***object).field("broken", broken).finish()
    }
}
