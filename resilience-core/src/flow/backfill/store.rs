//! The trait of stores of checkpoints.

use super::item::{ItemEnd, ItemState};
use super::job::{JobRequest, Opened, Recorded};
use crate::flow::fence::FencingToken;
use crate::flow::store_error::StoreFuture;

/// A store of checkpoints: decides as [`JobRecord`](super::JobRecord) and [`ItemState::after`] do,
/// atomically.
///
/// A checkpoint is the set of ended items, never a high-water mark: an item that was not ended
/// stays a hole. `testing::conformance::checkpoints` proves an implementation.
pub trait CheckpointStore: Send + Sync {
    /// Opens a job, new or to be resumed. Writes under smaller tokens are rejected from then on.
    fn open(&self, request: JobRequest) -> StoreFuture<'_, Opened>;

    /// Records the end of one item, atomically. Repeating it, since a response was lost, changes
    /// nothing.
    fn record_item(
        &self,
        job: String,
        fence: FencingToken,
        item: String,
        end: ItemEnd,
        max_runs: u32,
    ) -> StoreFuture<'_, Recorded>;

    /// Returns at most `limit` items that have a state, after the item of this name, in the order
    /// of their bytes.
    fn items(
        &self,
        job: String,
        after: String,
        limit: u32,
    ) -> StoreFuture<'_, Vec<(String, ItemState)>>;
}
