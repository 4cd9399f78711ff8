//! A manager and a pool in the making.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::Manager;

use super::core::{ClassifyError, Core, Errors, Rules};
use super::handle::{ResilientPool, Settings};
use super::lifetime::Lifetime;
use super::manager::ResilientManager;
use super::pace::Pace;
use crate::breaker::CircuitBreaker;
use crate::bulkhead::{Bulkhead, BulkheadBuilder};
use crate::config::{self, InvalidConfig, OrInvalid};
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::outcome::Outcome;
use crate::retry::Backoff;

/// A [`ResilientManager`] in the making.
///
/// By default it is called "pool"; an object is made within 5 s and checked within 1 s; it lives 30 min,
/// less up to a fifth of that, and 10 min unused (HikariCP's figures); after a failure to make one
/// there is a pause for all, of 5 to 10 ms at first and of at most 5 s, and from half of at least 20
/// failing within 10 s on, a circuit is open ([`CircuitBreaker`]'s defaults).
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

    /// What rejections and events call it.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Tells this listener of refusals, failures to make an object, and objects that go. A breaker of
    /// one's own has its own.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// How long an object is used.
    pub fn lifetime(mut self, lifetime: impl OrInvalid<Lifetime>) -> Self {
        self.lifetime = lifetime.or_invalid();
        self
    }

    /// How long making an object may take. More than zero, at most 365 days.
    pub fn create_timeout(mut self, limit: Duration) -> Self {
        self.create_timeout = limit;
        self
    }

    /// How long the look at an object may take before it is handed out again. As `create_timeout`.
    pub fn recycle_timeout(mut self, limit: Duration) -> Self {
        self.recycle_timeout = limit;
        self
    }

    /// The circuit around making objects. Shared with whoever else has this breaker.
    pub fn breaker(mut self, breaker: impl OrInvalid<CircuitBreaker>) -> Self {
        self.breaker = Some(breaker.or_invalid());
        self
    }

    /// The pauses after failures to make an object, which are everybody's.
    pub fn backoff(mut self, backoff: impl OrInvalid<Backoff>) -> Self {
        self.backoff = Some(backoff.or_invalid());
        self
    }

    /// What the circuit is told of an error of `create`. Transient, by default.
    pub fn classify_error(
        mut self,
        classify: impl Fn(&M::Error) -> Outcome + Send + Sync + 'static,
    ) -> Self {
        self.classify = Arc::new(classify);
        self
    }

    /// The manager.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn build(self) -> Result<ResilientManager<M>, InvalidConfig>
    where
        M::Error: fmt::Display,
    {
        let rules = Rules {
            lifetime: self.lifetime?,
            create_timeout: config::wait("create_timeout", self.create_timeout)?,
            recycle_timeout: config::wait("recycle_timeout", self.recycle_timeout)?,
        };
        let breaker = match self.breaker {
            Some(breaker) => breaker?,
            None => {
                let builder = CircuitBreaker::builder().name(self.name.clone());
                builder.heard_by(self.listener.clone()).build()?
            }
        };
        let backoff = match self.backoff {
            Some(backoff) => backoff?,
            None => Backoff::equal_jitter(Duration::from_millis(10), Duration::from_secs(5))?,
        };
        let told = (self.name, self.listener);
        let errors = Errors { classify: self.classify, text: |error| error };
        let core = Core::new(self.inner, told, rules, breaker, errors, Pace::new(backoff));
        Ok(ResilientManager::new(core))
    }
}

/// A [`ResilientPool`] in the making.
///
/// By default there are at most 10 objects and none is kept warm; at most 1,000 calls wait, 30 s each;
/// three idle objects are tried before a new one is made; the maintenance looks every 30 s.
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

    /// The most objects there are, idle or out. At most 65,536; 0 is a pause until it is
    /// [changed](ResilientPool::resize).
    pub fn max_size(mut self, objects: u32) -> Self {
        self.max_size = objects;
        self
    }

    /// How many are idle at least, as far as `max_size` allows. Kept so by the
    /// [maintenance](ResilientPool::maintenance), which also replaces those that were idle for too long.
    pub fn min_idle(mut self, objects: u32) -> Self {
        self.min_idle = objects;
        self
    }

    /// A call that finds all objects out waits for one, and is refused if there is none after so long. At
    /// most 365 days; for no time at all, it is refused at once.
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.bulkhead = self.bulkhead.wait_at_most(wait);
        self
    }

    /// A call that finds all objects out is refused at once.
    pub fn reject(mut self) -> Self {
        self.bulkhead = self.bulkhead.reject();
        self
    }

    /// A call that finds all objects out waits for one as long as its caller does: until the deadline
    /// around it, or until it is dropped.
    pub fn wait(mut self) -> Self {
        self.bulkhead = self.bulkhead.wait();
        self
    }

    /// The most calls that wait at once. At least 1 where calls wait.
    pub fn max_waiting(mut self, calls: u32) -> Self {
        self.bulkhead = self.bulkhead.max_queued(calls);
        self
    }

    /// How many idle objects a call tries before a new one is made for it. At least 1.
    ///
    /// After a server was restarted all idle objects are dead, and each may take as long as the
    /// [`recycle_timeout`](ManagerBuilder::recycle_timeout) to say so.
    pub fn max_validations(mut self, objects: u32) -> Self {
        self.max_validations = objects;
        self
    }

    /// Hands out the object that came back last, so that the others age and go. By default, the one that
    /// came back first, so that none is idle for long.
    pub fn newest_first(mut self) -> Self {
        self.newest_first = true;
        self
    }

    /// How often the [maintenance](ResilientPool::maintenance) looks, when nothing calls for it. More than
    /// zero, at most 365 days.
    pub fn maintain_every(mut self, interval: Duration) -> Self {
        self.maintain_every = interval;
        self
    }

    /// The pool. Makes no object, and needs no runtime.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn build(self) -> Result<ResilientPool<M>, InvalidConfig> {
        let core = self.manager?.into_core();
        if self.max_size > MOST {
            return Err(InvalidConfig::new(
                "max_size",
                self.max_size,
                format_args!("at most {MOST}"),
            ));
        }
        if self.min_idle > self.max_size && self.max_size > 0 {
            let bound = format!("at most `max_size` ({})", self.max_size);
            return Err(InvalidConfig::new("min_idle", self.min_idle, bound));
        }
        if self.max_validations == 0 {
            return Err(InvalidConfig::new("max_validations", 0, "at least 1"));
        }
        let settings = Settings {
            min_idle: self.min_idle as usize,
            max_validations: self.max_validations,
            maintain_every: config::wait("maintain_every", self.maintain_every)?,
            newest_first: self.newest_first,
        };
        let bulkhead = self.bulkhead.name(core.name.clone()).heard_by(core.listener.clone());
        let bulkhead = bulkhead.max_concurrent(self.max_size.max(1)).build().map_err(renamed)?;
        bulkhead.resize(self.max_size);
        Ok(ResilientPool::new(core, bulkhead, settings))
    }
}

/// An address has no more ports than these.
const MOST: u32 = 1 << 16;

/// As the fields are called here.
fn renamed(error: InvalidConfig) -> InvalidConfig {
    match error.field() {
        "max_queued" => InvalidConfig::new("max_waiting", error.value(), error.bound()),
        _ => error,
    }
}

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
