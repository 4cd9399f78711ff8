//! Envoy's `retry_state_impl_test.cc`: full jitter. Theirs is `random mod bound`; the same point of
//! the interval is `u = (random mod bound) / bound` here. (Its budget is of another kind, a share
//! of
//! the calls in flight; the reset headers are `resilience-http`'s.)

use resilience_core::retry::Backoff;

use crate::ms;

fn check(base: u64, max: u64, rows: &[(u64, u64)]) {
    let mut schedule = Backoff::full_jitter(ms(base), ms(max)).unwrap().schedule();
    for (n, &(random, expected)) in rows.iter().enumerate() {
        let bound = (base << n).min(max);
        let delay = schedule.next((random % bound) as f64 / bound as f64);
        let error = delay.abs_diff(ms(expected));
        assert!(error.as_nanos() <= 1, "retry {}: {delay:?}, not {expected} ms", n + 1);
    }
}

#[test]
fn full_jitter() {
    check(25, 250, &[(190, 15), (190, 40), (190, 90)]);
    check(100, 1_200, &[(149, 49), (350, 150), (751, 351), (2_399, 799), (2_399, 1_199)]);
    check(100, 1_000, &[(149, 49), (350, 150), (751, 351), (2_999, 599), (2_999, 999)]);
}
