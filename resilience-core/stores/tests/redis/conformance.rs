//! The suites of leases and keys.

use resilience_core::testing::conformance;
use resilience_stores::redis::RedisStore;

use crate::database;

#[tokio::test]
async fn leases() {
    let Some(url) = database().await else { return };
    conformance::leases(&RedisStore::open(&url).await.unwrap(), "a").await;
}

#[tokio::test]
async fn idempotency() {
    let Some(url) = database().await else { return };
    conformance::idempotency(&RedisStore::open(&url).await.unwrap(), "a").await;
}

#[tokio::test]
async fn by_its_url() {
    let Some(url) = database().await else { return };
    let stores = resilience_stores::open(&url).await.unwrap();
    conformance::leases(&*stores.leases, "url").await;
    assert!(stores.ledger.is_none(), "Redis keeps no ledger");
}

#[tokio::test]
async fn a_store_that_was_opened_by_its_url_is_maintained() {
    let Some(url) = database().await else { return };
    // A key, and the last token.
    crate::upkeep::maintenance_by_url(&url, "resilience.store.database", 2.0).await;
}
