//! The schema of the file, and its migrations.

use std::ffi::OsString;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use resilience_core::flow::{StoreError, StoreErrorKind};
use resilience_core::{Deadline, clock};
use rusqlite::{Connection, OptionalExtension, params};

use super::error::{failed, file_error, kind, of};
use super::store::{check_path, configure, open_file};
use crate::migration::{Applied, HISTORY, MigrationStep, Migrations, Version};

macro_rules! versions {
    ($($file:literal),+) => {
        &[$(Version {
            file: $file,
            up: include_str!(concat!("../../migrations/sqlite/", $file, ".sql")),
            down: include_str!(concat!("../../migrations/sqlite/", $file, ".down.sql")),
        }),+]
    };
}

static MIGRATIONS: Migrations =
    Migrations::new("sqlite", versions!("V1__leases", "V2__runs", "V3__keys", "V4__outbox"));

/// The wait for another process that migrates.
const LOCK_TIMEOUT: Duration = Duration::from_secs(60);

/// The wait for a transaction of another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The migrations of a file.
///
/// A lock on a file beside it, `FILE.migrate-lock`, is held meanwhile: refinery opens transactions
/// of its own, so that the database itself cannot be the lock.
#[derive(Debug, Clone)]
pub struct SqliteMigrations {
    path: PathBuf,
}

impl SqliteMigrations {
    /// Names the file. Nothing is opened yet.
    pub fn new(path: impl AsRef<Path>) -> SqliteMigrations {
        SqliteMigrations { path: path.as_ref().to_owned() }
    }

    /// Returns the newest version that this build knows.
    #[must_use]
    pub fn latest() -> u32 {
        MIGRATIONS.latest()
    }

    /// Returns the version of the file, 0 if it has no schema yet.
    ///
    /// # Errors
    /// If the file cannot be read, or its schema is not one of this build's.
    pub async fn version(&self) -> Result<u32, StoreError> {
        let applied = self.applied().await?;
        Ok(applied.iter().map(|applied| applied.version).max().unwrap_or(0))
    }

    /// Returns the steps that [`up`](SqliteMigrations::up) would make, and makes none. A file that
    /// does not exist is not created.
    ///
    /// # Errors
    /// If the file cannot be read, or its schema is not one of this build's.
    pub async fn plan(&self) -> Result<Vec<MigrationStep>, StoreError> {
        MIGRATIONS.up(&self.applied().await?)
    }

    /// Reads what was applied, without a lock: a migration is one transaction.
    async fn applied(&self) -> Result<Vec<Applied>, StoreError> {
        check_path(&self.path)?;
        let path = self.path.clone();
        let read = tokio::task::spawn_blocking(move || {
            // Other errors than that there is no file are those of opening it.
            if path.try_exists().is_ok_and(|exists| !exists) {
                return Ok(Vec::new());
            }
            checked(&open_file(&path, false, BUSY_TIMEOUT)?)
        });
        read.await.map_err(|_| of(StoreErrorKind::Other, "reading the history panicked"))?
    }

    /// Applies what is missing, in one transaction. Returns what was applied.
    ///
    /// # Errors
    /// If the schema is not one of this build's, a version differs from the one that was applied,
    /// or a statement fails. Nothing is changed then.
    pub async fn up(&self) -> Result<Vec<MigrationStep>, StoreError> {
        self.locked(|connection| {
            let steps = MIGRATIONS.up(&checked(connection)?)?;
            if !steps.is_empty() {
                configure(connection)?;
                let migrated = MIGRATIONS.runner()?.run(connection);
                migrated.map_err(|error| MIGRATIONS.failed(error, kind))?;
            }
            Ok(steps)
        })
        .await
    }

    /// Goes back to `target`, in one transaction. Returns the steps, newest first. What the tables
    /// above it held is deleted. Fencing tokens begin again at 1 once the table of leases is gone:
    /// stop every holder first.
    ///
    /// # Errors
    /// As those of [`up`](SqliteMigrations::up).
    pub async fn down(&self, target: u32) -> Result<Vec<MigrationStep>, StoreError> {
        self.locked(move |connection| {
            let steps = MIGRATIONS.down(&checked(connection)?, target)?;
            let what = failed("the schema could not be migrated down");
            let tx = connection.transaction().map_err(&what)?;
            for step in &steps {
                tx.execute_batch(step.sql).map_err(&what)?;
                let forget = format!("DELETE FROM {HISTORY} WHERE version = ?1");
                tx.execute(&forget, params![step.version]).map_err(&what)?;
            }
            tx.commit().map_err(&what)?;
            Ok(steps)
        })
        .await
    }

    /// Runs `work` on a connection while the lock is held. Dropped, work that has begun ends, and
    /// then releases the lock.
    async fn locked<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        check_path(&self.path)?;
        let lock = lock(&self.path).await?;
        let path = self.path.clone();
        let worked = tokio::task::spawn_blocking(move || {
            let result = open_file(&path, true, BUSY_TIMEOUT).and_then(|mut it| work(&mut it));
            drop(lock);
            result
        });
        // refinery panics on a history that it did not write.
        worked.await.map_err(|_| of(StoreErrorKind::Corrupt, "the history of the schema"))?
    }
}

async fn lock(path: &Path) -> Result<File, StoreError> {
    let mut beside = OsString::from(path);
    beside.push(".migrate-lock");
    let opened = OpenOptions::new().create(true).truncate(false).write(true).open(&beside);
    let file = opened.map_err(|error| file_error("the lock beside the file", error))?;
    let deadline = Deadline::after(clock::now(), LOCK_TIMEOUT).or_current();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(error)) => {
                return Err(file_error("the lock beside the file", error));
            }
        }
        if deadline.has_passed(clock::now()) {
            return Err(of(StoreErrorKind::Busy, "another process migrates the schema"));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Returns what was applied, if it is what this build knows.
fn checked(connection: &Connection) -> Result<Vec<Applied>, StoreError> {
    let applied = applied(connection).map_err(failed("the history of the schema"))?;
    MIGRATIONS.check(&applied)?;
    Ok(applied)
}

fn applied(connection: &Connection) -> Result<Vec<Applied>, rusqlite::Error> {
    let exists = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    let exists = connection.query_row(exists, params![HISTORY], |_| Ok(())).optional()?;
    if exists.is_none() {
        return Ok(Vec::new());
    }
    let list = format!("SELECT version, name, checksum FROM {HISTORY} ORDER BY version");
    let mut list = connection.prepare(&list)?;
    let rows = list.query_map([], |row| {
        Ok(Applied { version: row.get(0)?, name: row.get(1)?, checksum: row.get(2)? })
    })?;
    rows.collect()
}
