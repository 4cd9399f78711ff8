//! Durable work: what must survive a crash.
//!
//! - [`lease`]: one holder at a time, with a fencing token in every write.
//! - [`ledger`]: each run has exactly one end.
//! - [`idempotency`]: one effect for each key, however often its message is delivered.
//! - [`backfill`]: every item of a job once, over any number of runs.
//! - [`batch`]: rows that are written together, and held until the sink has confirmed them.
//! - [`outbox`]: messages that are stored with the data that they announce, and delivered at least
//!   once.
//!
//! Each has an engine that decides (pure, the time is an argument), a store trait, and a handle
//! that fills in time and chance. `resilience-stores` keeps them in SQLite, PostgreSQL and Redis;
//! `testing::MemoryStore` in memory. What is stored carries wall time by the store's clock
//! ([`Timestamp`](crate::Timestamp)); what a process decides alone, it decides by its monotonic
//! clock.

pub mod backfill;
pub mod batch;
mod fence;
pub mod idempotency;
pub mod lease;
pub mod ledger;
pub mod limits;
pub mod outbox;
mod store_error;
#[cfg(feature = "testing")]
pub(crate) mod testing;

pub use fence::{Fence, FencingToken};
pub use store_error::{StoreError, StoreErrorKind, StoreFuture};
