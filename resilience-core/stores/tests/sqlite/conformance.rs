//! The suites of the store traits.

use resilience_core::testing::conformance;
use resilience_stores::sqlite::SqliteStore;

use crate::folder;

#[tokio::test]
async fn leases() {
    let (_folder, path) = folder();
    conformance::leases(&SqliteStore::open(path).await.unwrap(), "a").await;
}

#[tokio::test]
async fn ledger() {
    let (_folder, path) = folder();
    conformance::ledger(&SqliteStore::open(path).await.unwrap(), "a").await;
}

#[tokio::test]
async fn idempotency() {
    let (_folder, path) = folder();
    conformance::idempotency(&SqliteStore::open(path).await.unwrap(), "a").await;
}

#[tokio::test]
async fn outbox() {
    let (_folder, path) = folder();
    conformance::outbox(&SqliteStore::open(path).await.unwrap(), "a").await;
}

#[tokio::test]
async fn by_its_url() {
    let (_folder, path) = folder();
    for slashes in ["", "//"] {
        let url = format!("sqlite:{slashes}{}", path.display());
        let stores = resilience_stores::open(&url).await.unwrap();
        conformance::leases(&*stores.leases, &format!("url{slashes}")).await;
        assert!(stores.ledger.is_some());
    }
}
