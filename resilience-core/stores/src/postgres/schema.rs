//! The schema, and its migrations.

use std::fmt;
use std::time::Duration;

use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_core::timeout::within;
use resilience_core::{Deadline, clock};
use tokio_postgres::{Client, Config, NoTls};

use super::error::{driver_error, kind, of};
use super::transaction::get;
use crate::migration::{Applied, HISTORY, MigrationStep, Migrations, Version};

macro_rules! versions {
    ($($file:literal),+) => {
        &[$(Version {
            file: $file,
            up: include_str!(concat!("../../migrations/postgres/", $file, ".sql")),
            down: include_str!(concat!("../../migrations/postgres/", $file, ".down.sql")),
        }),+]
    };
}

static MIGRATIONS: Migrations =
    Migrations::new("postgres", versions!("V1__leases", "V2__runs", "V3__keys", "V4__outbox"));

/// The wait for another process that migrates.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// The wait for a connection, if the URL sets no `connect_timeout`, and for the history of the
/// schema.
const READ_TIMEOUT: Duration = Duration::from_secs(10);

/// The longest time of a migration.
const MIGRATION_TIMEOUT: Duration = Duration::from_secs(600);

/// The advisory lock of the migrations: the bytes of `flow`, and one.
const LOCK: i64 = 0x666C_6F77_0001;

/// The migrations of a database.
///
/// An advisory lock is held meanwhile, on the one connection that migrates: refinery reads what was
/// applied in a transaction of its own.
///
/// Each method ends in time with [`TimedOut`](StoreErrorKind::TimedOut) if the server does not
/// respond: the connection and the history have the URL's `connect_timeout` (10 s without), the
/// lock 60 s more, a migration 10 minutes.
pub struct PostgresMigrations(Config);

impl PostgresMigrations {
    /// Names the database. Nothing is connected yet.
    ///
    /// # Errors
    /// [`InvalidInput`](StoreErrorKind::InvalidInput), if the URL is not one of PostgreSQL's.
    pub fn new(url: &str) -> Result<PostgresMigrations, StoreError> {
        let config = url.parse().map_err(|error: tokio_postgres::Error| {
            of(StoreErrorKind::InvalidInput, "the URL is not valid").with_source(error)
        })?;
        Ok(PostgresMigrations(config))
    }

    pub(super) const fn of(config: Config) -> PostgresMigrations {
        PostgresMigrations(config)
    }

    /// Returns the newest version that this build knows.
    #[must_use]
    pub fn latest() -> u32 {
        MIGRATIONS.latest()
    }

    /// Returns the version of the database, 0 if it has no schema yet.
    ///
    /// # Errors
    /// If the server cannot be reached, or the schema is not one of this build's.
    pub async fn version(&self) -> Result<u32, StoreError> {
        let (_session, applied) = self.locked().await?;
        Ok(applied.iter().map(|applied| applied.version).max().unwrap_or(0))
    }

    /// Returns the steps that [`up`](PostgresMigrations::up) would make, and makes none.
    ///
    /// # Errors
    /// As those of [`version`](PostgresMigrations::version).
    pub async fn plan(&self) -> Result<Vec<MigrationStep>, StoreError> {
        let (_session, applied) = self.locked().await?;
        MIGRATIONS.up(&applied)
    }

    /// Applies what is missing, in one transaction. Returns what was applied.
    ///
    /// # Errors
    /// If the schema is not one of this build's, a version differs from the one that was applied,
    /// or a statement fails. Nothing is changed then.
    pub async fn up(&self) -> Result<Vec<MigrationStep>, StoreError> {
        let (mut session, applied) = self.locked().await?;
        let steps = MIGRATIONS.up(&applied)?;
        if !steps.is_empty() {
            let runner = MIGRATIONS.runner()?;
            let migrated = runner.run_async(&mut session.client);
            let migrated = limited(MIGRATION_TIMEOUT, "the migration", migrated).await?;
            migrated.map_err(|error| MIGRATIONS.failed(error, kind))?;
        }
        Ok(steps)
    }

    /// Goes back to `target`, in one transaction. Returns the steps, newest first. What the tables
    /// above it held is deleted. Fencing tokens begin again at 1 once the table of leases is gone:
    /// stop every holder first.
    ///
    /// # Errors
    /// As those of [`up`](PostgresMigrations::up).
    pub async fn down(&self, target: u32) -> Result<Vec<MigrationStep>, StoreError> {
        let (mut session, applied) = self.locked().await?;
        let steps = MIGRATIONS.down(&applied, target)?;
        let went = go_down(&mut session.client, &steps);
        limited(MIGRATION_TIMEOUT, "the migration", went).await??;
        Ok(steps)
    }

    /// Returns a session that has the lock, which ends with it, and what was applied.
    async fn locked(&self) -> Result<(Session, Vec<Applied>), StoreError> {
        let connect = self.0.get_connect_timeout().copied().unwrap_or(READ_TIMEOUT);
        // The driver's own timeout ends with the TCP connection: a server that does not respond
        // then would be waited for.
        let connected = limited(connect, "the connection", self.0.connect(NoTls)).await?;
        let (client, connection) = connected.map_err(driver_error)?;
        // The connection's errors are those of the client.
        let session = Session { client, task: tokio::spawn(async { _ = connection.await }) };
        // The server's own limit comes first, unless the server does not respond.
        let limit = LOCK_TIMEOUT.saturating_add(connect);
        limited(limit, "the lock of the migrations", lock(&session.client)).await??;
        let history = checked(&session.client);
        let applied = limited(connect, "the history of the schema", history).await??;
        Ok((session, applied))
    }
}

/// A connection. Dropped, it is closed, also if the server does not respond: with the driver's
/// client alone, requests that wait would keep it open.
struct Session {
    client: Client,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Runs `future` for at most `limit`.
async fn limited<T>(
    limit: Duration,
    what: &str,
    future: impl Future<Output = T>,
) -> Result<T, StoreError> {
    within(Deadline::after(clock::now(), limit), future).await.map_err(|_late| {
        of(StoreErrorKind::TimedOut, format!("{what} was not there within {limit:?}"))
    })
}

async fn lock(client: &Client) -> Result<(), StoreError> {
    let timeout = format!("SET lock_timeout = {}", LOCK_TIMEOUT.as_millis());
    client.batch_execute(&timeout).await.map_err(driver_error)?;
    client.query("SELECT pg_advisory_lock($1)", &[&LOCK]).await.map_err(driver_error)?;
    client.batch_execute("SET lock_timeout = 0").await.map_err(driver_error)
}

async fn go_down(client: &mut Client, steps: &[MigrationStep]) -> Result<(), StoreError> {
    let tx = client.transaction().await.map_err(driver_error)?;
    for step in steps {
        tx.batch_execute(step.sql).await.map_err(driver_error)?;
        let forget = format!("DELETE FROM {HISTORY} WHERE version = $1");
        let version = i32::try_from(step.version).unwrap_or(i32::MAX);
        tx.execute(&forget, &[&version]).await.map_err(driver_error)?;
    }
    tx.commit().await.map_err(driver_error)
}

/// Returns what was applied, if it is what this build knows.
async fn checked(client: &Client) -> Result<Vec<Applied>, StoreError> {
    let exists = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&HISTORY]).await;
    if !get::<bool>(&exists.map_err(driver_error)?, 0)? {
        return Ok(Vec::new());
    }
    let list = format!("SELECT version, name, checksum FROM {HISTORY} ORDER BY version");
    let rows = client.query(&list, &[]).await.map_err(driver_error)?;
    let applied = rows.iter().map(|row| {
        let version: i32 = get(row, 0)?;
        let version = u32::try_from(version).unwrap_or(u32::MAX);
        Ok(Applied { version, name: get(row, 1)?, checksum: get(row, 2)? })
    });
    let applied = applied.collect::<Result<Vec<_>, StoreError>>()?;
    MIGRATIONS.check(&applied)?;
    Ok(applied)
}

impl fmt::Debug for PostgresMigrations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The configuration may contain a password.
        f.debug_struct("PostgresMigrations").finish_non_exhaustive()
    }
}
