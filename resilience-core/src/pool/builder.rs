//! Builders of a manager and of a pool.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Manager;

use super::core::{ClassifyError, Core, CreateErrors, ObjectLimits};
use super::create_backoff::CreateBackoff;
use super::handle::{PoolSettings, ResilientPool};
use super::lifetime::Lifetime;
use super::manager::ResilientManager;
use crate::breaker::CircuitBreaker;
use crate::bulkhead::{Bulkhead, BulkheadBuilder};
use crate::config::{self, InvalidConfig, OrInvalid};
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::outcome::Outcome;
use crate::retry::Backoff;

/// A builder of a [`ResilientManager`].
///
/// Defaults: the name "pool"; `create` within 5 s and `recycle` within 1 s; a maximum age of 30
/// min, less up to a fifth, and 10 min idle (HikariCP's figures); after a failure to make an object
/// a pause for all callers, of 5 to 10 ms at first and at most 5 s; a circuit with
/// [`CircuitBreaker`]'s defaults, open when half of at least 20 attempts within 10 s fail.
#[must_use = "a builder does nothing until `build` is called"]
pub struct ManagerBuilder<M: Manager> {
    inner: M,
    name: Name,
    listener: Listener,
    lifetime: Result<Lifetime, InvalidConfig>,
    create_timeout: Duration,
    recycle_timeout: Duration,
    breaker: Option<Result<CircuitBreaker, InvalidConfig>>,
    backoff: Option<Result<Backoff, InvalidConfig>>,
    classify: ClassifyError<M::Error>,
}

impl<M: Manager> ManagerBuilder<M> {
    pub(super) fn new(inner: M) -> ManagerBuilder<M> {
        let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
        ManagerBuilder {
            inner,
            name: Name::from_static("pool"),
            listener: Listener::default(),
            lifetime: Lifetime::new().max_age(minutes(30)).max_idle(minutes(10)).build(),
            create_timeout: Duration::from_secs(5),
            recycle_timeout: Duration::from_secs(1),
            breaker: None,
            backoff: None,
            classify: Arc::new(|_| Outcome::transient()),
        }
    }

    /// Sets the name in rejections and events.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Notifies this listener of rejections, failures to make an object, and retired objects. A
    /// [breaker](Self::circuit_breaker) of your own has its own listener.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Limits the age and idle time of objects.
    pub fn lifetime(mut self, lifetime: impl OrInvalid<Lifetime>) -> Self {
        self.lifetime = lifetime.or_invalid();
        self
    }

    /// Limits how long `create` may take. More than zero, at most 365 days.
    pub fn create_timeout(mut self, limit: Duration) -> Self {
        self.create_timeout = limit;
        self
    }

    /// Limits how long `recycle` may take before a checkout. More than zero, at most 365 days.
    pub fn recycle_timeout(mut self, limit: Duration) -> Self {
        self.recycle_timeout = limit;
        self
    }

    /// Sets the circuit around `create`, shared with all other users of this breaker.
    pub fn circuit_breaker(mut self, breaker: impl OrInvalid<CircuitBreaker>) -> Self {
        self.breaker = Some(breaker.or_invalid());
        self
    }

    /// Sets the pauses after failures to make an object, which all callers share.
    pub fn backoff(mut self, backoff: impl OrInvalid<Backoff>) -> Self {
        self.backoff = Some(backoff.or_invalid());
        self
    }

    /// Classifies an error of `create` for the circuit. By default every error is transient.
    pub fn classify_error(
        mut self,
        classify: impl Fn(&M::Error) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.classify = Arc::new(classify);
        self
    }

    /// Builds the manager.
    ///
    /// # Errors
    /// Names the value that is out of its bounds.
    pub fn build(self) -> Result<ResilientManager<M>, InvalidConfig>
    where
        M::Error: fmt::Display,
    {
        let limits = ObjectLimits {
            lifetime: self.lifetime?,
            create_timeout: config::wait("create_timeout", self.create_timeout)?,
            recycle_timeout: config::wait("recycle_timeout", self.recycle_timeout)?,
        };
        let breaker = match self.breaker {
            Some(breaker) => breaker?,
            None => {
                let builder = CircuitBreaker::builder().name(self.name.clone());
                builder.share_listener(self.listener.clone()).build()?
            }
        };
        let backoff = match self.backoff {
            Some(backoff) => backoff?,
            None => Backoff::equal_jitter(Duration::from_millis(10), Duration::from_secs(5))?,
        };
        let names = (self.name, self.listener);
        let errors = CreateErrors { classify: self.classify, text: |error| error };
        let backoff = CreateBackoff::new(backoff);
        Ok(ResilientManager::new(Core::new(self.inner, names, limits, breaker, errors, backoff)))
    }
}

/// A builder of a [`ResilientPool`].
///
/// Defaults: at most 10 objects, none made ahead of need; at most 1,000 queued calls, 30 s each;
/// three idle objects are validated before a new one is made; maintenance runs every 30 s.
#[must_use = "a builder does nothing until `build` is called"]
pub struct PoolBuilder<M: Manager> {
    manager: Result<ResilientManager<M>, InvalidConfig>,
    bulkhead: BulkheadBuilder,
    max_size: u32,
    min_idle: u32,
    max_validations: u32,
    maintain_every: Duration,
    newest_first: bool,
}

impl<M: Manager> PoolBuilder<M> {
    pub(super) fn new(manager: Result<ResilientManager<M>, InvalidConfig>) -> PoolBuilder<M> {
        PoolBuilder {
            manager,
            bulkhead: Bulkhead::builder().max_queued(1_000).wait_at_most(Duration::from_secs(30)),
            max_size: 10,
            min_idle: 0,
            max_validations: 3,
            maintain_every: Duration::from_secs(30),
            newest_first: false,
        }
    }

    /// Sets the maximum number of objects, idle and checked out. At most 65,536; 0 pauses the pool
    /// until [`resize`](ResilientPool::resize).
    pub fn max_size(mut self, objects: u32) -> Self {
        self.max_size = objects;
        self
    }

    /// Sets the minimum number of idle objects, as far as `max_size` allows. The
    /// [maintenance](ResilientPool::maintenance) keeps it, and replaces objects that were idle for
    /// too long.
    pub fn min_idle(mut self, objects: u32) -> Self {
        self.min_idle = objects;
        self
    }

    /// Queues a call that finds all objects checked out, and rejects it after this time. At most
    /// 365 days; zero is [`reject`](Self::reject).
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.bulkhead = self.bulkhead.wait_at_most(wait);
        self
    }

    /// Rejects a call that finds all objects checked out.
    pub fn reject(mut self) -> Self {
        self.bulkhead = self.bulkhead.reject();
        self
    }

    /// Queues a call that finds all objects checked out, until its deadline or its cancellation.
    pub fn wait(mut self) -> Self {
        self.bulkhead = self.bulkhead.wait();
        self
    }

    /// Limits the number of queued calls. At least 1 if calls queue.
    pub fn max_queued(mut self, calls: u32) -> Self {
        self.bulkhead = self.bulkhead.max_queued(calls);
        self
    }

    /// Limits how many idle objects are validated for one call before a new one is made. At least
    /// 1.
    ///
    /// After a restart of the server all idle objects are dead, and each validation may take the
    /// whole [`recycle_timeout`](ManagerBuilder::recycle_timeout).
    pub fn max_validations(mut self, objects: u32) -> Self {
        self.max_validations = objects;
        self
    }

    /// Checks out the object that returned last, so that surplus objects expire. By default it is
    /// the one that returned first, so that none is idle for long.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// Sets the interval of the [maintenance](ResilientPool::maintenance). More than zero, at most
    /// 365 days.
    pub fn maintain_every(mut self, interval: Duration) -> Self {
        self.maintain_every = interval;
        self
    }

    /// Builds the pool. Makes no object, and needs no runtime.
    ///
    /// # Errors
    /// Names the value that is out of its bounds.
    pub fn build(self) -> Result<ResilientPool<M>, InvalidConfig> {
        let core = self.manager?.into_core();
        if self.max_size > MAX_SIZE {
            let bound = format!("at most {MAX_SIZE}");
            return Err(InvalidConfig::new("max_size", self.max_size, bound));
        }
        if self.min_idle > self.max_size && self.max_size > 0 {
            let bound = format!("at most `max_size` ({})", self.max_size);
            return Err(InvalidConfig::new("min_idle", self.min_idle, bound));
        }
        if self.max_validations == 0 {
            return Err(InvalidConfig::new("max_validations", 0, "at least 1"));
        }
        let settings = PoolSettings {
            min_idle: self.min_idle as usize,
            max_validations: self.max_validations,
            maintain_every: config::wait("maintain_every", self.maintain_every)?,
            newest_first: self.newest_first,
        };
        let bulkhead = self.bulkhead.name(core.name.clone()).share_listener(core.listener.clone());
        let bulkhead = bulkhead.max_concurrent(self.max_size.max(1)).build()?;
        bulkhead.resize(self.max_size);
        Ok(ResilientPool::new(core, bulkhead, settings))
    }
}

/// The number of ports of an address.
const MAX_SIZE: u32 = 1 << 16;

impl<M: Manager> fmt::Debug for ManagerBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ManagerBuilder").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<M: Manager> fmt::Debug for PoolBuilder<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolBuilder").field("max_size", &self.max_size).finish_non_exhaustive()
    }
}
