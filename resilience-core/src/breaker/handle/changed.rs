//! Changes on their way from under the lock to whoever listens.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::breaker::state::{Change, Changes};

/// The last number that was given. One row of numbers for the whole process: whoever watches the
/// circuit of a key knows nothing of circuits, and the next one made for the key comes after this one.
static LAST: AtomicU64 = AtomicU64::new(0);

/// What happened to a circuit while its lock was held, in order. Made under the lock, so that numbers
/// have the order of changes, however late they are told.
#[derive(Default)]
pub(super) struct Changed([Option<Numbered>; 3]);

#[derive(Clone, Copy)]
pub(super) struct Numbered {
    pub(super) sequence: u64,
    pub(super) change: Change,
}

impl Changed {
    /// What time did, and after that something else.
    pub(super) fn new(by_time: &Changes, other: Option<Change>) -> Changed {
        let mut all = Changed::default();
        if by_time.is_empty() && other.is_none() {
            return all;
        }
        let changes = by_time.iter().copied().chain(other);
        for (place, change) in all.0.iter_mut().zip(changes) {
            let sequence = LAST.fetch_add(1, Ordering::Relaxed) + 1;
            *place = Some(Numbered { sequence, change });
        }
        all
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Numbered> {
        self.0.iter().flatten().copied()
    }
}
