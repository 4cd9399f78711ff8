//! Memory of a key without calls.

use std::sync::Arc;
use std::time::Duration;

use resilience_core::clock;
use resilience_core::keyed::{Key, Keyed, KeyedLimits};
use resilience_core::rate::{Quota, RateLimiter};

const KEYS: usize = 200_000;

/// Bytes a key with a limiter, in a store that is full: those that it counts, and those that it
/// asked the allocator for, which rounds them up.
fn bytes_a_key<K: Key>(key: impl Fn(usize) -> K) -> (f64, f64) {
    let limiter = RateLimiter::builder().quota(Quota::per_second(5)).build().unwrap();
    let limits = KeyedLimits::new(KEYS, 1 << 30, Duration::from_secs(600)).unwrap();
    let mut store = None;
    let asked = allocation_counter::measure(|| {
        let each = store.insert(Keyed::new(limits, move |_: &K| limiter.fresh()));
        (0..KEYS).for_each(|number| each.with(&key(number), clock::now(), |_| ()));
    });
    let store = store.unwrap();
    assert_eq!(store.len(), KEYS);
    let a_key = |bytes: f64| bytes / KEYS as f64;
    (a_key(store.bytes() as f64), a_key(asked.bytes_current as f64))
}

#[test]
fn an_idle_limiter_is_128_bytes_with_its_key() {
    let text = |number: usize| format!("tenant-{number:09}");
    let all = [
        bytes_a_key(text),
        bytes_a_key(|number| Arc::<str>::from(text(number))),
        bytes_a_key(|number| number as u64),
    ];
    println!("counted, and asked for: {all:.1?}");
    for (counted, asked) in all {
        assert!(asked <= counted && counted <= 128.0, "{counted} counted, {asked} asked for");
    }
}
