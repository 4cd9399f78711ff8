//! The log and the naive lock in SQLite.

use std::sync::Arc;

use resilience_core::flow::lease::LeaseStore;
use resilience_core::flow::{Fence, StoreError};
use resilience_stores::sqlite::{SqliteStore, SqliteTransaction, driver_error};
use rusqlite::params;

use super::entry;
use crate::BoxError;
use crate::contend::Arm;
use crate::contend::judge::{Entry, What};

/// A file with a log.
#[derive(Debug, Clone)]
pub(in crate::contend) struct Sqlite(SqliteStore);

const TABLES: &str = "DROP TABLE IF EXISTS contend_log; DROP TABLE IF EXISTS contend_lock;
    CREATE TABLE contend_log (
        number INTEGER PRIMARY KEY, arm TEXT NOT NULL, section TEXT NOT NULL, what TEXT NOT NULL
    );
    CREATE TABLE contend_lock (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until INTEGER NOT NULL);";

const APPEND: &str = "INSERT INTO contend_log (arm, section, what) VALUES (?1, ?2, ?3)";
const LOG: &str = "SELECT section, what FROM contend_log WHERE arm = ?1 ORDER BY number";
const LOCK: &str = "INSERT INTO contend_lock (name, holder, until) VALUES ('lock', ?1, ?2)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE contend_lock.until <= ?3";
/// Deletes the lock of any holder: the fault of the original.
const UNLOCK: &str = "DELETE FROM contend_lock WHERE name = 'lock'";

impl Sqlite {
    pub(in crate::contend) async fn open(path: &str) -> Result<Sqlite, StoreError> {
        Ok(Sqlite(SqliteStore::open(path).await?))
    }

    pub(in crate::contend) fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.0.clone())
    }

    /// Creates the tables, empty.
    pub(in crate::contend) async fn prepare(&self) -> Result<(), StoreError> {
        self.0.transaction(|tx| tx.driver().execute_batch(TABLES).map_err(driver_error)).await
    }

    /// Writes to the log. A fence is checked in the transaction of the write.
    pub(in crate::contend) async fn write(
        &self,
        arm: Arm,
        section: &str,
        what: What,
        fence: Option<&Fence>,
    ) -> Result<bool, BoxError> {
        let section = section.to_owned();
        let fence = fence.cloned();
        let write = move |tx: &SqliteTransaction<'_>| {
            if let Some(fence) = &fence
                && !tx.admits(fence)?
            {
                return Ok(false);
            }
            let columns = params![arm.as_str(), section, what.as_str()];
            tx.driver().execute(APPEND, columns).map_err(driver_error)?;
            Ok::<_, StoreError>(true)
        };
        Ok(self.0.transaction(write).await?)
    }

    /// Takes the naive lock if it is free or has expired.
    pub(in crate::contend) async fn naive_lock(
        &self,
        holder: &str,
        term_ms: u64,
    ) -> Result<bool, BoxError> {
        let holder = holder.to_owned();
        let term = i64::try_from(term_ms)?;
        let lock = move |tx: &SqliteTransaction<'_>| {
            let now = tx.now().as_millis();
            tx.driver().execute(LOCK, params![holder, now + term, now]).map_err(driver_error)
        };
        Ok(self.0.transaction(lock).await? == 1)
    }

    /// Deletes the naive lock.
    pub(in crate::contend) async fn naive_unlock(&self) -> Result<(), StoreError> {
        let unlock =
            |tx: &SqliteTransaction<'_>| tx.driver().execute(UNLOCK, []).map_err(driver_error);
        self.0.transaction(unlock).await.map(drop)
    }

    pub(in crate::contend) async fn log(&self, arm: Arm) -> Result<Vec<Entry>, BoxError> {
        let read = move |tx: &SqliteTransaction<'_>| {
            let mut read = tx.driver().prepare(LOG).map_err(driver_error)?;
            let rows = read.query_map([arm.as_str()], |row| Ok((row.get(0)?, row.get(1)?)));
            let rows = rows.map_err(driver_error)?.collect::<Result<Vec<(String, String)>, _>>();
            rows.map_err(driver_error)
        };
        let rows = self.0.transaction(read).await?;
        rows.into_iter().map(|(section, what)| entry(section, &what)).collect()
    }
}
