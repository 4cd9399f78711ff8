//! The queue as an engine: what a claim, a settlement and a replay do. Pure: stores pass the time
//! of their own clock.

use std::collections::BTreeMap;
use std::time::Duration;

use super::message::{
    ClaimRequest, Claimed, DeadLetter, Delivery, Depth, MessageId, NewMessage, Receipt,
};
use crate::flow::fence::FencingToken;
use crate::flow::limits::bounded_text;
use crate::timestamp::Timestamp;

/// The reason of a dead letter that no consumer has settled.
pub const UNSETTLED: &str = "no consumer settled the message: its claims ended";

/// A queue of messages in memory: the reference for stores, which keep the same rules in their
/// tables.
///
/// ```
/// use resilience_core::Timestamp;
/// use resilience_core::flow::FencingToken;
/// use resilience_core::flow::outbox::{ClaimRequest, MessageQueue, NewMessage};
///
/// let now = Timestamp::from_millis(0);
/// let mut queue = MessageQueue::new();
/// queue.append(NewMessage::new("scores", "a").ordered_by("game-1"), now);
/// queue.append(NewMessage::new("scores", "b").ordered_by("game-1"), now);
///
/// let request = ClaimRequest::new("scores");
/// let first = queue.claim(&request, FencingToken::new(1), now).deliveries;
/// assert_eq!(first.len(), 1, "the second waits for the first of its key");
/// assert!(queue.complete(&first[0].receipt));
/// assert_eq!(queue.claim(&request, FencingToken::new(2), now).deliveries[0].payload, b"b");
/// ```
#[derive(Debug, Clone, Default)]
pub struct MessageQueue {
    messages: BTreeMap<MessageId, Message>,
    last: u64,
}

#[derive(Debug, Clone)]
struct Message {
    new: NewMessage,
    appended_at: Timestamp,
    /// The earliest time of the next delivery.
    visible_at: Timestamp,
    deliveries: u32,
    token: FencingToken,
    last_error: Option<String>,
    dead: Option<(Timestamp, String)>,
    /// Set if the message waits for an earlier one of its key.
    is_blocked: bool,
}

impl Message {
    fn is_of(&self, topic: &str, key: Option<&str>) -> bool {
        self.new.topic == topic && self.new.order_key.as_deref() == key
    }

    fn is_claimable(&self, topic: &str, now: Timestamp) -> bool {
        self.dead.is_none() && !self.is_blocked && self.new.topic == topic && self.visible_at <= now
    }
}

impl MessageQueue {
    /// Creates an empty queue.
    #[must_use]
    pub fn new() -> MessageQueue {
        MessageQueue::default()
    }

    /// Appends a message.
    pub fn append(&mut self, new: NewMessage, now: Timestamp) -> MessageId {
        self.last += 1;
        let id = MessageId::new(self.last);
        let key = new.order_key.clone().map(|key| (new.topic.clone(), key));
        let message = Message {
            visible_at: now.saturating_add(new.delay),
            is_blocked: key.is_some(),
            new,
            appended_at: now,
            deliveries: 0,
            token: FencingToken::new(0),
            last_error: None,
            dead: None,
        };
        self.messages.insert(id, message);
        self.unblock(key);
        id
    }

    /// Claims messages under `token`, those that have been visible for longest first.
    pub fn claim(
        &mut self,
        request: &ClaimRequest,
        token: FencingToken,
        now: Timestamp,
    ) -> Claimed {
        let mut ready: Vec<_> = self
            .messages
            .iter()
            .filter(|(_, message)| message.is_claimable(&request.topic, now))
            .map(|(&id, message)| (message.visible_at, id))
            .collect();
        ready.sort_unstable();
        ready.truncate(request.limit);
        ready.sort_unstable_by_key(|&(_, id)| id);
        let mut claimed = Claimed::default();
        for (_, id) in ready {
            let Some(message) = self.messages.get_mut(&id) else { continue };
            if message.deliveries >= request.max_deliveries {
                let last = message.last_error.take();
                let reason = last.unwrap_or_else(|| UNSETTLED.to_owned());
                self.put_aside(id, reason, now);
                claimed.dead_lettered += 1;
                continue;
            }
            message.deliveries += 1;
            message.token = token;
            message.visible_at = now.saturating_add(request.visible_after);
            let is_ordered = message.new.order_key.is_some();
            claimed.deliveries.push(Delivery {
                receipt: Receipt { id, token, is_ordered },
                topic: message.new.topic.clone(),
                order_key: message.new.order_key.clone(),
                payload: message.new.payload.clone(),
                deliveries: message.deliveries,
                appended_at: message.appended_at,
            });
        }
        claimed
    }

    /// Removes a message whose work is done. Returns `false`, and changes nothing, if it was
    /// claimed again or settled since.
    pub fn complete(&mut self, receipt: &Receipt) -> bool {
        if self.claimed(receipt).is_none() {
            return false;
        }
        let key = self.key(receipt.id);
        self.messages.remove(&receipt.id);
        self.unblock(key);
        true
    }

    /// Delivers a message again after a time. Returns `false`, and changes nothing, if it was
    /// claimed again or settled since.
    pub fn retry(
        &mut self,
        receipt: &Receipt,
        after: Duration,
        error: &str,
        now: Timestamp,
    ) -> bool {
        let Some(message) = self.claimed(receipt) else { return false };
        message.token = FencingToken::new(0);
        message.visible_at = now.saturating_add(after);
        message.last_error = Some(bounded_text(error));
        true
    }

    /// Puts a message aside. Returns `false`, and changes nothing, if it was claimed again or
    /// settled since.
    pub fn dead_letter(&mut self, receipt: &Receipt, reason: &str, now: Timestamp) -> bool {
        let is_claimed = self.claimed(receipt).is_some();
        if is_claimed {
            self.put_aside(receipt.id, bounded_text(reason), now);
        }
        is_claimed
    }

    /// Returns up to `limit` dead letters of a topic with numbers above `after`.
    #[must_use]
    pub fn dead_letters(&self, topic: &str, after: MessageId, limit: usize) -> Vec<DeadLetter> {
        let letter = |(&id, message): (&MessageId, &Message)| {
            let (dead_at, reason) = message.dead.clone()?;
            (id > after && message.new.topic == topic).then(|| DeadLetter {
                id,
                topic: message.new.topic.clone(),
                order_key: message.new.order_key.clone(),
                payload: message.new.payload.clone(),
                deliveries: message.deliveries,
                appended_at: message.appended_at,
                dead_at,
                reason,
            })
        };
        self.messages.iter().filter_map(letter).take(limit).collect()
    }

    /// Delivers dead letters again, with all their deliveries. Returns how many of the identifiers
    /// were dead letters. Within its key, a message that is replayed comes after the one that is
    /// being delivered.
    pub fn replay(&mut self, ids: &[MessageId], now: Timestamp) -> u64 {
        let mut replayed = Vec::new();
        for &id in ids {
            let Some(message) = self.messages.get_mut(&id) else { continue };
            if message.dead.take().is_none() {
                continue;
            }
            message.deliveries = 0;
            message.visible_at = now;
            message.is_blocked = message.new.order_key.is_some();
            replayed.push(id);
        }
        for &id in &replayed {
            let key = self.key(id);
            self.unblock(key);
        }
        replayed.len() as u64
    }

    /// Returns the state of a topic.
    #[must_use]
    pub fn depth(&self, topic: &str, now: Timestamp) -> Depth {
        let of_topic = || self.messages.values().filter(|message| message.new.topic == topic);
        let live = || of_topic().filter(|message| message.dead.is_none());
        Depth {
            unsettled: live().count() as u64,
            oldest: live().next().map(|oldest| now.saturating_duration_since(oldest.appended_at)),
            dead: of_topic().filter(|message| message.dead.is_some()).count() as u64,
        }
    }

    fn claimed(&mut self, receipt: &Receipt) -> Option<&mut Message> {
        // 0 is the token of a message that is not claimed.
        let is_current = |message: &&mut Message| {
            message.dead.is_none() && message.token == receipt.token && receipt.token.get() > 0
        };
        self.messages.get_mut(&receipt.id).filter(is_current)
    }

    fn key(&self, id: MessageId) -> Option<(String, String)> {
        let new = &self.messages.get(&id)?.new;
        Some((new.topic.clone(), new.order_key.clone()?))
    }

    fn put_aside(&mut self, id: MessageId, reason: String, now: Timestamp) {
        let key = self.key(id);
        if let Some(message) = self.messages.get_mut(&id) {
            message.token = FencingToken::new(0);
            message.last_error = None;
            message.dead = Some((now, reason));
        }
        self.unblock(key);
    }

    /// Lets the first message of a key be claimed, if none of its messages can be.
    fn unblock(&mut self, key: Option<(String, String)>) {
        let Some((topic, key)) = key else { return };
        let mut of_key = self
            .messages
            .values_mut()
            .filter(|message| message.dead.is_none() && message.is_of(&topic, Some(&key)));
        let Some(first) = of_key.next() else { return };
        if first.is_blocked && of_key.all(|later| later.is_blocked) {
            first.is_blocked = false;
        }
    }
}
