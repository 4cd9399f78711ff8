//! Removes what is no longer kept, in bounded steps.

use std::time::Duration;

use resilience_core::flow::{StoreError, StoreFuture};

use super::error::corrupt;
use super::store::PostgresStore;
use super::transaction::{PostgresTransaction, count};
use crate::retention::{COUNTED, Removed, Retention, TABLES, TableSize, Upkeep};

const LEASES: &str = "DELETE FROM flow_leases WHERE name IN
    (SELECT name FROM flow_leases WHERE expires_at < flow_now() - $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
const KEYS: &str = "DELETE FROM flow_keys WHERE key IN
    (SELECT key FROM flow_keys WHERE expires_at <= flow_now() - $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
const ROWS: &str = "DELETE FROM flow_rows WHERE (data_set, row_key) IN
    (SELECT data_set, row_key FROM flow_rows WHERE expires_at <= flow_now() - $1 LIMIT $2
     FOR UPDATE SKIP LOCKED)";
const ENTRIES: &str = "DELETE FROM flow_timeline WHERE (run, number) IN
    (SELECT run, number FROM flow_runs JOIN flow_timeline ON run = id
     WHERE started_at < flow_now() - $1 AND coalesce(ended_at, started_at) < flow_now() - $1 LIMIT $2)";
const RUNS: &str = "DELETE FROM flow_runs WHERE id IN
    (SELECT id FROM flow_runs
     WHERE started_at < flow_now() - $1 AND coalesce(ended_at, started_at) < flow_now() - $1
         AND NOT EXISTS (SELECT 1 FROM flow_timeline WHERE run = id) LIMIT $2
     FOR UPDATE SKIP LOCKED)";
const DEAD_LETTERS: &str = "DELETE FROM flow_outbox WHERE id IN
    (SELECT id FROM flow_outbox WHERE dead_at < flow_now() - $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";

impl PostgresTransaction<'_> {
    async fn remove(&self, sql: &str, keep: Duration, limit: u32) -> Result<u64, StoreError> {
        let keep = i64::try_from(keep.as_millis()).unwrap_or(i64::MAX).min(1 << 51);
        self.execute(sql, &[&keep, &i64::from(limit)]).await
    }

    async fn remove_expired(&self, keep: &Retention, limit: u32) -> Result<Removed, StoreError> {
        Ok(Removed {
            leases: self.remove(LEASES, keep.leases, limit).await?,
            keys: self.remove(KEYS, Duration::ZERO, limit).await?,
            rows: self.remove(ROWS, Duration::ZERO, limit).await?,
            entries: self.remove(ENTRIES, keep.runs, limit).await?,
            runs: self.remove(RUNS, keep.runs, limit).await?,
            dead_letters: self.remove(DEAD_LETTERS, keep.dead_letters, limit).await?,
        })
    }

    async fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let mut sizes = Vec::new();
        for table in TABLES {
            let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {COUNTED}) AS t");
            let row = corrupt(self.query_opt(&sql, &[]).await?, "a table cannot be counted")?;
            sizes.push(TableSize { table, rows: count(&row, 0)? });
        }
        Ok(sizes)
    }
}

impl PostgresStore {
    /// Removes at most `limit` rows of each table that are no longer kept, in one transaction.
    ///
    /// # Errors
    /// The driver's.
    pub async fn remove_expired(&self, limit: u32) -> Result<Removed, StoreError> {
        let keep = self.retention();
        self.in_transaction(async |tx| tx.remove_expired(&keep, limit).await).await
    }

    /// Counts the rows of each table, for the gauges too.
    ///
    /// # Errors
    /// The driver's.
    pub async fn sizes(&self) -> Result<Vec<TableSize>, StoreError> {
        let sizes = self.in_transaction(async |tx| tx.sizes().await).await?;
        self.last_sizes().set(&sizes);
        Ok(sizes)
    }

    /// Removes what is no longer kept and counts what is left, now and then `every` so often, for
    /// ever: to be spawned. Each transaction is short. A failure is left for the next time.
    pub async fn maintenance(&self, every: Duration) {
        self.maintain(every).await;
    }
}

impl Upkeep for PostgresStore {
    fn remove(&self, limit: u32) -> StoreFuture<'_, Removed> {
        Box::pin(self.remove_expired(limit))
    }

    fn count(&self) -> StoreFuture<'_, Vec<TableSize>> {
        Box::pin(self.sizes())
    }
}
