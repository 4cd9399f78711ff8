//! The outbox, as producers and operators hold it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::consumer::ConsumerBuilder;
use super::message::{DeadLetter, Depth, MessageId, NewMessage};
use super::store::OutboxStore;
use crate::clock;
use crate::deadline::Deadline;
use crate::flow::limits::{MAX_CLAIM, check_size};
use crate::flow::store_error::{StoreError, StoreErrorKind, StoreFuture};
use crate::timeout::within;

/// The time for one operation, unless the caller's deadline is shorter.
const OPERATION: Duration = Duration::from_secs(30);

/// Messages of one store. Clones share it.
#[derive(Clone)]
pub struct Outbox(Arc<dyn OutboxStore>);

impl Outbox {
    /// Creates a handle.
    #[must_use]
    pub fn new(store: Arc<dyn OutboxStore>) -> Outbox {
        Outbox(store)
    }

    /// Returns the store.
    #[must_use]
    pub fn store(&self) -> &dyn OutboxStore {
        &*self.0
    }

    /// Appends messages in a transaction of their own. A message that announces data belongs in the
    /// transaction of the data: use the method of the store's transaction instead.
    ///
    /// Dropped, the messages may have been appended.
    ///
    /// # Errors
    /// The store's, and [`InvalidInput`](StoreErrorKind::InvalidInput) for a message out of its
    /// bounds or more than [`MAX_CLAIM`] messages. Nothing is tried again: a repetition could
    /// append twice.
    pub async fn append(&self, messages: Vec<NewMessage>) -> Result<Vec<MessageId>, StoreError> {
        check_size("messages", messages.len(), MAX_CLAIM)?;
        messages.iter().try_for_each(NewMessage::check)?;
        in_time(self.0.append_messages(messages)).await
    }

    /// Starts a consumer of a topic with the defaults of [`ConsumerBuilder`].
    pub fn consumer(&self, topic: impl Into<String>) -> ConsumerBuilder {
        ConsumerBuilder::new(self.0.clone(), topic.into())
    }

    /// Returns up to `limit` dead letters of a topic with numbers above `after`, for an operator to
    /// page through.
    ///
    /// # Errors
    /// The store's, and [`InvalidInput`](StoreErrorKind::InvalidInput) if `limit` is more than
    /// [`MAX_CLAIM`].
    pub async fn dead_letters(
        &self,
        topic: impl Into<String>,
        after: MessageId,
        limit: usize,
    ) -> Result<Vec<DeadLetter>, StoreError> {
        check_size("limit", limit, MAX_CLAIM)?;
        in_time(self.0.dead_letters(topic.into(), after, limit)).await
    }

    /// Delivers dead letters again, with all their deliveries. Returns how many of the identifiers
    /// were dead letters. Within its key, a message that is replayed comes after the one that is
    /// being delivered.
    ///
    /// # Errors
    /// The store's, and [`InvalidInput`](StoreErrorKind::InvalidInput) for more than [`MAX_CLAIM`]
    /// identifiers.
    pub async fn replay(&self, ids: Vec<MessageId>) -> Result<u64, StoreError> {
        check_size("ids", ids.len(), MAX_CLAIM)?;
        in_time(self.0.replay(ids)).await
    }

    /// Returns the state of a topic: its unsettled messages, the age of the oldest, and its dead
    /// letters.
    ///
    /// # Errors
    /// The store's.
    pub async fn depth(&self, topic: impl Into<String>) -> Result<Depth, StoreError> {
        in_time(self.0.depth(topic.into())).await
    }
}

/// Bounds one operation in time.
pub(super) async fn in_time<T>(operation: StoreFuture<'_, T>) -> Result<T, StoreError> {
    let deadline = Deadline::after(clock::now(), OPERATION).or_current();
    within(deadline, operation).await.unwrap_or_else(|_late| {
        let what = "the store of messages did not respond in time";
        Err(StoreError::new(StoreErrorKind::TimedOut, "outbox", what))
    })
}

impl fmt::Debug for Outbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbox").finish_non_exhaustive()
    }
}
