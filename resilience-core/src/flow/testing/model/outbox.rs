//! A queue of messages, and a record of everything that was ever done with each.

use std::time::Duration;

use arbitrary::Arbitrary;

use crate::flow::FencingToken;
use crate::flow::outbox::{ClaimRequest, MessageId, MessageQueue, NewMessage, Receipt};
use crate::model_input::{Rest, parse};
use crate::timestamp::Timestamp;

#[derive(Debug, Arbitrary)]
struct Input {
    visible_after: u8,
    max_deliveries: u8,
    ops: Rest<Op>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    Pass(u8),
    Step(i8),
    /// Appends a message of one of three keys, or without a key.
    Append(u8, u8),
    Claim(u8),
    Complete(u8),
    Retry(u8, u8),
    DeadLetter(u8),
    Replay(u8),
}

/// The history of a message.
struct History {
    key: Option<u8>,
    visible_at: Timestamp,
    deliveries: u32,
    /// The token of the claim that may settle it.
    current: Option<FencingToken>,
    /// Set while it is the message of its key that may be delivered.
    is_head: bool,
    state: State,
}

#[derive(PartialEq, Eq)]
enum State {
    Live,
    Dead,
    Completed,
}

/// Messages are delivered at most `max_deliveries` times, one at a time within a key and in its
/// order, and only the last claim settles a message.
pub fn outbox(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let visible_after = Duration::from_millis(u64::from(input.visible_after % 16) + 1);
    let max_deliveries = u32::from(input.max_deliveries % 4) + 1;
    let mut queue = MessageQueue::new();
    let mut now = Timestamp::EPOCH;
    let mut tokens = 0;
    let mut messages: Vec<History> = Vec::new();
    let mut receipts: Vec<Receipt> = Vec::new();
    for op in input.ops.0 {
        match op {
            Op::Pass(time) => now = now.saturating_add(Duration::from_millis(u64::from(time % 32))),
            Op::Step(step) => now = Timestamp::from_millis(now.as_millis() + i64::from(step)),
            Op::Append(key, delay) => {
                let key = (!key.is_multiple_of(4)).then_some(key % 4);
                let delay = Duration::from_millis(u64::from(delay % 8));
                let mut new = NewMessage::new("topic", "").delayed_by(delay);
                new.order_key = key.map(|key| key.to_string());
                let id = queue.append(new, now);
                let visible_at = now.saturating_add(delay);
                messages.push(History {
                    key,
                    visible_at,
                    deliveries: 0,
                    current: None,
                    is_head: key.is_none(),
                    state: State::Live,
                });
                assert_eq!(id.get(), messages.len() as u64);
                promote(&mut messages, key);
            }
            Op::Claim(limit) => {
                tokens += 1;
                let token = FencingToken::new(tokens);
                let limit = usize::from(limit % 4) + 1;
                let request = ClaimRequest::new("topic")
                    .limit(limit)
                    .visible_after(visible_after)
                    .max_deliveries(max_deliveries);
                let claimed = queue.claim(&request, token, now);
                let (taken, dead) = claim(&mut messages, limit, max_deliveries, now);
                let ids = claimed.deliveries.iter().map(|it| it.receipt.id);
                assert!(ids.eq(taken.iter().map(|&at| MessageId::new(at as u64 + 1))));
                assert_eq!(claimed.dead_lettered, dead);
                for (delivery, at) in claimed.deliveries.iter().zip(taken) {
                    let message = &mut messages[at];
                    message.current = Some(token);
                    message.visible_at = now.saturating_add(visible_after);
                    assert_eq!(delivery.deliveries, message.deliveries);
                    assert!(message.deliveries <= max_deliveries);
                    receipts.push(delivery.receipt);
                }
            }
            Op::Complete(back) => {
                let Some(receipt) = back_to(&receipts, back) else { continue };
                let message = history(&mut messages, receipt.id);
                let may = message.current == Some(receipt.token);
                assert_eq!(queue.complete(&receipt), may);
                if may {
                    end(&mut messages, receipt.id, State::Completed);
                }
            }
            Op::Retry(back, after) => {
                let Some(receipt) = back_to(&receipts, back) else { continue };
                let after = Duration::from_millis(u64::from(after % 8));
                let message = history(&mut messages, receipt.id);
                let may = message.current == Some(receipt.token);
                assert_eq!(queue.retry(&receipt, after, "again", now), may);
                if may {
                    message.current = None;
                    message.visible_at = now.saturating_add(after);
                }
            }
            Op::DeadLetter(back) => {
                let Some(receipt) = back_to(&receipts, back) else { continue };
                let may = history(&mut messages, receipt.id).current == Some(receipt.token);
                assert_eq!(queue.dead_letter(&receipt, "dead", now), may);
                if may {
                    end(&mut messages, receipt.id, State::Dead);
                }
            }
            Op::Replay(drawn) => {
                let id = MessageId::new(u64::from(drawn));
                let at = usize::from(drawn).wrapping_sub(1);
                let dead = messages.get_mut(at).filter(|message| message.state == State::Dead);
                assert_eq!(queue.replay(&[id], now), u64::from(dead.is_some()));
                if let Some(message) = dead {
                    message.state = State::Live;
                    message.deliveries = 0;
                    message.visible_at = now;
                    message.is_head = message.key.is_none();
                    let key = message.key;
                    promote(&mut messages, key);
                }
            }
        }
        check(&queue, &messages, now);
    }
}

/// Returns the positions of the messages that a claim has to deliver, and the number of those that
/// it puts aside.
fn claim(
    messages: &mut [History],
    limit: usize,
    max_deliveries: u32,
    now: Timestamp,
) -> (Vec<usize>, u64) {
    let mut ready: Vec<usize> = (0..messages.len())
        .filter(|&at| {
            let message = &messages[at];
            message.state == State::Live && message.is_head && message.visible_at <= now
        })
        .collect();
    ready.sort_by_key(|&at| messages[at].visible_at);
    ready.truncate(limit);
    ready.sort_unstable();
    let (dead, taken): (Vec<_>, Vec<_>) =
        ready.into_iter().partition(|&at| messages[at].deliveries == max_deliveries);
    for &at in &dead {
        end(messages, MessageId::new(at as u64 + 1), State::Dead);
    }
    for &at in &taken {
        messages[at].deliveries += 1;
    }
    (taken, dead.len() as u64)
}

fn back_to(receipts: &[Receipt], back: u8) -> Option<Receipt> {
    let at = receipts.len().checked_sub(1 + usize::from(back % 5))?;
    receipts.get(at).copied()
}

fn history(messages: &mut [History], id: MessageId) -> &mut History {
    let at = usize::try_from(id.get()).unwrap_or(0) - 1;
    &mut messages[at]
}

fn end(messages: &mut [History], id: MessageId, state: State) {
    let message = history(messages, id);
    message.state = state;
    message.current = None;
    message.is_head = false;
    let key = message.key;
    promote(messages, key);
}

/// Makes the first live message of a key its head, if it has none.
fn promote(messages: &mut [History], key: Option<u8>) {
    if key.is_none() {
        return;
    }
    let is_live = |message: &History| message.key == key && message.state == State::Live;
    if messages.iter().any(|message| is_live(message) && message.is_head) {
        return;
    }
    if let Some(first) = messages.iter_mut().find(|message| is_live(message)) {
        first.is_head = true;
    }
}

fn check(queue: &MessageQueue, messages: &[History], now: Timestamp) {
    let depth = queue.depth("topic", now);
    let count = |state| messages.iter().filter(|message| message.state == state).count() as u64;
    assert_eq!((depth.unsettled, depth.dead), (count(State::Live), count(State::Dead)));
    for key in 1..4 {
        let heads = messages.iter().filter(|it| it.key == Some(key) && it.is_head).count();
        let live = messages.iter().any(|it| it.key == Some(key) && it.state == State::Live);
        assert_eq!(heads, usize::from(live), "one message of a key at a time");
    }
}
