//! Consumers in several processes that share a database.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::flow::StoreErrorKind;
use resilience_core::flow::outbox::{ClaimRequest, NewMessage, OutboxStore, Receipt};
use resilience_stores::postgres::{PostgresStore, PostgresTransaction};
use tokio_postgres::IsolationLevel;

use crate::consumers::{self, Consuming};
use crate::database;

impl Consuming for PostgresStore {
    async fn open(url: &str) -> PostgresStore {
        PostgresStore::builder(url).unwrap().max_connections(2).open().await.unwrap()
    }

    async fn prepare(&self) {
        let table = "CREATE TABLE effects (number bigserial PRIMARY KEY, payload text NOT NULL)";
        self.client().await.unwrap().batch_execute(table).await.unwrap();
    }

    fn outbox(&self) -> Arc<dyn OutboxStore> {
        Arc::new(self.clone())
    }

    async fn effect(&self, receipt: Receipt, payload: String) {
        let mut client = self.client().await.unwrap();
        let tx = client.transaction().await.unwrap();
        if PostgresTransaction::new(&tx).complete_message(&receipt).await.unwrap() {
            tx.execute("INSERT INTO effects (payload) VALUES ($1)", &[&payload]).await.unwrap();
            tx.commit().await.unwrap();
        }
    }

    async fn effects(&self) -> Vec<String> {
        let client = self.client().await.unwrap();
        let rows = client.query("SELECT payload FROM effects ORDER BY number", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

#[tokio::test]
async fn consumers_that_are_killed_make_each_effect_once() {
    let Some(url) = database("consumers").await else { return };
    consumers::each_effect_once::<PostgresStore>(&url).await;
}

#[tokio::test]
async fn messages_of_one_key_are_claimed_in_the_order_of_commits() {
    let Some(url) = database("commits").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    let mut client = store.client().await.unwrap();
    let first = client.transaction().await.unwrap();
    let of_key = |payload: &str| [NewMessage::new("t", payload).ordered_by("k")];
    PostgresTransaction::new(&first).append_messages(&of_key("first")).await.unwrap();
    // A second producer waits for the first: its message has the greater number, and is committed
    // later.
    let second = store.append_messages(of_key("second").to_vec());
    let committed = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        let claimed = store.claim_now().await;
        assert_eq!(claimed, <[Vec<u8>; 0]>::default(), "nothing is committed");
        first.commit().await.unwrap();
    };
    let (second, ()) = tokio::join!(second, committed);
    second.unwrap();
    assert_eq!(store.claim_now().await, [b"first".to_vec()]);
    assert_eq!(store.claim_now().await, <[Vec<u8>; 0]>::default());
}

#[tokio::test]
async fn an_order_needs_a_transaction_that_sees_what_others_have_committed() {
    let Some(url) = database("isolation").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    let mut client = store.client().await.unwrap();
    let tx = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead);
    let tx = tx.start().await.unwrap();
    let flow = PostgresTransaction::new(&tx);
    flow.append_messages(&[NewMessage::new("t", "without order")]).await.unwrap();
    let error =
        flow.append_messages(&[NewMessage::new("t", "x").ordered_by("k")]).await.unwrap_err();
    assert_eq!(error.kind(), StoreErrorKind::InvalidInput);
    assert!(error.to_string().contains("`order_key`"), "{error}");
}

/// Locks of keys come before locks of rows, or a claim that puts a message aside and its completion
/// would wait for each other.
#[tokio::test]
async fn a_message_is_put_aside_or_completed_and_neither_waits_for_ever() {
    let Some(url) = database("aside").await else { return };
    let store = PostgresStore::open(&url).await.unwrap();
    let request = ClaimRequest::new("t").visible_after(Duration::from_millis(1)).max_deliveries(1);
    for round in 0..50_u8 {
        let key = format!("key-{round}");
        store.append_messages(vec![NewMessage::new("t", [round]).ordered_by(key)]).await.unwrap();
        let claimed = store.claim_messages(request.clone()).await.unwrap();
        let receipt = claimed.deliveries[0].receipt;
        tokio::time::sleep(Duration::from_millis(2)).await;
        let complete = store.complete_messages(vec![receipt]);
        let (completed, claimed) = tokio::join!(complete, store.claim_messages(request.clone()));
        let completed = completed.unwrap().len() as u64;
        assert_eq!(completed + claimed.unwrap().dead_lettered, 1, "round {round}");
    }
}

trait ClaimNow {
    /// Claims what can be claimed, and returns the payloads.
    async fn claim_now(&self) -> Vec<Vec<u8>>;
}

impl ClaimNow for PostgresStore {
    async fn claim_now(&self) -> Vec<Vec<u8>> {
        let claimed = self.claim_messages(ClaimRequest::new("t")).await.unwrap();
        claimed.deliveries.into_iter().map(|delivery| delivery.payload).collect()
    }
}
