//! Transactions, in which everything may be done together.

use std::fmt;

use deadpool_postgres::Transaction;
use resilience_core::Timestamp;
use resilience_core::flow::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use super::error::{driver_error, of};

/// Leases, runs and keys in a transaction of the caller, which commits it.
pub struct PostgresTransaction<'t>(&'t Transaction<'t>);

impl<'t> PostgresTransaction<'t> {
    /// Wraps a transaction.
    #[must_use]
    pub const fn new(tx: &'t Transaction<'t>) -> PostgresTransaction<'t> {
        PostgresTransaction(tx)
    }

    /// Returns the driver's transaction.
    #[must_use]
    pub const fn driver(&self) -> &Transaction<'t> {
        self.0
    }

    pub(super) async fn query(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let statement = self.0.prepare_cached(sql).await.map_err(driver_error)?;
        self.0.query(&statement, values).await.map_err(driver_error)
    }

    pub(super) async fn query_opt(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<Option<Row>, StoreError> {
        Ok(self.query(sql, values).await?.into_iter().next())
    }

    pub(super) async fn execute(
        &self,
        sql: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> Result<u64, StoreError> {
        let statement = self.0.prepare_cached(sql).await.map_err(driver_error)?;
        self.0.execute(&statement, values).await.map_err(driver_error)
    }

    pub(super) async fn now(&self) -> Result<Timestamp, StoreError> {
        let row = self.query_opt("SELECT flow_now()", &[]).await?;
        let row = row.ok_or_else(|| of(resilience_core::flow::StoreErrorKind::Other, "no time"))?;
        Ok(Timestamp::from_millis(get(&row, 0)?))
    }
}

/// Returns a column. One of another type was not written by this crate.
pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: usize) -> Result<T, StoreError> {
    row.try_get(column).map_err(|error| {
        of(resilience_core::flow::StoreErrorKind::Corrupt, "a column").with_source(error)
    })
}

/// Returns a number that is never negative.
pub(super) fn count(row: &Row, column: usize) -> Result<u64, StoreError> {
    let number: i64 = get(row, column)?;
    super::error::corrupt(u64::try_from(number).ok(), "a negative number")
}

/// Returns a number for a column of `bigint`.
pub(super) fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

impl fmt::Debug for PostgresTransaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresTransaction").finish_non_exhaustive()
    }
}
