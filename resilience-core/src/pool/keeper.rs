//! What a resilient pool gives to deadpool's to manage.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};

use super::core::Core;
use super::retired::Retired;
use super::slot::Slot;
use crate::clock;
use crate::error::Error;
use crate::sync::Mutex;

/// Ages, and no more: whether an object works is asked outside of deadpool's pool, which would go on to
/// ask each object that there is.
pub(super) struct Keeper<M: Manager> {
    pub(super) core: Arc<Core<M>>,
    /// Made ahead of need. deadpool takes objects only from `create`, and asks it for one when it has
    /// none that is idle: these come first.
    spares: Mutex<VecDeque<Slot<M>>>,
}

impl<M: Manager> Keeper<M> {
    pub(super) fn new(core: Arc<Core<M>>) -> Keeper<M> {
        Keeper { core, spares: Mutex::new(VecDeque::new()) }
    }

    /// One that nobody used yet, but that may have died since it was made.
    pub(super) fn put(&self, mut slot: Slot<M>) {
        slot.life.fresh = false;
        self.spares.lock().push_back(slot);
    }

    pub(super) fn spares(&self) -> usize {
        self.spares.lock().len()
    }

    fn take(&self) -> Option<Slot<M>> {
        self.spares.lock().pop_front()
    }

    /// Those that are too old.
    pub(super) fn take_old(&self, now: Instant) -> Vec<Slot<M>> {
        self.take_if(|slot| doomed(slot, now))
    }

    /// So many, or as many as there are.
    pub(super) fn take_surplus(&self, most: usize) -> Vec<Slot<M>> {
        let mut left = most;
        self.take_if(|_| {
            let take = left > 0;
            left = left.saturating_sub(1);
            take
        })
    }

    fn take_if(&self, mut which: impl FnMut(&Slot<M>) -> bool) -> Vec<Slot<M>> {
        let mut spares = self.spares.lock();
        let (taken, kept) = spares.drain(..).partition::<VecDeque<_>, _>(|slot| which(slot));
        *spares = kept;
        taken.into()
    }
}

/// Whether it is too old; if so, that is why it goes.
pub(super) fn doomed<M: Manager>(slot: &Slot<M>, now: Instant) -> bool {
    let why = Retired::of(slot.life.verdict(now));
    why.inspect(|&why| slot.life.reap(why)).is_some()
}

impl<M: Manager> Manager for Keeper<M> {
    type Type = Slot<M>;
    type Error = Error<M::Error>;

    async fn create(&self) -> Result<Slot<M>, Error<M::Error>> {
        while let Some(mut spare) = self.take() {
            if self.core.is_of_age(&mut spare) {
                return Ok(spare);
            }
            self.core.inner.detach(spare.object_mut());
        }
        // One fewer is left than somebody may have asked to be kept.
        self.core.news.notify_one();
        let mut slot = self.core.connect().await?;
        slot.life.used(clock::now());
        Ok(slot)
    }

    async fn recycle(&self, slot: &mut Slot<M>, _: &Metrics) -> RecycleResult<Self::Error> {
        if self.core.is_of_age(slot) { Ok(()) } else { Err(RecycleError::message("too old")) }
    }

    /// Called under deadpool's lock where that is told what to retain. Nobody else's code runs there: what is
    /// reaped is detached afterwards, by the one who reaps.
    fn detach(&self, slot: &mut Slot<M>) {
        if !slot.life.is_reaped() {
            self.core.inner.detach(slot.object_mut());
        }
    }
}
