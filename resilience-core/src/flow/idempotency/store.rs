//! The trait of stores of keys.

use std::time::Duration;

use super::record::{Claim, Completion, Fingerprint, KeyRequest, Taken};
use crate::flow::store_error::StoreFuture;

/// A row of a batch: its key, and the digest of its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowHash {
    /// The key of the row within its data set.
    pub key: String,
    /// The digest of the content.
    pub hash: Fingerprint,
}

/// A store of idempotency keys: decides as [`KeyRecord`](super::KeyRecord) does, atomically, by its
/// own clock.
///
/// `testing::conformance::idempotency` proves an implementation.
pub trait IdempotencyStore: Send + Sync {
    /// Claims a key, or returns its state.
    fn claim(&self, request: KeyRequest) -> StoreFuture<'_, Result<Claim, Taken>>;

    /// Completes a claim. Returns `false`, and changes nothing, if another claim was made since.
    /// Completing a claim twice is completing it once. Stores also complete inside the caller's own
    /// transaction, which alone makes the effect and the key one.
    fn complete(&self, claim: Claim, completion: Completion) -> StoreFuture<'_, bool>;

    /// Gives a claim back: the work had no effect. Returns `false`, and changes nothing, if it is
    /// not the caller's any more.
    fn abandon(&self, claim: Claim) -> StoreFuture<'_, bool>;

    /// Returns the positions of rows that differ from their stored content, in one query. At most
    /// [`MAX_BATCH`](crate::flow::limits::MAX_BATCH) rows.
    fn changed(&self, data_set: String, rows: Vec<RowHash>) -> StoreFuture<'_, Vec<usize>>;

    /// Stores the content of rows that were written, for `ttl`. Carries no fence of its own: record
    /// the content of fenced rows in the transaction that checks their fence and writes them, which
    /// the stores offer, or a former holder's content would hide a change.
    fn record(&self, data_set: String, rows: Vec<RowHash>, ttl: Duration) -> StoreFuture<'_, ()>;
}
