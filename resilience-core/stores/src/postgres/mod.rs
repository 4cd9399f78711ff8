//! Leases, runs and idempotency keys in PostgreSQL, for more than one machine.
//!
//! Connections come from a [`ResilientPool`](resilience_core::pool::ResilientPool). The store's
//! clock is the server's. A lease is renewed in one round trip.
//!
//! **Power loss**: sessions set `synchronous_commit = on`, so what was acknowledged is in the
//! server's WAL on disk, unless `fsync` is off. After a failover to an asynchronous replica, what
//! the replica had not received is lost, tokens included: use `synchronous_standby_names`, or a
//! token may be given twice. Tested by killed clients and a restarted server, not by power loss.
//!
//! **Poolers**: migrations take a session lock, which a pooler in transaction mode breaks: give
//! them a direct connection.
//!
//! An effect in the same database is exactly one if its key is completed in the same transaction:
//!
//! ```no_run
//! use resilience_core::flow::idempotency::{Completion, KeyRequest};
//! use resilience_stores::fingerprint;
//! use resilience_stores::postgres::{PostgresStore, PostgresTransaction, driver_error};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let store = PostgresStore::open("postgres://postgres@127.0.0.1/postgres").await?;
//! let mut client = store.client().await?;
//! let tx = client.transaction().await.map_err(driver_error)?;
//! let flow = PostgresTransaction::new(&tx);
//! if let Ok(claim) = flow.claim(&KeyRequest::new("message-7", fingerprint(b"payload"))).await? {
//!     tx.execute("INSERT INTO effects VALUES ('message-7')", &[]).await.map_err(driver_error)?;
//!     flow.complete(&claim, &Completion::of(1, "inserted")).await?;
//!     tx.commit().await.map_err(driver_error)?;
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

pub use error::driver_error;
pub use schema::PostgresMigrations;
pub use store::{PostgresBuilder, PostgresStore};
pub use transaction::PostgresTransaction;
