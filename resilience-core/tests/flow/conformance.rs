//! The store in memory passes the suites that every store has to pass.

use resilience_core::testing::{MemoryStore, conformance};

#[tokio::test(start_paused = true)]
async fn leases() {
    conformance::leases(&MemoryStore::new(), "memory").await;
}

#[tokio::test(start_paused = true)]
async fn ledger() {
    conformance::ledger(&MemoryStore::new(), "memory").await;
}

#[tokio::test(start_paused = true)]
async fn idempotency() {
    conformance::idempotency(&MemoryStore::new(), "memory").await;
}

#[tokio::test(start_paused = true)]
async fn outbox() {
    conformance::outbox(&MemoryStore::new(), "memory").await;
}

#[tokio::test(start_paused = true)]
async fn checkpoints() {
    conformance::checkpoints(&MemoryStore::new(), "memory").await;
}
