//! Removes what is no longer kept, in bounded steps.

use std::time::Duration;

use resilience_core::flow::{StoreError, StoreFuture};
use rusqlite::{Params, params};

use super::error::failed;
use super::store::SqliteStore;
use super::transaction::SqliteTransaction;
use crate::retention::{COUNTED, Removed, Retention, TABLES, TableSize, Upkeep};

const LEASES: &str = "DELETE FROM flow_leases WHERE name IN
    (SELECT name FROM flow_leases WHERE expires_at < ?1 LIMIT ?2)";
const KEYS: &str = "DELETE FROM flow_keys WHERE key IN
    (SELECT key FROM flow_keys WHERE expires_at <= ?1 LIMIT ?2)";
const ROWS: &str = "DELETE FROM flow_rows WHERE (data_set, row_key) IN
    (SELECT data_set, row_key FROM flow_rows WHERE expires_at <= ?1 LIMIT ?2)";
const ENTRIES: &str = "DELETE FROM flow_timeline WHERE (run, number) IN
    (SELECT run, number FROM flow_runs JOIN flow_timeline ON run = id
     WHERE started_at < ?1 AND coalesce(ended_at, started_at) < ?1 LIMIT ?2)";
const RUNS: &str = "DELETE FROM flow_runs WHERE id IN
    (SELECT id FROM flow_runs
     WHERE started_at < ?1 AND coalesce(ended_at, started_at) < ?1
         AND NOT EXISTS (SELECT 1 FROM flow_timeline WHERE run = id) LIMIT ?2)";
const DEAD_LETTERS: &str = "DELETE FROM flow_outbox WHERE id IN
    (SELECT id FROM flow_outbox WHERE dead_at < ?1 LIMIT ?2)";

impl SqliteTransaction<'_> {
    fn remove_expired(&self, keep: &Retention, limit: u32) -> Result<Removed, StoreError> {
        let now = self.now();
        let before = |keep: Duration| now.saturating_sub(keep).as_millis();
        Ok(Removed {
            leases: self.remove(LEASES, params![before(keep.leases), limit])?,
            keys: self.remove(KEYS, params![now.as_millis(), limit])?,
            rows: self.remove(ROWS, params![now.as_millis(), limit])?,
            entries: self.remove(ENTRIES, params![before(keep.runs), limit])?,
            runs: self.remove(RUNS, params![before(keep.runs), limit])?,
            dead_letters: self.remove(DEAD_LETTERS, params![before(keep.dead_letters), limit])?,
        })
    }

    fn remove(&self, sql: &str, values: impl Params) -> Result<u64, StoreError> {
        let removed = self.prepare(sql).and_then(|mut remove| remove.execute(values));
        Ok(removed.map_err(failed("what is no longer kept was not removed"))? as u64)
    }

    fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let size = |table: &'static str| {
            let count = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {COUNTED})");
            let rows = self.prepare(&count).and_then(|mut it| it.query_row([], |row| row.get(0)));
            Ok(TableSize { table, rows: rows.map_err(failed("a table could not be counted"))? })
        };
        TABLES.into_iter().map(size).collect()
    }
}

impl SqliteStore {
    /// Removes at most `limit` rows of each table that are no longer kept, in one transaction.
    ///
    /// # Errors
    /// The driver's.
    pub async fn remove_expired(&self, limit: u32) -> Result<Removed, StoreError> {
        let keep = self.0.retention;
        self.transaction(move |tx| tx.remove_expired(&keep, limit)).await
    }

    /// Counts the rows of each table, for the gauges too.
    ///
    /// # Errors
    /// The driver's.
    pub async fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let sizes = self.read(|tx| tx.sizes()).await?;
        self.0.sizes.set(&sizes);
        Ok(sizes)
    }

    /// Removes what is no longer kept and counts what is left, now and then `every` so often, for
    /// ever: to be spawned. Each transaction is short. A failure is left for the next time.
    pub async fn maintenance(&self, every: Duration) {
        self.maintain(every).await;
    }
}

impl Upkeep for SqliteStore {
    fn remove(&self, limit: u32) -> StoreFuture<'_, Removed> {
        Box::pin(self.remove_expired(limit))
    }

    fn count(&self) -> StoreFuture<'_, Vec<TableSize>> {
        Box::pin(self.sizes())
    }
}
