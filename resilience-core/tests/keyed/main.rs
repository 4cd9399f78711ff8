//! The keyed store, by what it promises.
//!
//! The flood and the hostile keys run small. In full, with ten million keys each:
//!
//! ```sh
//! RESILIENCE_KEYED_FULL=1 cargo test --release -p resilience-core --test keyed
//! ```

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod behaviour;
mod flood;
mod memory;
mod panics;
mod remembered;
mod soak;
mod threads;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Instant;

use resilience_core::keyed::{Entry, allocation_size};

/// A state that counts its calls, and is pinned while its flag is set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Counter(pub(crate) Arc<(AtomicU64, AtomicBool)>);

impl Counter {
    pub(crate) fn add(&self) -> u64 {
        self.0.0.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn pin(&self, pinned: bool) {
        self.0.1.store(pinned, Ordering::Relaxed);
    }
}

impl Entry for Counter {
    fn is_pinned(&self, _: Instant) -> bool {
        self.0.1.load(Ordering::Relaxed)
    }

    fn heap_bytes(&self) -> usize {
        allocation_size(32)
    }
}

/// Returns the number of keys of this run.
pub(crate) fn keys(small: u64) -> u64 {
    if std::env::var_os("RESILIENCE_KEYED_FULL").is_some() { 10_000_000 } else { small }
}
