//! The store, as it is opened and used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_redis::Manager;
use redis::{FromRedisValue, InfoDict, Script, ScriptInvocation};
use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_core::pool::{Pooled, ResilientManager, ResilientPool};
use resilience_core::timeout::within;
use resilience_core::{Deadline, clock};

use super::error::{driver_error, of, pool_error};

/// A store in Redis. Clones share the pool. See the [module](super).
#[derive(Clone)]
pub struct RedisStore(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pool: ResilientPool<Manager>,
    timeout: Duration,
    pub(super) scripts: Scripts,
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

    /// Returns a connection.
    ///
    /// # Errors
    /// If there is none in time, by what is wrong with the server or the pool.
    pub async fn connection(&self) -> Result<Pooled<Manager>, StoreError> {
        self.0.pool.get().await.map_err(pool_error)
    }

    /// Runs a script within the time that an operation has.
    pub(super) async fn run<T: FromRedisValue>(
        &self,
        script: &ScriptInvocation<'_>,
    ) -> Result<T, StoreError> {
        let deadline = Deadline::after(clock::now(), self.0.timeout);
        let run = within(deadline, async {
            // Multiplexed: a call that is dropped leaves the connection in order.
            let mut connection = self.connection().await?;
            let result = script.invoke_async(&mut *connection).await.map_err(driver_error);
            if result.as_ref().is_err_and(|error| error.kind() == StoreErrorKind::Unavailable) {
                connection.broken();
            }
            result
        });
        run.await.unwrap_or_else(|_late| {
            let what = format!("the operation was not done within {:?}", self.0.timeout);
            Err(of(StoreErrorKind::TimedOut, what))
        })
    }

    async fn check_policy(&self) -> Result<(), StoreError> {
        let mut connection = self.connection().await?;
        let info = redis::cmd("INFO").arg("memory").query_async::<InfoDict>(&mut *connection).await;
        let policy: Option<String> = info.map_err(driver_error)?.get("maxmemory_policy");
        match policy.as_deref() {
            Some("noeviction") => Ok(()),
            policy => {
                let what = format!(
                    "`maxmemory-policy` is {}, must be noeviction: leases and completed keys would be evicted",
                    policy.unwrap_or("not shown")
                );
                Err(of(StoreErrorKind::UnsafeServer, what))
            }
        }
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
    /// Names what is wrong with a value or the server. [`UnsafeServer`](StoreErrorKind::UnsafeServer), if the server evicts
    /// keys.
    pub async fn open(self) -> Result<RedisStore, StoreError> {
        // The driver's error does not repeat the URL, which may contain a password.
        let manager = Manager::new(self.url.as_str()).map_err(|error| {
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
        let store = RedisStore(Arc::new(Inner { pool, timeout: self.timeout, scripts }));
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
