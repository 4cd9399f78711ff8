//! The pool, as it is held by those who use it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Manager;
use tokio::sync::Notify;

use super::Retired;
use super::builder::PoolBuilder;
use super::core::Core;
use super::manager::ResilientManager;
use super::place::Place;
use super::pooled::{Held, Permit, Pooled};
use super::shelf::Shelf;
use super::slot::Slot;
use crate::bulkhead::Bulkhead;
use crate::clock;
use crate::config::OrInvalid;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::rejection::{Rejection, RejectionKind};
use crate::sync::Mutex;

/// A pool of objects that one call at a time may use. Clones share it. See the [module](super).
pub struct ResilientPool<M: Manager>(pub(super) Arc<Shared<M>>);

pub(super) struct Shared<M: Manager> {
    /// Who may have an object, and how many there may be.
    pub(super) bulkhead: Bulkhead,
    pub(super) shelf: Mutex<Shelf<Box<Slot<M>>>>,
    pub(super) core: Arc<Core<M>>,
    pub(super) settings: Settings,
    /// A permit came back to a pool that is closed.
    pub(super) returned: Notify,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) min_idle: usize,
    pub(super) max_validations: u32,
    pub(super) maintain_every: Duration,
    pub(super) newest_first: bool,
}

impl<M: Manager> ResilientPool<M> {
    /// Starts from the defaults of [`PoolBuilder`]: a pool of what `manager` makes, under its name.
    pub fn builder(manager: impl OrInvalid<ResilientManager<M>>) -> PoolBuilder<M> {
        PoolBuilder::new(manager.or_invalid())
    }

    pub(super) fn new(
        core: Arc<Core<M>>,
        bulkhead: Bulkhead,
        settings: Settings,
    ) -> ResilientPool<M> {
        let (shelf, returned) = (Mutex::new(Shelf::new(settings.newest_first)), Notify::new());
        ResilientPool(Arc::new(Shared { bulkhead, shelf, core, settings, returned }))
    }

    /// An object: one that is idle and works, or else a new one. Waits for its turn if all are out, as
    /// long as the pool's [patience](PoolBuilder::wait_at_most) and the caller's
    /// [deadline](Deadline::current) last.
    ///
    /// Dropped, it leaves the queue; a connection that was being made is dropped, and an object that was
    /// being looked at is retired, since nobody knows what it was in the middle of.
    ///
    /// # Errors
    /// The manager's, if no object could be made. Or a refusal: no object came free in time, or too many
    /// wait (`BulkheadFull`); the circuit around making them is open (`CircuitOpen`); making one took too
    /// long (`TimedOut`); it is too late, or would be after the pause that follows failures
    /// (`DeadlineExceeded`); the pool is closed (`ShuttingDown`).
    pub async fn get(&self) -> Result<Pooled<M>, Error<M::Error>> {
        self.0.may_begin()?;
        let permit = self.0.bulkhead.acquire(1).await?.held_by(Held::new(&self.0));
        self.0.checkout(permit).await
    }

    /// As [`get`](ResilientPool::get), without waiting for others: if all objects are out it is refused.
    ///
    /// # Errors
    /// Those of `get`.
    pub async fn try_get(&self) -> Result<Pooled<M>, Error<M::Error>> {
        self.0.may_begin()?;
        let permit = self.0.bulkhead.try_acquire(1)?.held_by(Held::new(&self.0));
        self.0.checkout(permit).await
    }

    /// Makes as many as are to be kept idle, now: for the start of a program, which should hear of a wrong
    /// password before its first caller does.
    ///
    /// # Errors
    /// The first that there is, as those of `get`.
    pub async fn warm(&self) -> Result<(), Error<M::Error>> {
        self.0.top_up().await
    }

    /// Changes how many objects there may be. Idle ones that are too many go at once, those that are out
    /// when they come back; who waits and may go on now does. 0 is a pause. Of no effect once closed.
    pub fn resize(&self, max_size: u32) {
        self.0.resize(max_size);
    }

    /// What rejections and events call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.core.name.as_str()
    }

    /// The manager.
    #[must_use]
    pub fn manager(&self) -> &M {
        &self.0.core.inner
    }
}

impl<M: Manager> Shared<M> {
    #[inline]
    fn may_begin(&self) -> Result<(), Rejection> {
        self.is_open()?;
        match Deadline::current() {
            Some(deadline) if deadline.has_passed(clock::now()) => {
                Err(self.core.told(self.core.rejection(RejectionKind::DeadlineExceeded)))
            }
            _ => Ok(()),
        }
    }

    #[inline]
    fn is_open(&self) -> Result<(), Rejection> {
        if self.core.is_closed() { Err(self.core.is_shut()) } else { Ok(()) }
    }

    /// The permit outlives all that is done here for it: dropped half way, the object goes before it.
    #[inline]
    async fn checkout(&self, permit: Permit<M>) -> Result<Pooled<M>, Error<M::Error>> {
        let mut place = Place::take(self);
        let mut looks = self.settings.max_validations;
        while let Some(slot) = place.object() {
            if self.core.is_of_age(slot) {
                let metrics = slot.life.metrics();
                if self.core.validate(slot, &metrics).await {
                    slot.life.recycled();
                    break;
                }
                looks -= 1;
            }
            place.clear();
            // Enough time may have been spent on what is idle.
            if looks > 0 {
                drop(place);
                place = Place::take(self);
            }
        }
        Ok(Pooled::new(place.filled().await?, permit))
    }

    /// A new object, for a place that is there already.
    pub(super) async fn make(&self) -> Result<Box<Slot<M>>, Error<M::Error>> {
        self.is_open()?;
        // One fewer is left than somebody may have asked to be kept.
        self.core.news.notify_one();
        Ok(Box::new(self.core.connect().await?))
    }

    /// Makes objects until as many are idle as should be, or as many are there as may be.
    pub(super) async fn top_up(self: &Arc<Self>) -> Result<(), Error<M::Error>> {
        while self.idle() < self.settings.min_idle {
            self.is_open()?;
            // Callers go first.
            let Some(permit) = self.bulkhead.quietly(1) else { return Ok(()) };
            let permit = permit.held_by(Held::new(self));
            let Some(place) = Place::reserve(self) else { return Ok(()) };
            self.give(place.filled().await?);
            drop(permit);
        }
        Ok(())
    }

    /// Lets go of all that are idle and too old.
    pub(super) fn reap(&self) {
        if self.core.lifetime().is_endless() {
            return;
        }
        let now = clock::now();
        let old = self.shelf.lock().take_if(|slot| {
            let why = Retired::of(slot.life.verdict(now));
            why.inspect(|&why| slot.life.retire(why)).is_some()
        });
        old.into_iter().for_each(|slot| self.let_go(*slot));
    }

    fn resize(&self, max_size: u32) {
        if self.core.is_closed() {
            return;
        }
        self.bulkhead.resize(max_size);
        if self.core.is_closed() {
            // Meanwhile. All go on, as below.
            self.bulkhead.resize(u32::MAX);
        }
        self.trim();
    }

    pub(super) fn close(&self) {
        self.core.close();
        self.core.news.notify_one();
        // All that wait may go on, and are told.
        self.bulkhead.resize(u32::MAX);
        self.trim();
    }

    fn trim(&self) {
        let mut shelf = self.shelf.lock();
        let surplus = shelf.trim(self.limit());
        drop(shelf);
        surplus.into_iter().for_each(|slot| self.let_go(*slot));
    }

    pub(super) fn let_go(&self, mut slot: Slot<M>) {
        self.core.inner.detach(slot.object_mut());
    }

    /// How many there may be.
    #[inline]
    pub(super) fn limit(&self) -> usize {
        if self.core.is_closed() { 0 } else { self.bulkhead.limit() as usize }
    }

    /// How many are idle.
    pub(super) fn idle(&self) -> usize {
        self.shelf.lock().idle()
    }
}

/// Objects that are still here go because the pool does.
impl<M: Manager> Drop for Shared<M> {
    fn drop(&mut self) {
        self.core.close();
        self.core.news.notify_one();
    }
}

impl<M: Manager> Clone for ResilientPool<M> {
    fn clone(&self) -> ResilientPool<M> {
        ResilientPool(self.0.clone())
    }
}

impl<M: Manager> fmt::Debug for ResilientPool<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResilientPool").field("name", &self.name()).finish_non_exhaustive()
    }
}
