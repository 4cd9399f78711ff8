//! A manager for deadpool's own pool.

use std::fmt;
use std::sync::Arc;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};

use super::builder::ManagerBuilder;
use super::core::Core;
use super::slot::Slot;
use crate::error::Error;

/// Wraps any deadpool manager: a circuit breaker, a pause after failures and a time limit around
/// `create`; ages and a time limit around `recycle`.
///
/// A [`ResilientPool`](super::ResilientPool) has all of that and more. This is for a pool of deadpool's
/// that is there already. deadpool tells a manager nothing of returns: in its own pool an object is idle
/// since it was last handed out, and its age is looked at then, not when it comes back.
///
/// ```
/// use deadpool::managed::{Manager, Metrics, Pool, RecycleResult};
/// use resilience_core::pool::ResilientManager;
///
/// # struct Numbers;
/// impl Manager for Numbers {
///     // ...
/// #    type Type = u64;
/// #    type Error = std::io::Error;
/// #    async fn create(&self) -> Result<u64, std::io::Error> { Ok(7) }
/// #    async fn recycle(&self, _: &mut u64, _: &Metrics) -> RecycleResult<std::io::Error> { Ok(()) }
/// }
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let manager = ResilientManager::builder(Numbers).name("numbers").build()?;
/// let pool = Pool::<ResilientManager<Numbers>>::builder(manager).max_size(4).build()?;
/// assert_eq!(**pool.get().await?, 7);
/// # Ok(())
/// # }
/// ```
pub struct ResilientManager<M: Manager>(Arc<Core<M>>);

impl<M: Manager> ResilientManager<M> {
    /// Starts from the defaults of [`ManagerBuilder`].
    pub fn builder(manager: M) -> ManagerBuilder<M> {
        ManagerBuilder::new(manager)
    }

    pub(super) fn new(core: Core<M>) -> ResilientManager<M> {
        ResilientManager(Arc::new(core))
    }

    pub(super) fn into_core(self) -> Arc<Core<M>> {
        self.0
    }

    /// The manager inside.
    #[must_use]
    pub fn get_ref(&self) -> &M {
        &self.0.inner
    }

    /// How many objects it made.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.0.tally.count_made()
    }
}

impl<M: Manager> Manager for ResilientManager<M> {
    type Type = Slot<M>;
    type Error = Error<M::Error>;

    async fn create(&self) -> Result<Slot<M>, Error<M::Error>> {
        self.0.connect().await
    }

    async fn recycle(&self, slot: &mut Slot<M>, metrics: &Metrics) -> RecycleResult<Self::Error> {
        if !self.0.is_of_age(slot) {
            return Err(RecycleError::message("too old"));
        }
        if !self.0.validate(slot, metrics).await {
            return Err(RecycleError::message("not valid"));
        }
        Ok(())
    }

    fn detach(&self, slot: &mut Slot<M>) {
        self.0.inner.detach(slot.object_mut());
    }
}

impl<M: Manager> fmt::Debug for ResilientManager<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResilientManager").field(&self.0).finish()
    }
}
