//! The store, as it is opened and used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, ManagerConfig, RecyclingMethod};
use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_core::observe::Gauges;
use resilience_core::pool::{Pooled, ResilientManager, ResilientPool};
use resilience_core::timeout::within;
use resilience_core::{Deadline, clock};
use tokio_postgres::{Config, NoTls};

use super::error::{driver_error, of, pool_error};
use super::schema::PostgresMigrations;
use super::transaction::PostgresTransaction;
use crate::retention::{LastSizes, Retention};

/// A store in PostgreSQL. Clones share the pool. See the [module](super).
#[derive(Clone)]
pub struct PostgresStore(Arc<Inner>);

struct Inner {
    pool: ResilientPool<Manager>,
    timeout: Duration,
    retention: Retention,
    sizes: LastSizes,
}

impl PostgresStore {
    /// Connects with the defaults of [`PostgresBuilder`].
    ///
    /// # Errors
    /// Those of [`PostgresBuilder::open`].
    pub async fn open(url: &str) -> Result<PostgresStore, StoreError> {
        PostgresStore::builder(url)?.open().await
    }

    /// Starts from the defaults of [`PostgresBuilder`].
    ///
    /// # Errors
    /// [`InvalidInput`](StoreErrorKind::InvalidInput), if the URL is not one of PostgreSQL's.
    pub fn builder(url: &str) -> Result<PostgresBuilder, StoreError> {
        // The driver's error does not repeat the URL, which may contain a password.
        let config: Config = url.parse().map_err(|error| {
            of(StoreErrorKind::InvalidInput, "the URL is not valid").with_source(error)
        })?;
        Ok(PostgresBuilder {
            config,
            max_connections: 8,
            max_queued: 1_024,
            timeout: Duration::from_secs(10),
            retention: Retention::default(),
        })
    }

    /// Returns a connection, for transactions with tables of the caller's own.
    ///
    /// # Errors
    /// If there is none in time, by what is wrong with the server or the pool.
    pub async fn client(&self) -> Result<Pooled<Manager>, StoreError> {
        self.client_until(Deadline::after(clock::now(), self.0.timeout)).await
    }

    async fn client_until(&self, deadline: Deadline) -> Result<Pooled<Manager>, StoreError> {
        match within(deadline, self.0.pool.get()).await {
            Ok(client) => client.map_err(pool_error),
            Err(_late) => Err(self.late("there was no connection").with_may_have_run(false)),
        }
    }

    fn late(&self, what: &str) -> StoreError {
        of(StoreErrorKind::TimedOut, format!("{what} within {:?}", self.0.timeout))
    }

    /// Runs one operation on a connection, within the time that an operation has.
    pub(super) async fn on_client<T>(
        &self,
        operation: impl AsyncFnOnce(&mut deadpool_postgres::ClientWrapper) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let deadline = Deadline::after(clock::now(), self.0.timeout);
        let mut client = InUse { client: self.client_until(deadline).await?, done: false };
        match within(deadline, operation(&mut client.client)).await {
            Ok(worked) => {
                client.done = true;
                worked
            }
            Err(_late) => Err(self.late("the operation was not done")),
        }
    }

    /// Runs one operation in a transaction of its own.
    pub(super) async fn in_transaction<T>(
        &self,
        operation: impl AsyncFnOnce(&PostgresTransaction<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let run = async |client: &mut deadpool_postgres::ClientWrapper| {
            let tx = client.transaction().await.map_err(driver_error)?;
            let value = operation(&PostgresTransaction::new(&tx)).await?;
            tx.commit().await.map_err(driver_error)?;
            Ok(value)
        };
        self.on_client(run).await
    }

    pub(super) fn last_sizes(&self) -> &LastSizes {
        &self.0.sizes
    }

    pub(super) fn retention(&self) -> Retention {
        self.0.retention
    }
}

/// Rows of each table as they were counted last:
/// `resilience.store.{leases,runs,timeline,keys,rows,messages}`.
impl Gauges for PostgresStore {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        self.0.sizes.visit(visit);
    }
}

/// A connection during an operation. Dropped in the middle, it still waits for an answer and is no
/// use to others.
struct InUse {
    client: Pooled<Manager>,
    done: bool,
}

impl Drop for InUse {
    fn drop(&mut self) {
        if !self.done {
            self.client.broken();
        }
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").field("timeout", &self.0.timeout).finish_non_exhaustive()
    }
}

/// Settings of a [`PostgresStore`].
#[must_use]
pub struct PostgresBuilder {
    config: Config,
    max_connections: u32,
    max_queued: u32,
    timeout: Duration,
    retention: Retention,
}

impl PostgresBuilder {
    /// Sets the most connections: 8 by default.
    pub const fn max_connections(mut self, connections: u32) -> PostgresBuilder {
        self.max_connections = connections;
        self
    }

    /// Sets the most operations that wait for a connection: 1,024 by default.
    pub const fn max_queued(mut self, operations: u32) -> PostgresBuilder {
        self.max_queued = operations;
        self
    }

    /// Sets the longest time of one operation with its wait: 10 s by default.
    pub const fn timeout(mut self, timeout: Duration) -> PostgresBuilder {
        self.timeout = timeout;
        self
    }

    /// Sets how long ended things are kept.
    pub const fn retention(mut self, retention: Retention) -> PostgresBuilder {
        self.retention = retention;
        self
    }

    /// Connects, and migrates the schema to the newest version. Of processes that open it at once,
    /// one migrates and the others wait.
    ///
    /// # Errors
    /// Names what is wrong with a value, the server or its schema.
    pub async fn open(mut self) -> Result<PostgresStore, StoreError> {
        if self.timeout.is_zero() {
            return Err(of(StoreErrorKind::InvalidInput, "`timeout` must be more than zero"));
        }
        // First our own settings: those of the URL count. The transaction of a process that is
        // stopped in it ends, and with it its locks.
        let own = "-c synchronous_commit=on -c idle_in_transaction_session_timeout=60000";
        let options = match self.config.get_options() {
            Some(given) => format!("{own} {given}"),
            None => own.to_owned(),
        };
        self.config.options(options);
        self.config.connect_timeout(self.timeout);
        PostgresMigrations::of(self.config.clone()).up().await?;
        let fast = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let manager = Manager::from_config(self.config, NoTls, fast);
        let manager = ResilientManager::builder(manager).name("postgres").build();
        let pool = ResilientPool::builder(manager)
            .max_size(self.max_connections)
            .max_queued(self.max_queued)
            .wait_at_most(self.timeout)
            .build();
        let pool =
            pool.map_err(|error| of(StoreErrorKind::InvalidInput, "the pool").with_source(error))?;
        let (timeout, retention) = (self.timeout, self.retention);
        let sizes = LastSizes::default();
        Ok(PostgresStore(Arc::new(Inner { pool, timeout, retention, sizes })))
    }
}

impl fmt::Debug for PostgresBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration may contain a password.
        f.debug_struct("PostgresBuilder")
            .field("max_connections", &self.max_connections)
            .finish_non_exhaustive()
    }
}
