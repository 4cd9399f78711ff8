//! The log and the naive lock in PostgreSQL.

use std::sync::Arc;

use resilience_core::flow::lease::LeaseStore;
use resilience_core::flow::{Fence, StoreError};
use resilience_stores::postgres::{PostgresStore, PostgresTransaction};

use super::entry;
use crate::BoxError;
use crate::contend::Arm;
use crate::contend::judge::{Entry, What};

/// A database with a log.
#[derive(Debug, Clone)]
pub(in crate::contend) struct Postgres(PostgresStore);

const TABLES: &str = "DROP TABLE IF EXISTS contend_log; DROP TABLE IF EXISTS contend_lock;
    CREATE TABLE contend_log (
        number bigserial PRIMARY KEY, arm text NOT NULL, section text NOT NULL, what text NOT NULL
    );
    CREATE TABLE contend_lock (name text PRIMARY KEY, holder text NOT NULL, until bigint NOT NULL);";

const APPEND: &str = "INSERT INTO contend_log (arm, section, what) VALUES ($1, $2, $3)";
const LOG: &str = "SELECT section, what FROM contend_log WHERE arm = $1 ORDER BY number";
const LOCK: &str =
    "INSERT INTO contend_lock (name, holder, until) VALUES ('lock', $1, flow_now() + $2)
    ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
    WHERE contend_lock.until <= flow_now()";
const UNLOCK: &str = "DELETE FROM contend_lock WHERE name = 'lock'";

impl Postgres {
    pub(in crate::contend) async fn open(url: &str) -> Result<Postgres, StoreError> {
        // Twenty processes share the server's connections.
        Ok(Postgres(PostgresStore::builder(url)?.max_connections(2).open().await?))
    }

    pub(in crate::contend) fn leases(&self) -> Arc<dyn LeaseStore> {
        Arc::new(self.0.clone())
    }

    pub(in crate::contend) async fn prepare(&self) -> Result<(), BoxError> {
        Ok(self.0.client().await?.batch_execute(TABLES).await?)
    }

    pub(in crate::contend) async fn write(
        &self,
        arm: Arm,
        section: &str,
        what: What,
        fence: Option<&Fence>,
    ) -> Result<bool, BoxError> {
        let mut client = self.0.client().await?;
        let tx = client.transaction().await?;
        if let Some(fence) = fence
            && !PostgresTransaction::new(&tx).admits(fence).await?
        {
            return Ok(false);
        }
        tx.execute(APPEND, &[&arm.as_str(), &section, &what.as_str()]).await?;
        tx.commit().await?;
        Ok(true)
    }

    pub(in crate::contend) async fn naive_lock(
        &self,
        holder: &str,
        term_ms: u64,
    ) -> Result<bool, BoxError> {
        let term = i64::try_from(term_ms)?;
        Ok(self.0.client().await?.execute(LOCK, &[&holder, &term]).await? == 1)
    }

    pub(in crate::contend) async fn naive_unlock(&self) -> Result<(), BoxError> {
        self.0.client().await?.execute(UNLOCK, &[]).await?;
        Ok(())
    }

    pub(in crate::contend) async fn log(&self, arm: Arm) -> Result<Vec<Entry>, BoxError> {
        let rows = self.0.client().await?.query(LOG, &[&arm.as_str()]).await?;
        rows.iter().map(|row| entry(row.get(0), row.get(1))).collect()
    }
}
