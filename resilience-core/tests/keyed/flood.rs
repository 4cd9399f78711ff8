//! Keys that come once, by the million.

use std::time::Duration;

use resilience_core::clock;
use resilience_core::keyed::{Keyed, KeyedLimits};

use crate::{Counter, keys};

const HOT: u64 = 1_000;

/// One call for a hot key in eleven; a hot key's decision is the number of calls before this one.
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

/// Nobody empties the store with long keys.
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
