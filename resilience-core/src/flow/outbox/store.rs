//! The trait of stores of messages.

use std::time::Duration;

use super::message::{ClaimRequest, Claimed, DeadLetter, Depth, MessageId, NewMessage, Receipt};
use crate::flow::store_error::StoreFuture;

/// A store of messages: decides as [`MessageQueue`](super::MessageQueue) does, atomically, by its
/// own clock.
///
/// Stores also append and complete inside the caller's own transaction, which alone makes the data
/// and its message, or the effect and its completion, one. `testing::conformance::outbox` proves an
/// implementation.
pub trait OutboxStore: Send + Sync {
    /// Appends messages in one transaction: all or none. At most
    /// [`MAX_CLAIM`](crate::flow::limits::MAX_CLAIM). Returns their identifiers.
    fn append_messages(&self, messages: Vec<NewMessage>) -> StoreFuture<'_, Vec<MessageId>>;

    /// Claims messages of a topic, in one statement.
    fn claim_messages(&self, request: ClaimRequest) -> StoreFuture<'_, Claimed>;

    /// Removes messages whose work is done. Returns those whose claim was still the caller's; the
    /// others were claimed again or settled since.
    fn complete_messages(&self, receipts: Vec<Receipt>) -> StoreFuture<'_, Vec<MessageId>>;

    /// Delivers a message again after a time. Returns `false`, and changes nothing, if its claim is
    /// not the caller's any more.
    fn retry(&self, receipt: Receipt, after: Duration, error: String) -> StoreFuture<'_, bool>;

    /// Puts a message aside, with the reason. Returns `false`, and changes nothing, if its claim is
    /// not the caller's any more.
    fn dead_letter(&self, receipt: Receipt, reason: String) -> StoreFuture<'_, bool>;

    /// Returns up to `limit` dead letters of a topic with numbers above `after`, in the order of
    /// their numbers. At most [`MAX_CLAIM`](crate::flow::limits::MAX_CLAIM).
    fn dead_letters(
        &self,
        topic: String,
        after: MessageId,
        limit: usize,
    ) -> StoreFuture<'_, Vec<DeadLetter>>;

    /// Delivers dead letters again, with all their deliveries. Returns how many of the identifiers
    /// were dead letters.
    fn replay(&self, ids: Vec<MessageId>) -> StoreFuture<'_, u64>;

    /// Returns the state of a topic.
    fn depth(&self, topic: String) -> StoreFuture<'_, Depth>;
}
