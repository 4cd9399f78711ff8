//! The store, as it is opened and used.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use deadpool_redis::Manager;
use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, FromRedisValue, InfoDict, RedisError, Script, ScriptInvocation,
};
use resilience_core::flow::{StoreError, StoreErrorKind, StoreFuture};
use resilience_core::observe::Gauges;
use resilience_core::pool::{Pooled, ResilientManager, ResilientPool};
use resilience_core::timeout::within;
use resilience_core::{Deadline, clock};

use super::error::{driver_error, of, pool_error};
use crate::retention::{Removed, TableSize, Upkeep};

/// A store in Redis. Clones share the pool. See the [module](super).
#[derive(Clone)]
pub struct RedisStore(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pool: ResilientPool<Manager>,
    timeout: Duration,
    pub(super) scripts: Scripts,
    /// Set while the server evicts keys, by the last check.
    evicts: AtomicBool,
    /// The keys of the database as they were counted last.
    size: AtomicU64,
}

/// The scripts, which are loaded when the server does not know them.
pub(super) struct Scripts {
    pub(super) acquire: Script,
    pub(super) renew: Script,
    pub(super) release: Script,
    pub(super) admits: Script,
    pub(super) write: Script,
    pub(super) claim: Script,
    pub(super) complete: Script,
    pub(super) abandon: Script,
}

/// Returns the server's time and sets a lease or key from `KEYS[1]`.
const PROLOGUE: &str = "
    local t = redis.call('TIME')
    local now = t[1] * 1000 + math.floor(t[2] / 1000)
    -- Numbers of 15 digits, which Lua would otherwise write with an exponent.
    local function int(n) return string.format('%.0f', n) end
    local function live(name, token)
        local l = redis.call('HMGET', name, 'token', 'released', 'expires_at')
        return l[1] == token and l[2] == '0' and now < tonumber(l[3])
    end
    local function run(from)
        local at = from
        while at <= #ARGV do
            local n = tonumber(ARGV[at])
            redis.call(unpack(ARGV, at + 1, at + n))
            at = at + 1 + n
        end
    end
";

fn script(body: &str) -> Script {
    Script::new(&format!("{PROLOGUE}{body}"))
}

impl RedisStore {
    /// Connects with the defaults of [`RedisBuilder`].
    ///
    /// # Errors
    /// Those of [`RedisBuilder::open`].
    pub async fn open(url: &str) -> Result<RedisStore, StoreError> {
        RedisStore::builder(url).open().await
    }

    /// Starts from the defaults of [`RedisBuilder`].
    pub fn builder(url: &str) -> RedisBuilder {
        RedisBuilder {
            url: url.to_owned(),
            max_connections: 8,
            max_queued: 1_024,
            timeout: Duration::from_secs(10),
        }
    }

    /// Returns a connection. Each of its commands has the time of an operation.
    ///
    /// # Errors
    /// If there is none in time, by what is wrong with the server or the pool.
    pub async fn connection(&self) -> Result<Pooled<Manager>, StoreError> {
        self.connection_until(Deadline::after(clock::now(), self.0.timeout)).await
    }

    async fn connection_until(&self, deadline: Deadline) -> Result<Pooled<Manager>, StoreError> {
        match within(deadline, self.0.pool.get()).await {
            Ok(connection) => connection.map_err(pool_error),
            Err(_late) => Err(self.late("there was no connection").with_may_have_run(false)),
        }
    }

    /// Runs one operation on a connection, within the time that an operation has.
    pub(super) async fn on_connection<T>(
        &self,
        operation: impl AsyncFnOnce(&mut MultiplexedConnection) -> Result<T, RedisError>,
    ) -> Result<T, StoreError> {
        let deadline = Deadline::after(clock::now(), self.0.timeout);
        let mut connection = self.connection_until(deadline).await?;
        let result = match within(deadline, operation(&mut connection)).await {
            Ok(result) => result.map_err(driver_error),
            Err(_late) => Err(self.late("the operation was not done")),
        };
        // Multiplexed: a call that its caller drops leaves the connection in order. One without a
        // response in time would keep every later call waiting behind it.
        let is_lost = |kind| matches!(kind, StoreErrorKind::Unavailable | StoreErrorKind::TimedOut);
        if result.as_ref().is_err_and(|error| is_lost(error.kind())) {
            connection.broken();
        }
        result
    }

    fn late(&self, what: &str) -> StoreError {
        of(StoreErrorKind::TimedOut, format!("{what} within {:?}", self.0.timeout))
    }

    /// Runs a script within the time that an operation has.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        self.on_connection(async |connection| script.invoke_async(connection).await).await
    }

    /// Checks that the server evicts no keys: its policy can be changed while it runs. While the
    /// last check has failed by the policy, leases and claims are rejected.
    ///
    /// # Errors
    /// [`UnsafeServer`](StoreErrorKind::UnsafeServer) if `maxmemory-policy` is not `noeviction`,
    /// and the driver's.
    pub async fn check_policy(&self) -> Result<(), StoreError> {
        let info = redis::cmd("INFO").arg("memory").to_owned();
        let info: InfoDict =
            self.on_connection(async |connection| info.query_async(connection).await).await?;
        let policy: Option<String> = info.get("maxmemory_policy");
        let evicts = policy.as_deref() != Some("noeviction");
        self.0.evicts.store(evicts, Ordering::Relaxed);
        if evicts { Err(evicting(policy.as_deref().unwrap_or("not shown"))) } else { Ok(()) }
    }

    /// Rejects a lease or a claim while the server evicts keys, by the last check.
    pub(super) fn check_evicts(&self) -> Result<(), StoreError> {
        if self.0.evicts.load(Ordering::Relaxed) {
            return Err(evicting("another since the last check"));
        }
        Ok(())
    }

    /// Returns the keys of the database, whatever they are: leases, idempotency keys and rows, and
    /// the caller's own.
    ///
    /// # Errors
    /// The driver's.
    pub async fn size(&self) -> Result<u64, StoreError> {
        let size = redis::cmd("DBSIZE");
        let size =
            self.on_connection(async |connection| size.query_async(connection).await).await?;
        self.0.size.store(size, Ordering::Relaxed);
        Ok(size)
    }

    /// Checks the eviction policy and counts the keys, now and then `every` so often, for ever: to
    /// be spawned. A failure is left for the next time. What has expired is Redis's to remove.
    pub async fn maintenance(&self, every: Duration) {
        self.maintain(every).await;
    }
}

fn evicting(policy: &str) -> StoreError {
    let what = format!(
        "`maxmemory-policy` is {policy}, must be noeviction: leases and completed keys would be evicted"
    );
    of(StoreErrorKind::UnsafeServer, what)
}

impl Upkeep for RedisStore {
    fn remove(&self, _limit: u32) -> StoreFuture<'_, Removed> {
        Box::pin(async move { self.check_policy().await.map(|()| Removed::default()) })
    }

    fn count(&self) -> StoreFuture<'_, Vec<TableSize>> {
        Box::pin(async move { Ok(vec![TableSize { table: "database", rows: self.size().await? }]) })
    }
}

/// Keys of the database as they were counted last, as `resilience.store.database`, and 1 as
/// `resilience.store.evicts` if the server evicted keys at the last check, else 0.
impl Gauges for RedisStore {
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit("resilience.store.database", self.0.size.load(Ordering::Relaxed) as f64);
        let evicts = self.0.evicts.load(Ordering::Relaxed);
        visit("resilience.store.evicts", f64::from(u8::from(evicts)));
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore").field("timeout", &self.0.timeout).finish_non_exhaustive()
    }
}

/// Settings of a [`RedisStore`].
#[must_use]
pub struct RedisBuilder {
    url: String,
    max_connections: u32,
    max_queued: u32,
    timeout: Duration,
}

impl RedisBuilder {
    /// Sets the most connections: 8 by default.
    pub const fn max_connections(mut self, connections: u32) -> RedisBuilder {
        self.max_connections = connections;
        self
    }

    /// Sets the most operations that wait for a connection: 1,024 by default.
    pub const fn max_queued(mut self, operations: u32) -> RedisBuilder {
        self.max_queued = operations;
        self
    }

    /// Sets the longest time of one operation with its wait: 10 s by default.
    pub const fn timeout(mut self, timeout: Duration) -> RedisBuilder {
        self.timeout = timeout;
        self
    }

    /// Connects.
    ///
    /// # Errors
    /// Names what is wrong with a value or the server.
    /// [`UnsafeServer`](StoreErrorKind::UnsafeServer), if the server evicts keys.
    pub async fn open(self) -> Result<RedisStore, StoreError> {
        if self.timeout.is_zero() {
            return Err(of(StoreErrorKind::InvalidInput, "`timeout` must be more than zero"));
        }
        // The driver's error does not repeat the URL, which may contain a password.
        // The driver's own limits are 500 ms for a response and a second for a connection.
        let limits = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.timeout))
            .set_response_timeout(Some(self.timeout));
        let manager = Manager::new_with_config(self.url.as_str(), limits).map_err(|error| {
            of(StoreErrorKind::InvalidInput, "the URL is not valid").with_source(error)
        })?;
        let manager = ResilientManager::builder(manager).name("redis").build();
        let pool = ResilientPool::builder(manager)
            .max_size(self.max_connections)
            .max_queued(self.max_queued)
            .wait_at_most(self.timeout)
            .build();
        let pool =
            pool.map_err(|error| of(StoreErrorKind::InvalidInput, "the pool").with_source(error))?;
        let scripts = Scripts {
            acquire: script(super::leases::ACQUIRE),
            renew: script(super::leases::RENEW),
            release: script(super::leases::RELEASE),
            admits: script(super::leases::ADMITS),
            write: script(super::leases::WRITE),
            claim: script(super::keys::CLAIM),
            complete: script(super::keys::COMPLETE),
            abandon: script(super::keys::ABANDON),
        };
        let store = RedisStore(Arc::new(Inner {
            pool,
            timeout: self.timeout,
            scripts,
            evicts: AtomicBool::new(false),
            size: AtomicU64::new(0),
        }));
        store.check_policy().await?;
        Ok(store)
    }
}

impl fmt::Debug for RedisBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may contain a password.
        f.debug_struct("RedisBuilder")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
