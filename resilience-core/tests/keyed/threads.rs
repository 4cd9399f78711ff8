//! Many callers at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resilience_core::clock;
use resilience_core::keyed::{Keyed, KeyedLimits};

use crate::Counter;

/// Pinned keys are never evicted, so their calls add up, on any thread and beside any other
/// calls.
#[test]
fn one_state_a_key() {
    const THREADS: u64 = 4;
    const CALLS: u64 = 30_000;
    let limits = KeyedLimits::new(300, 1 << 20, Duration::from_secs(600)).unwrap();
    let made = AtomicU64::new(0);
    let made: &'static AtomicU64 = Box::leak(Box::new(made));
    let store = Keyed::new(limits, |key: &u64| {
        if *key < 20 {
            made.fetch_add(1, Ordering::Relaxed);
        }
        Counter::default()
    });
    let now = clock::now();
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let store = &store;
            scope.spawn(move || {
                for number in 0..CALLS {
                    store.with(&(number % 20), now, |counter| {
                        counter.pin(true);
                        counter.add();
                    });
                    store.with(&(100 + thread * CALLS + number), now, Counter::add);
                    let snapshot = (store.len(), store.bytes());
                    assert!(snapshot.0 <= 300 && snapshot.1 <= 1 << 20);
                }
            });
        }
    });
    for key in 0..20 {
        let calls = store.with(&key, now, Counter::add);
        assert_eq!(calls, THREADS * CALLS / 20, "key {key}");
    }
    // Racing makers of one key: the losers' are dropped unused.
    assert!((20..=20 * THREADS).contains(&made.load(Ordering::Relaxed)));
}
