//! What every store of messages promises.

use std::time::Duration;

use super::{LONG, SHORT, eventually, ok};
use crate::clock;
use crate::flow::limits::{MAX_CLAIM, MAX_MESSAGE};
use crate::flow::outbox::{
    ClaimRequest, Delivery, MessageId, MessageQueue, NewMessage, OutboxStore, Receipt, UNSETTLED,
};
use crate::flow::{FencingToken, StoreError, StoreErrorKind};
use crate::timestamp::Timestamp;

/// Checks a store of messages.
///
/// # Panics
/// Where the store breaks a promise.
pub async fn outbox(store: &dyn OutboxStore, prefix: &str) {
    let topic = |name: &str| format!("{prefix}-{name}");
    each_message_is_claimed_once(store, &topic("once")).await;
    a_claim_ends(store, &topic("ends")).await;
    only_the_last_claim_settles(store, &topic("fenced")).await;
    a_retry_waits(store, &topic("retry")).await;
    order_is_kept_within_a_key(store, &topic("order")).await;
    a_poison_is_put_aside_and_replayed(store, &topic("poison")).await;
    a_delayed_message_waits(store, &topic("delayed")).await;
    values_out_of_bounds_are_named(store, &topic("bounds")).await;
    random_operations_match_the_reference(store, &topic("random")).await;
}

fn request(topic: &str) -> ClaimRequest {
    ClaimRequest::new(topic).visible_after(LONG)
}

async fn claim(store: &dyn OutboxStore, request: ClaimRequest) -> Vec<Delivery> {
    ok(store.claim_messages(request)).await.deliveries
}

async fn append(store: &dyn OutboxStore, messages: Vec<NewMessage>) -> Vec<MessageId> {
    ok(store.append_messages(messages)).await
}

async fn each_message_is_claimed_once(store: &dyn OutboxStore, topic: &str) {
    let new = (0..30_u8).map(|number| NewMessage::new(topic, [number])).collect();
    let ids = append(store, new).await;
    assert!(ids.is_sorted() && ids.len() == 30, "{ids:?}");
    let first = claim(store, request(topic).limit(20)).await;
    let second = claim(store, request(topic).limit(20)).await;
    assert_eq!((first.len(), second.len()), (20, 10));
    assert!(second[0].receipt.token > first[0].receipt.token);
    let all: Vec<_> = first.iter().chain(&second).collect();
    assert!(all.iter().map(|it| it.receipt.id).eq(ids.iter().copied()));
    assert!(all.iter().enumerate().all(|(at, it)| usize::from(it.payload[0]) == at));
    assert!(all.iter().all(|it| it.deliveries == 1 && it.topic == topic));
    assert_eq!(claim(store, request(topic)).await, []);
    let depth = ok(store.depth(topic.to_owned())).await;
    assert_eq!((depth.unsettled, depth.dead), (30, 0));
    assert!(depth.oldest.is_some_and(|age| age < LONG));

    let receipts: Vec<_> = all.iter().map(|it| it.receipt).collect();
    assert_eq!(ok(store.complete_messages(receipts.clone())).await.len(), 30);
    assert_eq!(ok(store.complete_messages(receipts)).await, [], "a message is completed once");
    let depth = ok(store.depth(topic.to_owned())).await;
    assert_eq!((depth.unsettled, depth.oldest), (0, None));
}

async fn a_claim_ends(store: &dyn OutboxStore, topic: &str) {
    append(store, vec![NewMessage::new(topic, "x")]).await;
    let first = claim(store, request(topic).visible_after(SHORT)).await;
    assert_eq!(first.len(), 1);
    let again = eventually("the claim has ended", || async {
        claim(store, request(topic)).await.into_iter().next()
    });
    let again = again.await;
    assert_eq!(again.deliveries, 2);
    assert!(again.receipt.token > first[0].receipt.token);
    assert_eq!(ok(store.complete_messages(vec![again.receipt])).await, [again.receipt.id]);
}

async fn only_the_last_claim_settles(store: &dyn OutboxStore, topic: &str) {
    append(store, vec![NewMessage::new(topic, "x")]).await;
    let former = claim(store, request(topic).visible_after(Duration::from_millis(1))).await;
    let current = eventually("the claim has ended", || async {
        claim(store, request(topic)).await.into_iter().next()
    });
    let (former, current) = (former[0].receipt, current.await.receipt);
    let error = || "of a former claim".to_owned();
    assert_eq!(ok(store.complete_messages(vec![former])).await, []);
    assert!(!ok(store.retry(former, Duration::ZERO, error())).await);
    assert!(!ok(store.dead_letter(former, error())).await);
    let unclaimed = Receipt { token: FencingToken::new(0), ..current };
    assert_eq!(ok(store.complete_messages(vec![unclaimed])).await, []);
    assert_eq!(ok(store.complete_messages(vec![former, current])).await, [current.id]);
}

async fn a_retry_waits(store: &dyn OutboxStore, topic: &str) {
    append(store, vec![NewMessage::new(topic, "x")]).await;
    let first = claim(store, request(topic)).await[0].receipt;
    let began = clock::now();
    assert!(ok(store.retry(first, SHORT, "not yet".to_owned())).await);
    assert_eq!(ok(store.complete_messages(vec![first])).await, [], "it was given back");
    assert_eq!(claim(store, request(topic)).await, []);
    let again = eventually("the wait is over", || async {
        claim(store, request(topic)).await.into_iter().next()
    });
    assert_eq!(again.await.deliveries, 2);
    assert!(clock::now().saturating_duration_since(began) + Duration::from_millis(2) >= SHORT);
}

async fn order_is_kept_within_a_key(store: &dyn OutboxStore, topic: &str) {
    let of = |key: &str, payload: &str| NewMessage::new(topic, payload).ordered_by(key);
    let free = NewMessage::new(topic, "free");
    append(store, vec![of("a", "a1"), of("a", "a2"), of("b", "b1"), free]).await;
    append(store, vec![of("a", "a3")]).await;
    let payloads = |claimed: &[Delivery]| {
        let text = |it: &Delivery| String::from_utf8_lossy(&it.payload).into_owned();
        claimed.iter().map(text).collect::<Vec<_>>()
    };
    let first = claim(store, request(topic)).await;
    assert_eq!(payloads(&first), ["a1", "b1", "free"]);
    assert!(first[0].receipt.is_ordered && !first[2].receipt.is_ordered);
    // A retry keeps its place.
    assert!(ok(store.retry(first[0].receipt, Duration::ZERO, "again".to_owned())).await);
    let first = claim(store, request(topic)).await;
    assert_eq!(payloads(&first), ["a1"]);
    ok(store.complete_messages(vec![first[0].receipt])).await;
    let second = claim(store, request(topic)).await;
    assert_eq!(payloads(&second), ["a2"]);
    // A dead letter holds up nothing.
    assert!(ok(store.dead_letter(second[0].receipt, "bad".to_owned())).await);
    let third = claim(store, request(topic)).await;
    assert_eq!(payloads(&third), ["a3"]);
    // Replayed, it waits for the one that is being delivered.
    assert_eq!(ok(store.replay(vec![second[0].receipt.id])).await, 1);
    assert_eq!(claim(store, request(topic)).await, []);
    ok(store.complete_messages(vec![third[0].receipt])).await;
    let replayed = claim(store, request(topic)).await;
    assert_eq!(payloads(&replayed), ["a2"]);
    assert_eq!(replayed[0].deliveries, 1);
}

async fn a_poison_is_put_aside_and_replayed(store: &dyn OutboxStore, topic: &str) {
    let ids = append(store, vec![NewMessage::new(topic, "p"), NewMessage::new(topic, "q")]).await;
    for delivery in 1..=3 {
        let claimed = claim(store, request(topic).max_deliveries(3)).await;
        assert_eq!(claimed.len(), 2);
        for it in claimed {
            assert_eq!(it.deliveries, delivery);
            let error = format!("error {delivery}");
            assert!(ok(store.retry(it.receipt, Duration::ZERO, error)).await);
        }
    }
    let claimed = ok(store.claim_messages(request(topic).max_deliveries(3))).await;
    assert_eq!((claimed.deliveries.len(), claimed.dead_lettered), (0, 2));
    let depth = ok(store.depth(topic.to_owned())).await;
    assert_eq!((depth.unsettled, depth.dead), (0, 2));
    let letters = |after, limit| store.dead_letters(topic.to_owned(), after, limit);
    let dead = ok(letters(MessageId::new(0), 10)).await;
    assert_eq!(dead.iter().map(|it| it.id).collect::<Vec<_>>(), ids);
    assert_eq!((dead[0].reason.as_str(), dead[0].deliveries), ("error 3", 3));
    assert!(dead[0].dead_at >= dead[0].appended_at);
    assert_eq!(ok(letters(MessageId::new(0), 1)).await, dead[..1]);
    assert_eq!(ok(letters(ids[0], 10)).await, dead[1..]);

    assert_eq!(ok(store.replay(vec![ids[0], ids[0]])).await, 1);
    let again = claim(store, request(topic).visible_after(Duration::from_millis(1))).await;
    assert_eq!((again.len(), again[0].deliveries), (1, 1));
    // Claims that end without a word are deliveries too.
    let put_aside = eventually("the claim has ended", || async {
        let claimed = ok(store.claim_messages(request(topic).max_deliveries(1))).await;
        (claimed.dead_lettered > 0).then_some(claimed.dead_lettered)
    });
    assert_eq!(put_aside.await, 1);
    let dead = ok(letters(MessageId::new(0), 1)).await;
    assert_eq!(dead[0].reason, UNSETTLED);
}

async fn a_delayed_message_waits(store: &dyn OutboxStore, topic: &str) {
    append(store, vec![NewMessage::new(topic, "x").delayed_by(LONG)]).await;
    assert_eq!(claim(store, request(topic)).await, []);
    assert_eq!(ok(store.depth(topic.to_owned())).await.unsettled, 1);
}

async fn values_out_of_bounds_are_named(store: &dyn OutboxStore, topic: &str) {
    let invalid = |message: NewMessage| store.append_messages(vec![message]);
    for (message, named) in [
        (NewMessage::new("", "x"), "topic"),
        (NewMessage::new(topic, vec![0; MAX_MESSAGE + 1]), "payload"),
        (NewMessage::new(topic, "x").ordered_by("\0"), "order_key"),
        (NewMessage::new(topic, "x").delayed_by(Duration::MAX), "delay"),
    ] {
        assert_invalid(invalid(message).await.err(), named);
    }
    for (request, named) in [
        (request(topic).limit(0), "limit"),
        (request(topic).limit(MAX_CLAIM + 1), "limit"),
        (request(topic).visible_after(Duration::ZERO), "visible_after"),
        (request(topic).max_deliveries(0), "max_deliveries"),
    ] {
        assert_invalid(store.claim_messages(request).await.err(), named);
    }
    append(store, vec![NewMessage::new(topic, vec![0; MAX_MESSAGE])]).await;
    let claimed = claim(store, request(topic)).await;
    assert_eq!(claimed[0].payload.len(), MAX_MESSAGE);
}

fn assert_invalid(error: Option<StoreError>, named: &str) {
    let names = |error: &StoreError| {
        error.kind() == StoreErrorKind::InvalidInput && error.to_string().contains(named)
    };
    assert!(error.as_ref().is_some_and(names), "{named}: {error:?}");
}

/// Draws operations without times that could end, and compares every result with the engine's.
async fn random_operations_match_the_reference(store: &dyn OutboxStore, topic: &str) {
    let mut queue = MessageQueue::new();
    // An offset between the identifiers of the store and of the engine, which begin at 1.
    let mut ids: Vec<(MessageId, MessageId)> = Vec::new();
    let mut open: Vec<(Receipt, Receipt)> = Vec::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    for step in 1..=300 {
        // The store's clock moves on between two steps, as the engine's does: messages are claimed
        // in the order of times.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let now = Timestamp::EPOCH.saturating_add(Duration::from_millis(step));
        match draw(6) {
            0 | 1 => {
                let key = draw(4);
                let mut new = NewMessage::new(topic, [u8::try_from(step % 256).unwrap_or(0)]);
                if key > 0 {
                    new = new.ordered_by(format!("key-{key}"));
                }
                let stored = append(store, vec![new.clone()]).await[0];
                ids.push((stored, queue.append(new, now)));
            }
            2 => {
                let limit = usize::try_from(draw(5)).unwrap_or(0) + 1;
                let request = request(topic).limit(limit).max_deliveries(3);
                let stored = ok(store.claim_messages(request.clone())).await;
                let expected = queue.claim(&request, FencingToken::new(step), now);
                assert_eq!(stored.dead_lettered, expected.dead_lettered, "step {step}");
                let same = |(a, b): (&Delivery, &Delivery)| {
                    ids.contains(&(a.receipt.id, b.receipt.id))
                        && (&a.payload, a.deliveries) == (&b.payload, b.deliveries)
                        && a.order_key == b.order_key
                };
                assert_eq!(stored.deliveries.len(), expected.deliveries.len(), "step {step}");
                assert!(
                    stored.deliveries.iter().zip(&expected.deliveries).all(same),
                    "step {step}"
                );
                let receipts = stored.deliveries.iter().zip(&expected.deliveries);
                open.extend(receipts.map(|(a, b)| (a.receipt, b.receipt)));
            }
            3 | 4 if !open.is_empty() => {
                let at = usize::try_from(draw(open.len() as u64)).unwrap_or(0);
                let (stored, expected) = open[at];
                let (done, should) = match draw(3) {
                    0 => {
                        let done = ok(store.complete_messages(vec![stored])).await;
                        (done == [stored.id], queue.complete(&expected))
                    }
                    1 => (
                        ok(store.retry(stored, Duration::ZERO, "again".to_owned())).await,
                        queue.retry(&expected, Duration::ZERO, "again", now),
                    ),
                    _ => (
                        ok(store.dead_letter(stored, "dead".to_owned())).await,
                        queue.dead_letter(&expected, "dead", now),
                    ),
                };
                assert_eq!(done, should, "step {step}");
                // Now and then a receipt is used twice.
                if draw(4) > 0 {
                    open.swap_remove(at);
                }
            }
            5 if !ids.is_empty() => {
                let at = usize::try_from(draw(ids.len() as u64)).unwrap_or(0);
                let replayed = ok(store.replay(vec![ids[at].0])).await;
                assert_eq!(replayed, queue.replay(&[ids[at].1], now), "step {step}");
            }
            _ => {}
        }
        let stored = ok(store.depth(topic.to_owned())).await;
        let expected = queue.depth(topic, now);
        assert_eq!((stored.unsettled, stored.dead), (expected.unsettled, expected.dead));
    }
}
