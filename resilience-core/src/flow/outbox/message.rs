//! Messages: as they are appended, delivered and put aside.

use std::fmt;
use std::time::Duration;

use crate::flow::fence::FencingToken;
use crate::flow::limits::{MAX_CLAIM, MAX_MESSAGE, check_name, check_size};
use crate::flow::store_error::{StoreError, StoreErrorKind};
use crate::timestamp::Timestamp;

/// The number of a message. Later messages of one topic have greater numbers; other topics leave
/// holes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(u64);

impl MessageId {
    /// Returns the identifier of this number.
    #[must_use]
    pub const fn new(number: u64) -> MessageId {
        MessageId(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A message that is to be appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMessage {
    /// The topic, which consumers claim by.
    pub topic: String,
    /// The key whose messages are delivered one after the other, in the order in which their
    /// transactions committed.
    pub order_key: Option<String>,
    /// The content: at most [`MAX_MESSAGE`] bytes.
    pub payload: Vec<u8>,
    /// The time before the first delivery.
    pub delay: Duration,
}

impl NewMessage {
    /// Creates a message without an order, to be delivered at once.
    #[must_use]
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> NewMessage {
        NewMessage {
            topic: topic.into(),
            order_key: None,
            payload: payload.into(),
            delay: Duration::ZERO,
        }
    }

    /// Sets the key within which order is kept. A message waits for all earlier ones of its key: a
    /// message that fails again and again holds up its key until it becomes a dead letter.
    #[must_use]
    pub fn ordered_by(mut self, key: impl Into<String>) -> NewMessage {
        self.order_key = Some(key.into());
        self
    }

    /// Sets the time before the first delivery.
    #[must_use]
    pub const fn delayed_by(mut self, delay: Duration) -> NewMessage {
        self.delay = delay;
        self
    }

    /// Checks the names, the payload and the delay.
    ///
    /// # Errors
    /// [`InvalidInput`](StoreErrorKind::InvalidInput) with the name and the bound of the value that
    /// is out of it.
    pub fn check(&self) -> Result<(), StoreError> {
        check_name("topic", &self.topic)?;
        if let Some(key) = &self.order_key {
            check_name("order_key", key)?;
        }
        check_size("payload", self.payload.len(), MAX_MESSAGE)?;
        check_time("delay", self.delay, Duration::ZERO)
    }
}

/// A claim on messages of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimRequest {
    /// The topic.
    pub topic: String,
    /// The most messages: 1 to [`MAX_CLAIM`].
    pub limit: usize,
    /// The time for the work by the store's clock. A message that is not settled by then is
    /// delivered again.
    pub visible_after: Duration,
    /// The deliveries of one message. A message that was delivered this often becomes a dead letter
    /// instead.
    pub max_deliveries: u32,
}

impl ClaimRequest {
    /// Creates a claim on up to 100 messages, with a minute for the work and 5 deliveries.
    #[must_use]
    pub fn new(topic: impl Into<String>) -> ClaimRequest {
        ClaimRequest {
            topic: topic.into(),
            limit: MAX_CLAIM,
            visible_after: Duration::from_secs(60),
            max_deliveries: 5,
        }
    }

    /// Sets the most messages.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> ClaimRequest {
        self.limit = limit;
        self
    }

    /// Sets the time for the work.
    #[must_use]
    pub const fn visible_after(mut self, time: Duration) -> ClaimRequest {
        self.visible_after = time;
        self
    }

    /// Sets the deliveries of one message.
    #[must_use]
    pub const fn max_deliveries(mut self, deliveries: u32) -> ClaimRequest {
        self.max_deliveries = deliveries;
        self
    }

    /// Checks the values.
    ///
    /// # Errors
    /// [`InvalidInput`](StoreErrorKind::InvalidInput) with the name and the bound of the value that
    /// is out of it.
    pub fn check(&self) -> Result<(), StoreError> {
        check_name("topic", &self.topic)?;
        check_size("limit", self.limit, MAX_CLAIM)?;
        check_time("visible_after", self.visible_after, Duration::from_millis(1))?;
        if self.limit == 0 || self.max_deliveries == 0 || self.max_deliveries > 1_000_000 {
            let why = format!(
                "`limit` must be 1 to {MAX_CLAIM}, not {}, and `max_deliveries` 1 to 1,000,000, not {}",
                self.limit, self.max_deliveries
            );
            return Err(StoreError::new(StoreErrorKind::InvalidInput, "outbox", why));
        }
        Ok(())
    }
}

/// Checks a time against a minimum and a year.
pub(super) fn check_time(
    what: &'static str,
    time: Duration,
    least: Duration,
) -> Result<(), StoreError> {
    let most = Duration::from_secs(366 * 24 * 60 * 60);
    if (least..=most).contains(&time) {
        return Ok(());
    }
    let why = format!("`{what}` must be between {least:?} and 366 days, not {time:?}");
    Err(StoreError::new(StoreErrorKind::InvalidInput, "outbox", why))
}

/// The proof of a claim on one message: settling the message and every write for it carry the
/// token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Receipt {
    /// The message.
    pub id: MessageId,
    /// The token of the claim. A later claim has a greater one.
    pub token: FencingToken,
    /// Set if order is kept within a key of the message.
    pub is_ordered: bool,
}

/// A message that was claimed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// The proof of the claim.
    pub receipt: Receipt,
    /// The topic.
    pub topic: String,
    /// The key within which order is kept.
    pub order_key: Option<String>,
    /// The content.
    pub payload: Vec<u8>,
    /// The number of this delivery: 1 for the first.
    pub deliveries: u32,
    /// The time at which the message was appended, by the store's clock.
    pub appended_at: Timestamp,
}

/// The result of a claim.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claimed {
    /// The messages, in the order of their numbers.
    pub deliveries: Vec<Delivery>,
    /// The number of messages that became dead letters instead.
    pub dead_lettered: u64,
}

/// A message that is not delivered any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The number of the message.
    pub id: MessageId,
    /// The topic.
    pub topic: String,
    /// The key within which order is kept.
    pub order_key: Option<String>,
    /// The content.
    pub payload: Vec<u8>,
    /// The deliveries that were made.
    pub deliveries: u32,
    /// The time at which the message was appended, by the store's clock.
    pub appended_at: Timestamp,
    /// The time at which it was put aside, by the store's clock.
    pub dead_at: Timestamp,
    /// The reason: the last error, or that no consumer settled it.
    pub reason: String,
}

/// The state of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Depth {
    /// The messages that are not settled: waiting, delayed or claimed. Counted up to a million.
    pub unsettled: u64,
    /// The time since the oldest of them was appended, by the store's clock.
    pub oldest: Option<Duration>,
    /// The dead letters. Counted up to a million.
    pub dead: u64,
}
