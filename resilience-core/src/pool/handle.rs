//! The pool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Manager;
use tokio::sync::Notify;

use super::builder::PoolBuilder;
use super::core::Core;
use super::idle_list::IdleList;
use super::managed_object::ManagedObject;
use super::manager::ResilientManager;
use super::pooled::{Permit, PoolRef, Pooled};
use super::slot_reservation::SlotReservation;
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
    /// Queue, permits, and the limit on objects.
    pub(super) bulkhead: Bulkhead,
    pub(super) idle_list: Mutex<IdleList<Box<ManagedObject<M>>>>,
    pub(super) core: Arc<Core<M>>,
    pub(super) settings: PoolSettings,
    /// Notified when a permit of a closed pool comes back.
    pub(super) returned: Notify,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct PoolSettings {
    pub(super) min_idle: usize,
    pub(super) max_validations: u32,
    pub(super) maintain_every: Duration,
    pub(super) newest_first: bool,
}

impl<M: Manager> ResilientPool<M> {
    /// Starts from the defaults of [`PoolBuilder`]. The pool has the name of `manager`.
    pub fn builder(manager: impl OrInvalid<ResilientManager<M>>) -> PoolBuilder<M> {
        PoolBuilder::new(manager.or_invalid())
    }

    pub(super) fn new(
        core: Arc<Core<M>>,
        bulkhead: Bulkhead,
        settings: PoolSettings,
    ) -> ResilientPool<M> {
        let idle_list = Mutex::new(IdleList::new(settings.newest_first));
        let returned = Notify::new();
        ResilientPool(Arc::new(Shared { bulkhead, idle_list, core, settings, returned }))
    }

    /// Checks out an idle object that passes validation, or else a new one. If all are checked out,
    /// waits up to [`wait_at_most`](PoolBuilder::wait_at_most) and the caller's
    /// [deadline](Deadline::current).
    ///
    /// Cancelling leaves the queue, drops a connection that is being made, and retires an object
    /// that is being validated, since its state is unknown.
    ///
    /// # Errors
    /// The manager's error, if no object could be made. Otherwise a rejection: no object came free
    /// in time, or the queue is full (`BulkheadFull`); the circuit around `create` is open
    /// (`CircuitOpen`); `create` took too long (`TimedOut`); the deadline has passed, or would pass
    /// during the pause after a failure (`DeadlineExceeded`); the pool is closed (`ShuttingDown`).
    pub async fn get(&self) -> Result<Pooled<M>, Error<M::Error>> {
        self.0.check_admission()?;
        let permit = self.0.bulkhead.acquire(1).await?.held_by(PoolRef::new(&self.0));
        self.0.checkout(permit).await
    }

    /// Checks out an object as [`get`](ResilientPool::get) does, but rejects instead of queueing if
    /// all are checked out.
    ///
    /// # Errors
    /// Those of `get`.
    pub async fn try_get(&self) -> Result<Pooled<M>, Error<M::Error>> {
        self.0.check_admission()?;
        let permit = self.0.bulkhead.try_acquire(1)?.held_by(PoolRef::new(&self.0));
        self.0.checkout(permit).await
    }

    /// Makes objects until `min_idle` are idle. Call it when a program starts, to find a wrong
    /// password before the first caller does.
    ///
    /// # Errors
    /// The first error, as those of `get`.
    pub async fn warm(&self) -> Result<(), Error<M::Error>> {
        self.0.top_up().await
    }

    /// Changes the maximum number of objects. Surplus idle objects are retired at once, checked-out
    /// ones when they return; queued calls that now fit continue. 0 pauses the pool. Has no effect
    /// on a closed pool.
    pub fn resize(&self, max_size: u32) {
        self.0.resize(max_size);
    }

    /// Returns the name in rejections and events.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.core.name.as_str()
    }

    /// Returns the manager inside the [`ResilientManager`].
    #[must_use]
    pub fn manager(&self) -> &M {
        &self.0.core.inner
    }
}

impl<M: Manager> Shared<M> {
    fn check_admission(&self) -> Result<(), Rejection> {
        self.check_open()?;
        match Deadline::current() {
            Some(deadline) if deadline.has_passed(clock::now()) => {
                Err(self.core.notify_rejected(self.core.rejection(RejectionKind::DeadlineExceeded)))
            }
            _ => Ok(()),
        }
    }

    fn check_open(&self) -> Result<(), Rejection> {
        if self.core.is_closed() { Err(self.core.reject_closed()) } else { Ok(()) }
    }

    // `permit` outlives the reservation: on cancellation the object is dropped before its permit.
    async fn checkout(&self, permit: Permit<M>) -> Result<Pooled<M>, Error<M::Error>> {
        let mut reservation = SlotReservation::take(self);
        let mut validations = self.settings.max_validations;
        while let Some(object) = reservation.object() {
            if self.core.is_within_lifetime(object) {
                let metrics = object.life.metrics();
                if self.core.validate(object, &metrics).await {
                    object.life.recycled();
                    break;
                }
                validations -= 1;
            }
            reservation.clear();
            if validations > 0 {
                drop(reservation);
                reservation = SlotReservation::take(self);
            }
        }
        Ok(Pooled::new(reservation.filled().await?, permit))
    }

    /// Makes an object for a slot that is reserved.
    pub(super) async fn make(&self) -> Result<Box<ManagedObject<M>>, Error<M::Error>> {
        self.check_open()?;
        // There are fewer idle objects than before: `min_idle` may no longer hold.
        self.core.changed.notify_one();
        Ok(Box::new(self.core.create().await?))
    }

    /// Makes objects until `min_idle` are idle, the limit is reached, or callers need all permits.
    pub(super) async fn top_up(self: &Arc<Self>) -> Result<(), Error<M::Error>> {
        while self.idle() < self.settings.min_idle {
            self.check_open()?;
            let Some(permit) = self.bulkhead.quietly(1) else { return Ok(()) };
            let permit = permit.held_by(PoolRef::new(self));
            let Some(reservation) = SlotReservation::reserve(self) else { return Ok(()) };
            self.give(reservation.filled().await?);
            drop(permit);
        }
        Ok(())
    }

    /// Retires idle objects that have expired.
    pub(super) fn reap(&self) {
        if self.core.lifetime().is_endless() {
            return;
        }
        let now = clock::now();
        let expired = self.idle_list.lock().take_if(|object| {
            let why = object.life.expired(now);
            why.inspect(|&why| object.life.retire(why)).is_some()
        });
        expired.into_iter().for_each(|object| self.discard(*object));
    }

    fn resize(&self, max_size: u32) {
        if self.core.is_closed() {
            return;
        }
        self.bulkhead.resize(max_size);
        if self.core.is_closed() {
            // `close` ran meanwhile: undo, so that queued calls are rejected as it does.
            self.bulkhead.resize(u32::MAX);
        }
        self.trim();
    }

    pub(super) fn close(&self) {
        self.core.close();
        self.core.changed.notify_one();
        // Queued calls get their permits and are then rejected.
        self.bulkhead.resize(u32::MAX);
        self.trim();
    }

    fn trim(&self) {
        let mut idle_list = self.idle_list.lock();
        let surplus = idle_list.trim(self.limit());
        drop(idle_list);
        surplus.into_iter().for_each(|object| self.discard(*object));
    }

    pub(super) fn discard(&self, mut object: ManagedObject<M>) {
        self.core.inner.detach(object.object_mut());
    }

    /// Returns the maximum number of objects.
    pub(super) fn limit(&self) -> usize {
        if self.core.is_closed() { 0 } else { self.bulkhead.limit() as usize }
    }

    pub(super) fn idle(&self) -> usize {
        self.idle_list.lock().idle()
    }
}

/// Closes the pool, so that its idle objects are retired as closed.
impl<M: Manager> Drop for Shared<M> {
    fn drop(&mut self) {
        self.core.close();
        self.core.changed.notify_one();
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
