//! The trait of sinks.

use super::rows::Batch;
use crate::flow::store_error::StoreFuture;

/// The decision of a sink about a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a sink has to choose")]
pub enum Written {
    /// All rows are durable.
    Confirmed,
    /// A row was rejected for its content, and no row was written.
    Rejected {
        /// The reason, for the quarantine.
        why: String,
    },
}

/// A place that rows are written to, in batches.
///
/// A batch comes again after an error and after a write that took too long: either may have taken
/// effect. Write rows so that a second time changes nothing (an upsert by key, or an [idempotency
/// key](crate::flow::idempotency) completed in the transaction of the write), or they are there
/// twice.
pub trait BatchSink<R>: Send + Sync {
    /// Writes all rows of a batch or none. Return [`Rejected`](Written::Rejected) for a fault of
    /// the rows, which splits the batch, and an error for a fault of the sink, which writes the
    /// same batch again.
    ///
    /// Dropped when it takes too long. The future must not block its thread.
    fn write(&self, batch: Batch<R>) -> StoreFuture<'_, Written>;

    /// Keeps a row that was rejected, with the reason: it is held until this returns `Ok`.
    fn quarantine(&self, row: Batch<R>, why: String) -> StoreFuture<'_, ()>;
}
