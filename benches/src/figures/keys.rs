//! Keys that are asked for: a thousand of sixteen bytes, in an order that no cache foresees, or
//! others.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use resilience_core::keyed::Key;

/// The number of keys.
pub(crate) const KEYS: usize = 1_000;

/// Keys that are there, and are asked for one after the other.
pub(crate) trait Asked: Clone + Send + 'static {
    type Key: Key;

    /// All that are there.
    fn all(&self) -> impl ExactSizeIterator<Item = Self::Key>;

    /// Passes the next key to `ask`.
    fn ask<R>(&self, ask: impl FnOnce(&Self::Key) -> R) -> R;
}

thread_local! {
    /// Each thread walks its own way.
    static AT: Cell<u64> = Cell::new(seed());
}

/// Another for each thread, and the same in each run.
fn seed() -> u64 {
    static THREADS: AtomicU64 = AtomicU64::new(1);
    THREADS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// Some number: a xorshift away from the one before.
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

    /// Some key.
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
