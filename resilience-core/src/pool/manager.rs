//! The manager for pools, also for deadpool's own.

use std::fmt;
use std::sync::Arc;

use deadpool::managed::{Manager, Metrics, RecycleError, RecycleResult};

use super::builder::ManagerBuilder;
use super::core::Core;
use super::managed_object::ManagedObject;
use crate::error::Error;

/// A deadpool manager around another: adds a circuit breaker, a backoff after failures and a
/// timeout to `create`, a lifetime and a timeout to `recycle`.
///
/// [`ResilientPool`](super::ResilientPool) does that and more; this type is for an existing pool of
/// deadpool's, which does not notify managers of returns: there an object counts as idle since its
/// last checkout, and its age is checked at the next checkout only.
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

    /// Returns the manager inside.
    #[must_use]
    pub fn get_ref(&self) -> &M {
        &self.0.inner
    }

    /// Returns the number of objects made.
    #[must_use]
    pub fn created(&self) -> u64 {
        self.0.counters.count_created()
    }
}

impl<M: Manager> Manager for ResilientManager<M> {
    type Type = ManagedObject<M>;
    type Error = Error<M::Error>;

    async fn create(&self) -> Result<ManagedObject<M>, Error<M::Error>> {
        self.0.create().await
    }

    async fn recycle(
        &self,
        object: &mut ManagedObject<M>,
        metrics: &Metrics,
    ) -> RecycleResult<Self::Error> {
        if !self.0.is_within_lifetime(object) {
            return Err(RecycleError::message("too old"));
        }
        if !self.0.validate(object, metrics).await {
            return Err(RecycleError::message("not valid"));
        }
        Ok(())
    }

    fn detach(&self, object: &mut ManagedObject<M>) {
        self.0.inner.detach(object.object_mut());
    }
}

impl<M: Manager> fmt::Debug for ResilientManager<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ResilientManager").field(&self.0).finish()
    }
}
