//! The store, as it is opened and used.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use resilience_core::Timestamp;
use resilience_core::flow::idempotency::{Completion, KeyRequest, Taken};
use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_core::observe::Gauges;
use rusqlite::{Connection, OpenFlags, TransactionBehavior};
use tokio::sync::Semaphore;

use super::error::{failed, of};
use super::schema::SqliteMigrations;
use super::transaction::SqliteTransaction;
use super::worker::Worker;
use crate::retention::{LastSizes, Retention};

pub(super) type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// A store in an SQLite file. Clones share the connection. See the [module](super).
#[derive(Clone)]
pub struct SqliteStore(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) worker: Worker,
    pub(super) retention: Retention,
    pub(super) sizes: LastSizes,
    path: PathBuf,
    clock: Clock,
}

impl SqliteStore {
    /// Opens the file with the defaults of [`SqliteBuilder`], and creates it if there is none.
    ///
    /// # Errors
    /// Those of [`SqliteBuilder::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<SqliteStore, StoreError> {
        SqliteStore::builder(path).open().await
    }

    /// Starts from the defaults of [`SqliteBuilder`].
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder {
            path: path.as_ref().to_owned(),
            max_queued: 1_024,
            timeout: Duration::from_secs(10),
            busy_timeout: Duration::from_secs(5),
            retention: Retention::default(),
            clock: Arc::new(Timestamp::now),
        }
    }

    /// Runs `work` in one immediate transaction: what it writes to tables of its own is committed
    /// with what it does to leases, runs and keys. An error rolls all of it back. `work` blocks the
    /// store's thread.
    ///
    /// Dropped, work that has begun is still committed; work that waits is left out.
    ///
    /// # Errors
    /// That of `work`, and those of the store.
    pub async fn transaction<T, E>(
        &self,
        work: impl FnOnce(&SqliteTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.run(TransactionBehavior::Immediate, work).await
    }

    /// Runs `work`, which only reads: other processes may write meanwhile.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&SqliteTransaction<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.run(TransactionBehavior::Deferred, work).await
    }

    async fn run<T, E>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&SqliteTransaction<'_>) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let clock = self.0.clock.clone();
        let run = move |connection: &mut Connection| {
            let begun = connection.transaction_with_behavior(behavior);
            // Read once the lock is there: waiting for it takes time.
            let tx = begun.map_err(failed("no transaction was begun"))?;
            let tx = SqliteTransaction::new(tx, clock());
            let value = work(&tx)?;
            tx.commit()?;
            Ok(value)
        };
        self.0.worker.call(run).await
    }

    /// Claims the key, runs `work` and completes the key, all in one transaction: exactly one
    /// effect for each key. Returns the completion, or the state of the key if it cannot be
    /// claimed.
    ///
    /// # Errors
    /// Those of [`transaction`](SqliteStore::transaction). The key is free then.
    pub async fn once<E>(
        &self,
        request: KeyRequest,
        work: impl FnOnce(&SqliteTransaction<'_>) -> Result<Completion, E> + Send + 'static,
    ) -> Result<Result<Completion, Taken>, E>
    where
        E: From<StoreError> + Send + 'static,
    {
        self.transaction(move |tx| {
            let claim = match tx.claim(&request)? {
                Ok(claim) => claim,
                Err(taken) => return Ok(Err(taken)),
            };
            let completion = work(tx)?;
            tx.complete(&claim, &completion)?;
            Ok(Ok(completion))
        })
        .await
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0.path
    }
}

/// Operations that wait for the thread, as `resilience.store.queued`, and the rows of each table as
/// they were counted last: `resilience.store.{leases,runs,timeline,keys,rows,messages}`.
impl Gauges for SqliteStore {
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit("resilience.store.queued", self.0.worker.queued() as f64);
        self.0.sizes.visit(visit);
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("path", &self.0.path).finish_non_exhaustive()
    }
}

/// Settings of a [`SqliteStore`].
#[must_use]
pub struct SqliteBuilder {
    path: PathBuf,
    max_queued: usize,
    timeout: Duration,
    busy_timeout: Duration,
    retention: Retention,
    clock: Clock,
}

impl SqliteBuilder {
    /// Sets the operations that may wait for the store's thread: 1,024 by default.
    pub const fn max_queued(mut self, operations: usize) -> SqliteBuilder {
        self.max_queued = operations;
        self
    }

    /// Sets the longest time of one operation with its wait: 10 s by default.
    pub const fn timeout(mut self, timeout: Duration) -> SqliteBuilder {
        self.timeout = timeout;
        self
    }

    /// Sets the longest wait for the transaction of another process: 5 s by default.
    pub const fn busy_timeout(mut self, timeout: Duration) -> SqliteBuilder {
        self.busy_timeout = timeout;
        self
    }

    /// Sets how long ended things are kept.
    pub const fn retention(mut self, retention: Retention) -> SqliteBuilder {
        self.retention = retention;
        self
    }

    /// Sets the store's clock, for tests. The machine's by default.
    pub fn clock(mut self, clock: impl Fn() -> Timestamp + Send + Sync + 'static) -> SqliteBuilder {
        self.clock = Arc::new(clock);
        self
    }

    /// Opens the file, creates it if there is none, and migrates its schema to the newest version.
    /// Of processes that open it at once, one migrates and the others wait.
    ///
    /// # Errors
    /// Names what is wrong with a value, the file or its schema. Nothing is changed in a file whose
    /// schema is rejected. [`InvalidInput`](StoreErrorKind::InvalidInput) for `:memory:`.
    pub async fn open(self) -> Result<SqliteStore, StoreError> {
        self.check()?;
        SqliteMigrations::new(&self.path).up().await?;
        let (path, busy_timeout) = (self.path.clone(), self.busy_timeout);
        let open = move || {
            let connection = open_file(&path, true, busy_timeout)?;
            configure(&connection)?;
            Ok::<_, StoreError>(connection)
        };
        let opened = tokio::task::spawn_blocking(open).await;
        let connection =
            opened.map_err(|_| of(StoreErrorKind::Other, "opening the file panicked"))??;
        let worker = Worker::spawn(connection, self.max_queued, self.timeout)?;
        let inner = Inner {
            worker,
            retention: self.retention,
            sizes: LastSizes::default(),
            path: self.path,
            clock: self.clock,
        };
        Ok(SqliteStore(Arc::new(inner)))
    }
}

/// The longest wait that SQLite can be given: 2³¹ − 1 ms.
const MAX_BUSY_TIMEOUT: Duration = Duration::from_millis(2_147_483_647);

impl SqliteBuilder {
    fn check(&self) -> Result<(), StoreError> {
        check_path(&self.path)?;
        let what = if self.max_queued == 0 || self.max_queued > Semaphore::MAX_PERMITS {
            let limit = Semaphore::MAX_PERMITS;
            format!("`max_queued` must be 1 to {limit}, not {}", self.max_queued)
        } else if self.timeout.is_zero() {
            "`timeout` must be more than zero".to_owned()
        } else if self.busy_timeout > MAX_BUSY_TIMEOUT {
            let (limit, given) = (MAX_BUSY_TIMEOUT, self.busy_timeout);
            format!("`busy_timeout` must be at most {limit:?}, not {given:?}")
        } else {
            return Ok(());
        };
        Err(of(StoreErrorKind::InvalidInput, what))
    }
}

impl fmt::Debug for SqliteBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteBuilder").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Rejects the names under which SQLite keeps a database in memory or in a temporary file: each
/// connection would have one of its own.
pub(super) fn check_path(path: &Path) -> Result<(), StoreError> {
    if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
        let what = format!("`path` must name a file, not `{}`", path.display());
        return Err(of(StoreErrorKind::InvalidInput, what));
    }
    Ok(())
}

/// Opens a connection, and changes nothing in a file that exists. Without `create`, a file that
/// does not exist is an error.
pub(super) fn open_file(
    path: &Path,
    create: bool,
    busy_timeout: Duration,
) -> Result<Connection, StoreError> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    flags.set(OpenFlags::SQLITE_OPEN_CREATE, create);
    let opened = Connection::open_with_flags(path, flags);
    let connection = opened.map_err(failed("the file could not be opened"))?;
    connection.busy_timeout(busy_timeout).map_err(failed("the file could not be opened"))?;
    Ok(connection)
}

/// Sets what this store needs of a connection. The journal is a property of the file: check its
/// schema first.
pub(super) fn configure(connection: &Connection) -> Result<(), StoreError> {
    let settings =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";
    connection.execute_batch(settings).map_err(failed("the file could not be opened"))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}
