//! The suites of the store traits.

use resilience_core::testing::conformance;
use resilience_stores::postgres::PostgresStore;

use crate::database;

#[tokio::test]
async fn leases() {
    let Some(url) = database("leases").await else { return };
    conformance::leases(&PostgresStore::open(&url).await.unwrap(), "a").await;
}

#[tokio::test]
async fn ledger() {
    let Some(url) = database("ledger").await else { return };
    conformance::ledger(&PostgresStore::open(&url).await.unwrap(), "a").await;
}

#[tokio::test]
async fn idempotency() {
    let Some(url) = database("idempotency").await else { return };
    conformance::idempotency(&PostgresStore::open(&url).await.unwrap(), "a").await;
}

#[tokio::test]
async fn outbox() {
    let Some(url) = database("outbox").await else { return };
    conformance::outbox(&PostgresStore::open(&url).await.unwrap(), "a").await;
}

#[tokio::test]
async fn by_its_url() {
    let Some(url) = database("by_url").await else { return };
    let stores = resilience_stores::open(&url).await.unwrap();
    conformance::leases(&*stores.leases, "url").await;
    assert!(stores.ledger.is_some());
}
