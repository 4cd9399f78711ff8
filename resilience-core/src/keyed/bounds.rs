//! Bounds on the keys and bytes of all shards together.
//!
//! Keys and bytes are counted before they are inserted and released after they are removed, so the
//! bounds hold at every instant.

use super::EvictionReason;
use super::meta::SizeClass;
use crate::sync::{AtomicU64, Ordering};

/// Bounds and counters of a store.
#[derive(Debug)]
pub(super) struct Bounds {
    pub(super) keys: BoundedCounter,
    pub(super) bytes: BoundedCounter,
    pub(super) misses: AtomicU64,
    pub(super) overflowed: AtomicU64,
    pub(super) evicted_idle: AtomicU64,
    pub(super) evicted_capacity: AtomicU64,
}

/// A counter with an upper bound.
#[derive(Debug)]
pub(super) struct BoundedCounter {
    count: AtomicU64,
    max: u64,
}

/// An entry larger than this multiple of the average evicts no others.
const LARGE: u64 = 4;

impl Bounds {
    pub(super) fn new(max_keys: usize, max_bytes: usize) -> Bounds {
        Bounds {
            keys: BoundedCounter::new(max_keys),
            bytes: BoundedCounter::new(max_bytes),
            misses: AtomicU64::new(0),
            overflowed: AtomicU64::new(0),
            evicted_idle: AtomicU64::new(0),
            evicted_capacity: AtomicU64::new(0),
        }
    }

    pub(super) fn count_eviction(&self, reason: EvictionReason) {
        let count = match reason {
            EvictionReason::Idle => &self.evicted_idle,
            EvictionReason::Capacity => &self.evicted_capacity,
        };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns `true` if an entry of this size does not fit and is much larger than the average, so
    /// that it would evict many others: otherwise long keys could empty the store.
    pub(super) fn is_too_large(&self, size: SizeClass) -> bool {
        let average = self.bytes.get() / self.keys.get().max(1);
        let left = self.bytes.max().saturating_sub(self.bytes.get());
        size.bytes() > left && size.bytes() > average.saturating_mul(LARGE)
    }
}

impl BoundedCounter {
    pub(super) fn new(max: usize) -> BoundedCounter {
        BoundedCounter { count: AtomicU64::new(0), max: max as u64 }
    }

    // Relaxed throughout: the counter orders nothing.
    pub(super) fn get(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(super) fn max(&self) -> u64 {
        self.max
    }

    /// Adds `amount`. Returns `false` and adds nothing if that would exceed the bound.
    pub(super) fn try_add(&self, amount: u64) -> bool {
        let add = |count: u64| count.checked_add(amount).filter(|sum| *sum <= self.max);
        self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(super) fn release(&self, amount: u64) {
        self.count.fetch_sub(amount, Ordering::Relaxed);
    }

    /// Replaces `old` by `new` in the sum. Returns `false` and changes nothing if that would exceed
    /// the bound.
    pub(super) fn try_replace(&self, old: u64, new: u64) -> bool {
        if new > old {
            return self.try_add(new - old);
        }
        if new < old {
            self.release(old - new);
        }
        true
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;

    #[test]
    fn loom_the_counter_never_exceeds_its_bound() {
        loom::model(|| {
            let counter = loom::sync::Arc::new(BoundedCounter::new(3));
            let other = counter.clone();
            let thread = loom::thread::spawn(move || {
                let added = other.try_add(2);
                assert!(other.get() <= 3);
                if added {
                    other.release(2);
                }
                added
            });
            let here = counter.try_add(2);
            assert!(counter.get() <= 3);
            let there = thread.join().unwrap();
            assert!(here || there, "one of them is first");
            assert_eq!(counter.get(), if here { 2 } else { 0 });
        });
    }
}
