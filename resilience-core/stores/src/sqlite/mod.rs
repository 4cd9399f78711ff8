//! Leases, runs and idempotency keys in an SQLite file.
//!
//! One thread owns the connection. Operations wait for it in a bounded queue, each within a
//! deadline, and are one immediate transaction each. Processes on one machine may share the file;
//! network file systems are not supported by SQLite's WAL. The store's clock is the machine's.
//!
//! **Power loss**: the journal is a WAL with `synchronous=FULL`, so what was acknowledged is
//! synced. Tested by killed processes, not by power loss.
//!
//! An effect in the same file is exactly one if its key is completed in the same transaction:
//!
//! ```
//! use resilience_core::flow::idempotency::{Completion, KeyRequest, Taken};
//! use resilience_stores::fingerprint;
//! use resilience_stores::sqlite::{SqliteStore, driver_error};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("flow.db");
//! let store = SqliteStore::open(&path).await?;
//! store.transaction(|tx| {
//!     tx.driver().execute_batch("CREATE TABLE effects (message TEXT)").map_err(driver_error)
//! }).await?;
//! for _delivery in 0..3 {
//!     let request = KeyRequest::new("message-7", fingerprint(b"payload"));
//!     let once = store.once(request, |tx| {
//!         tx.driver().execute("INSERT INTO effects VALUES ('message-7')", []).map_err(driver_error)?;
//!         Ok::<_, resilience_core::flow::StoreError>(Completion::of(1, "inserted"))
//!     });
//!     match once.await? {
//!         Ok(_completed) => {}
//!         Err(Taken::Done { rows, .. }) => assert_eq!(rows, 1),
//!         Err(other) => panic!("{other:?}"),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod error;
mod keys;
mod leases;
mod outbox;
mod retention;
mod runs;
mod schema;
mod store;
mod transaction;
mod worker;

pub use error::driver_error;
pub use schema::SqliteMigrations;
pub use store::{SqliteBuilder, SqliteStore};
pub use transaction::SqliteTransaction;
