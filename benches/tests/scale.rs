//! Those who wait are woken at most twice, and nobody overtakes.

use resilience_benches::scale::waiters::{bulkhead, limiter, runtime, slow_limiter};

#[test]
fn a_thousand_waiters_come_in_order_and_are_polled_twice() {
    let admissions = bulkhead(&runtime().unwrap(), 1_000).unwrap();
    assert_eq!((admissions.waiters, admissions.inversions), (1_000, 0));
    assert_eq!(admissions.wakes, 1_000, "one poll asks, one is the admission");
}

/// One wake-up to set the timer, if it is this one's turn to wait for it, and one by the timer.
#[test]
fn those_who_wait_for_tokens_are_woken_twice_at_most() {
    let runtime = runtime().unwrap();
    for (limiter, waiters) in [(limiter as fn(_, _) -> _, 1_000), (slow_limiter, 50)] {
        let admissions = limiter(&runtime, waiters).unwrap();
        assert_eq!((admissions.waiters, admissions.inversions), (waiters.into(), 0));
        assert!(admissions.wakes <= 2 * admissions.waiters, "{admissions:?}");
    }
}
