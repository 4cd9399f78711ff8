//! Consumers of messages in several processes, some of which are killed.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use resilience_core::flow::outbox::{
    ClaimRequest, Delivery, MessageId, NewMessage, OutboxStore, Receipt,
};

use crate::support::{ORDERS, Worker};

const TOPIC: &str = "messages";
const KEYS: usize = 20;
const DELIVERIES: u32 = 3;

/// A store of messages, with a table of effects.
pub(crate) trait Consuming: Clone + Send + Sync + 'static {
    async fn open(url: &str) -> Self;
    /// Creates the table of effects.
    async fn prepare(&self);
    fn outbox(&self) -> Arc<dyn OutboxStore>;
    /// Writes the effect and completes the message in one transaction. Writes nothing if the claim
    /// is over.
    async fn effect(&self, receipt: Receipt, payload: String);
    /// Returns the effects in the order of the store.
    async fn effects(&self) -> Vec<String>;
}

fn payload(delivery: &Delivery) -> String {
    String::from_utf8(delivery.payload.clone()).unwrap()
}

/// The body of a child with orders of this module. Returns `false` without them.
pub(crate) async fn child<S: Consuming>() -> bool {
    let Ok(orders) = std::env::var(ORDERS) else { return false };
    let Some(url) = orders.strip_prefix("consume 0 ") else { return false };
    let store = S::open(url).await;
    let outbox = store.outbox();
    let request = ClaimRequest::new(TOPIC)
        .limit(20)
        .visible_after(Duration::from_secs(2))
        .max_deliveries(DELIVERIES);
    while outbox.depth(TOPIC.to_owned()).await.unwrap().unsettled > 0 {
        let claimed = outbox.claim_messages(request.clone()).await.unwrap();
        if claimed.deliveries.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        for delivery in claimed.deliveries {
            let payload = payload(&delivery);
            if payload == "poison" {
                let error = "it cannot be read".to_owned();
                outbox.retry(delivery.receipt, Duration::ZERO, error).await.unwrap();
            } else {
                store.effect(delivery.receipt, payload).await;
            }
        }
    }
    true
}

/// Eight consumers work a topic off while some of them are killed: each effect is made once, in the
/// order of its key, and the message that fails again and again is put aside.
pub(crate) async fn each_effect_once<S: Consuming>(url: &str) {
    let messages = if std::env::var_os("FLOW_FULL").is_some() { 100_000 } else { 2_000 };
    let store = S::open(url).await;
    store.prepare().await;
    let outbox = store.outbox();
    let new = |number: usize| {
        let new = NewMessage::new(TOPIC, format!("{number:06}"));
        if number.is_multiple_of(3) {
            new
        } else {
            new.ordered_by(format!("key-{}", number % KEYS))
        }
    };
    for hundred in 0..messages / 100 {
        let batch = (0..100).map(|number| new(hundred * 100 + number)).collect();
        outbox.append_messages(batch).await.unwrap();
    }
    outbox
        .append_messages(vec![NewMessage::new(TOPIC, "poison").ordered_by("key-1")])
        .await
        .unwrap();

    let start = || Worker::spawn(url, "consume 0");
    let mut workers: Vec<_> = (0..8).map(|_| start()).collect();
    for kill in 0..12 {
        tokio::time::sleep(Duration::from_millis(150 + 37 * kill)).await;
        workers.remove(0).kill();
        workers.push(start());
    }
    tokio::task::spawn_blocking(move || workers.into_iter().for_each(Worker::wait)).await.unwrap();

    let effects = store.effects().await;
    assert_eq!(effects.len(), messages, "one effect for each message");
    let mut last: HashMap<usize, usize> = HashMap::new();
    let mut seen = vec![false; messages];
    for effect in &effects {
        let number: usize = effect.parse().unwrap();
        assert!(!std::mem::replace(&mut seen[number], true), "{number} twice");
        if !number.is_multiple_of(3) {
            let before = last.insert(number % KEYS, number);
            assert!(before.is_none_or(|before| before < number), "{before:?} and then {number}");
        }
    }
    let depth = outbox.depth(TOPIC.to_owned()).await.unwrap();
    assert_eq!((depth.unsettled, depth.dead), (0, 1));
    let dead = outbox.dead_letters(TOPIC.to_owned(), MessageId::new(0), 10).await.unwrap();
    assert_eq!(dead[0].payload, b"poison");
    assert!(dead[0].deliveries <= DELIVERIES, "{dead:?}");
}
