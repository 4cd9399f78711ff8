//! The store in an SQLite file: the suites that every store passes, several processes, signals, bad
//! input.

#![cfg(feature = "sqlite")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod bad_input;
mod clock;
mod conformance;
#[path = "../support/outbox.rs"]
mod consumers;
mod cost;
#[path = "../support/elsewhere.rs"]
mod elsewhere;
mod migrations;
mod outbox;
mod processes;
mod retention;
#[path = "../support/processes.rs"]
mod support;
#[path = "../support/upkeep.rs"]
mod upkeep;

use resilience_core::flow::Fence;
use resilience_core::flow::StoreError;
use resilience_stores::sqlite::{SqliteStore, driver_error};
use tempfile::TempDir;

/// A folder with the path of a file that does not exist yet.
fn folder() -> (TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("flow.db");
    (folder, path)
}

const LOG: &str = "CREATE TABLE IF NOT EXISTS log
    (number INTEGER PRIMARY KEY, token INTEGER NOT NULL, what TEXT NOT NULL)";

/// Creates the table of writes.
async fn with_log(store: &SqliteStore) {
    let created = store.transaction(|tx| tx.driver().execute_batch(LOG).map_err(driver_error));
    created.await.unwrap();
}

/// Writes under a fence, which is checked in the same transaction.
async fn write(store: &SqliteStore, fence: &Fence, what: &str) -> Result<bool, StoreError> {
    let (fence, what) = (fence.clone(), what.to_owned());
    let written = store.transaction(move |tx| {
        let admitted = tx.admits(&fence)?;
        if admitted {
            let insert = "INSERT INTO log (token, what) VALUES (?1, ?2)";
            let columns = rusqlite::params![fence.token.get(), what];
            tx.driver().execute(insert, columns).map_err(driver_error)?;
        }
        Ok(admitted)
    });
    written.await
}

/// Returns the accepted writes in the order of the store.
async fn log(store: &SqliteStore) -> Vec<(u64, String)> {
    let read = store.transaction(|tx| {
        let mut read = tx
            .driver()
            .prepare("SELECT token, what FROM log ORDER BY number")
            .map_err(driver_error)?;
        let rows =
            read.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).map_err(driver_error)?;
        rows.collect::<Result<Vec<_>, _>>().map_err(driver_error)
    });
    read.await.unwrap()
}

async fn count(store: &SqliteStore, sql: &'static str) -> u64 {
    let count = store.transaction(move |tx| {
        tx.driver().query_row(sql, [], |row| row.get(0)).map_err(driver_error)
    });
    count.await.unwrap()
}
