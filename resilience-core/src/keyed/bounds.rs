//! How many keys and bytes there are, and may be, in all shards together.
//!
//! What is counted is taken before it is there, and given back after it is gone, so the bounds hold at
//! every instant.

use super::EvictionReason;
use super::meta::SizeClass;
use crate::sync::{AtomicU64, Ordering};

/// The store's account, and what became of its bounds.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) keys: Account,
    pub(super) bytes: Account,
    pub(super) misses: AtomicU64,
    pub(super) overflowed: AtomicU64,
    pub(super) evicted_idle: AtomicU64,
    pub(super) evicted_capacity: AtomicU64,
}

/// So many, of at most so many.
#[derive(Debug)]
pub(super) struct Account {
    taken: AtomicU64,
    most: u64,
}

/// A newcomer of more than so many times the average makes nobody leave.
const LARGE: u64 = 4;

impl Bounds {
    pub(super) fn new(max_keys: usize, max_bytes: usize) -> Bounds {
        Bounds {
            keys: Account::new(max_keys),
            bytes: Account::new(max_bytes),
            misses: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            evicted_idle: AtomicU64::new(0),
            evicted_capacity: AtomicU64::new(0),
        }
    }

    pub(super) fn evicted(&self, reason: EvictionReason) {
        let count = match reason {
            EvictionReason::Idle => &self.evicted_idle,
            EvictionReason::Capacity => &self.evicted_capacity,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether there are not the bytes for it, and it is so much larger than others are that many of
    /// them would have to go: whoever sends long keys would empty the store.
    pub(super) fn is_too_large(&self, size: SizeClass) -> bool {
        let average = self.bytes.taken() / self.keys.taken().max(1);
        let left = self.bytes.most().saturating_sub(self.bytes.taken());
        size.bytes() > left && size.bytes() > average.saturating_mul(LARGE)
    }
}

impl Account {
    pub(super) fn new(most: usize) -> Account {
        Account { taken: AtomicU64::new(0), most: most as u64 }
    }

    // Relaxed: it counts, and orders nothing.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }

    pub(super) fn most(&self) -> u64 {
        self.most
    }

    /// Takes `amount`, if that leaves it within the bound.
    pub(super) fn take(&self, amount: u64) -> bool {
        let add = |taken: u64| taken.checked_add(amount).filter(|sum| *sum <= self.most);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(super) fn give(&self, amount: u64) {
        self.taken.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Takes what `new` is more than `old`, or gives what it is less.
    pub(super) fn exchange(&self, old: u64, new: u64) -> bool {
        if new > old {
            return self.take(new - old);
        }
        if new < old {
            self.give(old - new);
        }
        true
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;

    #[test]
    fn loom_nobody_takes_what_is_not_there() {
        loom::model(|| {
            let account = loom::sync::Arc::new(Account::new(3));
            let other = account.clone();
            let thread = loom::thread::spawn(move || {
                let taken = other.take(2);
                assert!(other.taken() <= 3);
                if taken {
                    other.give(2);
                }
                taken
            });
            let here = account.take(2);
            assert!(account.taken() <= 3);
            let there = thread.join().unwrap();
            assert!(here || there, "one of them is first");
            assert_eq!(account.taken(), if here { 2 } else { 0 });
        });
    }
}
