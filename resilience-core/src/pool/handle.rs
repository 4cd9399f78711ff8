//! The pool, as it is held by those who use it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Object, Pool, PoolError, Timeouts};
use tokio::sync::Notify;

use super::builder::PoolBuilder;
use super::core::Core;
use super::keeper::{Keeper, doomed};
use super::manager::ResilientManager;
use super::pooled::{Doubtful, Held, Permit, Pooled};
use super::retired::Retired;
use super::slot::Slot;
use crate::bulkhead::{Acquire, Bulkhead};
use crate::clock;
use crate::config::OrInvalid;
use crate::deadline::Deadline;
use crate::error::Error;
use crate::rejection::{Rejection, RejectionKind};
use crate::sync::Mutex;

/// A pool of objects that one call at a time may use. Clones share it. See the [module](super).
pub struct ResilientPool<M: Manager>(pub(super) Arc<Shared<M>>);

pub(super) struct Shared<M: Manager> {
    pub(super) objects: Pool<Keeper<M>>,
    /// Who may have one. As many permits as there may be objects: who has a permit finds an object in
    /// `objects`, or room to make one.
    pub(super) bulkhead: Bulkhead,
    pub(super) core: Arc<Core<M>>,
    pub(super) settings: Settings,
    /// Held while both limits change, and while nothing else happens.
    resizing: Mutex<()>,
    /// A permit came back to a pool that is closed.
    pub(super) returned: Notify,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Settings {
    pub(super) min_idle: usize,
    pub(super) max_validations: u32,
    pub(super) maintain_every: Duration,
}

/// deadpool is asked only by those who have a permit, and so never waits for a place.
const AT_ONCE: Timeouts = Timeouts { wait: Some(Duration::ZERO), create: None, recycle: None };

impl<M: Manager> ResilientPool<M> {
    /// Starts from the defaults of [`PoolBuilder`]: a pool of what `manager` makes, under its name.
    pub fn builder(manager: impl OrInvalid<ResilientManager<M>>) -> PoolBuilder<M> {
        PoolBuilder::new(manager.or_invalid())
    }

    pub(super) fn new(
        objects: Pool<Keeper<M>>,
        bulkhead: Bulkhead,
        core: Arc<Core<M>>,
        settings: Settings,
    ) -> ResilientPool<M> {
        let (resizing, returned) = (Mutex::new(()), Notify::new());
        ResilientPool(Arc::new(Shared { objects, bulkhead, core, settings, resizing, returned }))
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
        let permit = Acquire::of(Held::new(&self.0), 1).await?;
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
    async fn checkout(&self, permit: Permit<M>) -> Result<Pooled<M>, Error<M::Error>> {
        // Closing lets all go on who wait.
        self.is_open()?;
        let mut object = Doubtful::new(self.fetch().await?);
        let mut looks = self.settings.max_validations;
        while !object.is_good(&self.core).await {
            looks -= 1;
            if looks == 0 {
                // Enough time was spent on what is idle.
                object.replace(self.core.connect().await?, &self.core);
                break;
            }
            drop(object);
            object = Doubtful::new(self.fetch().await?);
        }
        Ok(Pooled::new(object.into_good(), permit))
    }

    async fn fetch(&self) -> Result<Object<Keeper<M>>, Error<M::Error>> {
        self.objects.timeout_get(&AT_ONCE).await.map_err(|error| match error {
            PoolError::Backend(error) => error,
            PoolError::Closed => self.core.is_shut().into(),
            // Not reached: with a permit there is a place, and there are no other time limits or hooks.
            PoolError::Timeout(_)
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => {
                self.core.told(self.core.rejection(RejectionKind::BulkheadFull)).into()
            }
        })
    }

    /// Makes objects until as many are idle as should be, or as many are there as may be.
    pub(super) async fn top_up(self: &Arc<Self>) -> Result<(), Error<M::Error>> {
        while self.idle() < self.settings.min_idle {
            self.is_open()?;
            // Callers go first.
            let Some(permit) = self.bulkhead.quietly(1) else { return Ok(()) };
            let permit = permit.held_by(Held::new(self));
            // One that comes back right now is counted twice, which is one too many and not one too few.
            let in_use = self.bulkhead.snapshot().in_use as usize;
            if in_use + self.idle() > self.objects.status().max_size {
                return Ok(());
            }
            let spare = self.core.connect().await?;
            self.objects.manager().put(spare);
            // The pool may have been made smaller meanwhile, or closed.
            self.trim();
            drop(permit);
        }
        Ok(())
    }

    fn trim(&self) {
        let surplus = self.size().saturating_sub(self.objects.status().max_size);
        if surplus > 0 {
            self.let_go(self.take_surplus(surplus, Retired::Surplus));
        }
    }

    /// Lets go of all that are idle and too old.
    pub(super) fn reap(&self) {
        if self.core.lifetime().is_endless() {
            return;
        }
        let now = clock::now();
        let old = self.objects.retain(|slot, _| !doomed(slot, now)).removed;
        self.let_go(old.into_iter().chain(self.objects.manager().take_old(now)));
    }

    fn resize(&self, max_size: u32) {
        let resizing = self.resizing.lock();
        if self.core.is_closed() {
            return;
        }
        let surplus = self.size().saturating_sub(max_size as usize);
        let surplus = self.take_surplus(surplus, Retired::Surplus);
        if self.objects.status().max_size > max_size as usize {
            self.bulkhead.resize(max_size);
            self.objects.resize(max_size as usize);
        } else {
            // Room first, and then those who are to find it.
            self.objects.resize(max_size as usize);
            self.bulkhead.resize(max_size);
        }
        drop(resizing);
        self.let_go(surplus);
    }

    /// Whether this is what closed it.
    pub(super) fn close(&self) -> bool {
        let resizing = self.resizing.lock();
        let first = self.core.close();
        let idle = self.take_surplus(usize::MAX, Retired::Closed);
        self.objects.close();
        // All that wait may go on, and are told.
        self.bulkhead.resize(u32::MAX);
        drop(resizing);
        self.let_go(idle);
        self.core.news.notify_one();
        first
    }

    /// The idle ones that are too many, spares first.
    fn take_surplus(&self, most: usize, why: Retired) -> Vec<Slot<M>> {
        let mut taken = self.objects.manager().take_surplus(most);
        taken.iter().for_each(|slot| slot.life.retire(why));
        let mut left = most - taken.len();
        let more = self.objects.retain(|slot, _| {
            let keep = left == 0;
            if !keep {
                left -= 1;
                slot.life.reap(why);
            }
            keep
        });
        taken.extend(more.removed);
        taken
    }

    fn let_go(&self, slots: impl IntoIterator<Item = Slot<M>>) {
        slots.into_iter().for_each(|mut slot| self.core.inner.detach(slot.object_mut()));
    }

    /// How many there are, out or idle.
    pub(super) fn size(&self) -> usize {
        self.objects.status().size + self.objects.manager().spares()
    }

    /// Counted, for deadpool's own status is an estimate.
    pub(super) fn idle(&self) -> usize {
        self.objects.retain(|_, _| true).retained + self.objects.manager().spares()
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
