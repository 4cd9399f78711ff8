//! A thousand keys of sixteen bytes, in an order that no cache foresees.

use std::cell::Cell;
use std::sync::Arc;

/// How many.
pub(crate) const KEYS: usize = 1_000;

thread_local! {
    /// Each thread walks its own way.
    static AT: Cell<u64> = Cell::new(seed());
}

fn seed() -> u64 {
    let here = 0;
    std::ptr::from_ref(&here).addr() as u64 | 1
}

#[derive(Debug, Clone)]
pub(crate) struct Keys(Arc<[Arc<str>]>);

impl Keys {
    pub(crate) fn new() -> Keys {
        Keys((0..KEYS).map(|key| format!("upstream-{key:07}").into()).collect())
    }

    /// Some key: a xorshift away from the one before.
    #[expect(clippy::cast_possible_truncation, reason = "the remainder is less than KEYS")]
    pub(crate) fn next(&self) -> &Arc<str> {
        let at = AT.with(|at| {
            let mut x = at.get();
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            at.replace(x)
        });
        &self.0[(at % KEYS as u64) as usize]
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Arc<str>> {
        self.0.iter()
    }
}
