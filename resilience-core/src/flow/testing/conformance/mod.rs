//! Conformance suites of the store traits, as functions that panic where a store breaks a promise.
//!
//! Each takes a store that may be in use by others: names begin with `prefix`, which must be new.
//! The time is real and by the store's own clock, hence terms of a fraction of a second are waited
//! out, for at most ten seconds.
//!
//! ```
//! use resilience_core::testing::{MemoryStore, conformance};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let store = MemoryStore::new();
//! conformance::leases(&store, "mine").await;
//! conformance::ledger(&store, "mine").await;
//! conformance::idempotency(&store, "mine").await;
//! conformance::outbox(&store, "mine").await;
//! conformance::checkpoints(&store, "mine").await;
//! # }
//! ```

mod backfill;
mod idempotency;
mod lease;
mod ledger;
mod outbox;

use std::time::Duration;

pub use backfill::checkpoints;
pub use idempotency::idempotency;
pub use lease::leases;
pub use ledger::ledger;
pub use outbox::outbox;

use crate::clock;
use crate::flow::StoreFuture;

/// A term that no test outlives.
const LONG: Duration = Duration::from_secs(600);
/// A term that tests wait out.
const SHORT: Duration = Duration::from_millis(300);

#[expect(clippy::panic, reason = "a failed operation fails the suite")]
async fn ok<T>(operation: StoreFuture<'_, T>) -> T {
    operation.await.unwrap_or_else(|error| panic!("{error}"))
}

/// Repeats an operation until it returns something, for at most ten seconds.
#[expect(clippy::panic, reason = "a promise that is not kept in time fails the suite")]
async fn eventually<T, Fut: Future<Output = Option<T>>>(
    what: &str,
    mut operation: impl FnMut() -> Fut,
) -> T {
    let began = clock::now();
    loop {
        if let Some(value) = operation().await {
            return value;
        }
        let passed = clock::now().saturating_duration_since(began);
        if passed > Duration::from_secs(10) {
            panic!("{what}: not within ten seconds");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
