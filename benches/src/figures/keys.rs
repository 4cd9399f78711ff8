//! Keys that are asked for: a thousand of sixteen bytes, in an order that no cache foresees, or
//! others.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use resilience_core::keyed::Key;

/// The number of keys.
pub(crate) const KEYS: usize = 1_000;

/// Keys of a map, and the order in which a subject accesses them.
pub(crate) trait Asked: Clone + Send + 'static {
    type Key: Key;

    /// Returns all keys.
    fn all(&self) -> impl ExactSizeIterator<Item = Self::Key>;

    /// Passes the next key to `ask`.
    fn ask<R>(&self, ask: impl FnOnce(&Self::Key) -> R) -> R;
}

thread_local! {
    /// The state of the generator of each thread.
    static AT: Cell<u64> = Cell::new(seed());
}

/// Returns a seed that differs between threads and repeats in each run.
fn seed() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    THREADS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Returns a random number of a xorshift generator (shifts 13, 7, 17).
pub(crate) fn random() -> u64 {
    AT.with(|at| {
        let mut x = at.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        at.replace(x)
    })
}

#[derive(Debug, Clone)]
pub(crate) struct Keys(Arc<[Arc<str>]>);

impl Keys {
    pub(crate) fn new() -> Keys {
        Keys((0..KEYS).map(|key| format!("upstream-{key:07}").into()).collect())
    }

    /// Returns a random key.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is less than KEYS")]
    pub(crate) fn next(&self) -> &Arc<str> {
        &self.0[(random() % KEYS as u64) as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter()
    }
}

impl Asked for Keys {
    type Key = Arc<str>;

    fn all(&self) -> impl ExactSizeIterator<Item = Arc<str>> {
        self.0.iter().cloned()
    }

    fn ask<R>(&self, ask: impl FnOnce(&Arc<str>) -> R) -> R {
        ask(self.next())
    }
}
