//! Keys that come once, by the million.

use std::time::{Duration, Instant};

use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::{Outcome, clock};

use crate::{Counter, keys};

const HOT: u64 = 1_000;

/// One call for a hot key in eleven. The decision for a hot key is the number of calls before
/// this one.
#[test]
fn hot_keys_decide_as_if_there_were_no_flood() {
    let store = Keyed::builder().max_keys(20_000).build(|_: &u64| Counter::default()).unwrap();
    let now = clock::now();
    let mut oracle = vec![0_u64; HOT as usize];
    let (mut decisions, mut same) = (0_u64, 0_u64);
    for number in 0..keys(300_000) {
        let key = u64::MAX - number;
        store.with(&key, now, Counter::add);
        if number % 10 == 0 {
            let hot = (number / 10).wrapping_mul(7_919) % HOT;
            let calls = store.with(&hot, now, Counter::add);
            decisions += 1;
            same += u64::from(calls == oracle[hot as usize]);
            oracle[hot as usize] += 1;
        }
        assert!(store.len() <= 20_000);
    }
    println!("{same} of {decisions} as the oracle's");
    assert!(same * 1_000 >= decisions * 999, "{same} of {decisions}");
    assert!(store.snapshot().evicted_capacity > 0);
}

/// Keys of 10 to 42 bytes that never come twice, between ones that are pinned.
#[test]
fn hostile_keys_stay_within_bounds_and_lose_no_pinned_one() {
    let limits = KeyedLimits::new(1_000_000, 2 << 20, Duration::from_secs(600)).unwrap();
    let store: Keyed<Box<str>, Counter> = Keyed::new(limits, |_| Counter::default());
    let now = clock::now();
    let pinned: Vec<Box<str>> = (0..500).map(|number| format!("pinned {number}").into()).collect();
    for key in &pinned {
        store.with(key, now, |counter| counter.pin(true));
    }
    for number in 0..keys(300_000) {
        let key = format!("{number:0width$}", width = 10 + (number % 33) as usize);
        store.with(&key.into(), now, Counter::add);
        assert!(store.bytes() <= limits.max_bytes());
    }
    assert!(pinned.iter().all(|key| store.peek(key, now).is_some()));
    let snapshot = store.snapshot();
    assert!(snapshot.keys > 9_000 && snapshot.evicted_capacity > 200_000, "{snapshot:?}");
    assert_eq!(snapshot.overflowed, 0);
}

/// Long keys do not empty the store.
#[test]
fn long_keys_evict_few() {
    let limits = KeyedLimits::new(1_000_000, 1 << 20, Duration::from_secs(600)).unwrap();
    let store = Keyed::new(limits, |_: &String| Counter::default());
    let now = clock::now();
    for number in 0..50_000 {
        store.with(&format!("{number}"), now, Counter::add);
    }
    let before = store.len();
    for number in 0..1_000 {
        store.with(&format!("{number:050000}"), now, Counter::add);
    }
    assert_eq!((store.len(), store.snapshot().overflowed), (before, 1_000));
}

fn ten_an_hour() -> RateLimiter {
    let quota = Quota::per(10, Duration::from_secs(3_600));
    RateLimiter::builder().quota(quota).reject().build().unwrap()
}

/// Takes this number of tokens from `store`, in which each key has ten tokens an hour.
fn take(store: &Keyed<u64, RateLimiter>, key: u64, now: Instant, cost: u32) -> bool {
    store.with(&key, now, |limiter| limiter.check_at(now, cost).is_ok())
}

/// Every key of the flood takes a token, which takes six minutes to come back: by keys and by
/// bytes.
#[test]
fn a_flood_forgets_no_spent_key_and_denies_no_new_one() {
    const SPENT: u64 = 500;
    let idle = KeyedLimits::default().idle();
    for (max_keys, max_bytes) in [(20_000, 64 << 20), (1_000_000, 3 << 20)] {
        let limits = KeyedLimits::new(max_keys, max_bytes, idle).unwrap();
        let limiter = ten_an_hour();
        let store = Keyed::new(limits, move |_: &u64| limiter.fresh());
        let start = clock::now();
        assert!((0..SPENT).all(|key| take(&store, key, start, 10)));
        for number in 0..keys(200_000) {
            let now = start + Duration::from_micros(number);
            assert!(take(&store, u64::MAX - number, now, 1), "a key that is new has its tokens");
            assert!(store.len() <= max_keys && store.bytes() <= max_bytes);
        }
        let now = start + Duration::from_secs(1);
        let lost = (0..SPENT).filter(|key| take(&store, *key, now, 1)).count();
        let snapshot = store.snapshot();
        println!("{lost} of {SPENT} spent keys forgotten: {snapshot:?}");
        assert_eq!((lost, snapshot.overflowed), (0, 0));
        assert!(snapshot.evicted_capacity > 150_000, "{snapshot:?}");
    }
}

/// Where not all of them fit, those with the most tokens go.
#[test]
fn the_fullest_bucket_goes_first() {
    for max_keys in 1..=8_u64 {
        let limiter = ten_an_hour();
        let builder = Keyed::builder().max_keys(max_keys as usize);
        let store = builder.build(move |_: &u64| limiter.fresh()).unwrap();
        let now = clock::now();
        // Key `n` has spent `n` tokens; the flood spends one less than the first of them.
        for key in (2..=max_keys + 1).rev() {
            assert!(take(&store, key, now, key as u32));
        }
        for flood in 100..300 {
            assert!(take(&store, flood, now, 1), "none is pinned");
        }
        let gone: Vec<u64> =
            (2..=max_keys + 1).filter(|key| store.peek(key, now).is_none()).collect();
        assert_eq!(gone, [2], "the fullest of {max_keys}");
    }
}

/// If no bucket is full, one that is not goes.
#[test]
fn spent_keys_are_not_pinned() {
    let limiter = ten_an_hour();
    let store = Keyed::builder().max_keys(1_000).build(move |_: &u64| limiter.fresh()).unwrap();
    let now = clock::now();
    assert!((0..20_000).all(|key| take(&store, key, now, 10)));
    assert_eq!((store.len(), store.snapshot().overflowed), (1_000, 0));
}

/// Circuits that have counted a failure are kept over those that have not, and neither are pinned.
#[test]
fn a_flood_forgets_no_streak() {
    let breaker = CircuitBreaker::builder().consecutive_failures(3).build().unwrap();
    let store = Keyed::builder().max_keys(2_000).build(move |_: &u64| breaker.fresh()).unwrap();
    let now = clock::now();
    let fail = |key: u64, times: u64| {
        store.with(&key, now, |breaker| {
            (0..times).for_each(|_| breaker.try_admit().unwrap().outcome(Outcome::transient()));
        });
    };
    // In one visit: it is what they remember that keeps them.
    (0..100).for_each(|key| fail(key, 2));
    for number in 0..50_000 {
        store.with(&(u64::MAX - number), now, |breaker| breaker.try_admit().unwrap().success());
    }
    (0..100).for_each(|key| fail(key, 1));
    let is_open = |key: &u64| store.with(key, now, |breaker| breaker.state() == CircuitState::Open);
    assert_eq!((0..100).filter(is_open).count(), 100);
    // All of these remember a failure.
    (1_000..20_000).for_each(|key| fail(key, 1));
    assert_eq!(store.snapshot().overflowed, 0);
}
