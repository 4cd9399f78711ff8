//! governor: `direct`, `proptests`, `memory_leaks`. The threads and the leak check are in
//! `tests/rate`.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use resilience_core::clock;
use resilience_core::rate::{Decision, Quota, TokenBucket};

use crate::ms;

fn bucket(count: u32) -> (TokenBucket, Instant) {
    let now = clock::now();
    (TokenBucket::new(Quota::per_second(count).unwrap()), now)
}

fn goes(bucket: &mut TokenBucket, at: Instant, cost: u32) -> bool {
    bucket.take(at, cost) == Decision::Conforms
}

#[test]
fn two_a_second() {
    let (mut bucket, start) = bucket(2);
    for (at, expected) in
        [(0, true), (1, true), (2, false), (1_002, true), (1_003, true), (1_004, false)]
    {
        assert_eq!(goes(&mut bucket, start + ms(at), 1), expected, "at {at} ms");
    }
}

#[test]
fn no_extra_cell_after_a_long_idle() {
    let (mut bucket, start) = bucket(5);
    for at in [0, 2_000, 1_000_000] {
        let burst: Vec<_> = (0..6).map(|_| goes(&mut bucket, start + ms(at), 1)).collect();
        assert_eq!(burst, [true, true, true, true, true, false], "at {at} ms");
    }
}

#[test]
fn weighted() {
    let (mut bucket, start) = bucket(4);
    for (at, expected) in
        [(0, true), (0, true), (1, false), (1_001, true), (1_002, true), (1_003, false)]
    {
        assert_eq!(goes(&mut bucket, start + ms(at), 2), expected, "at {at} ms");
    }
}

#[test]
fn a_cost_above_the_burst_is_rejected() {
    let (mut bucket, start) = bucket(5);
    for at in [0, 1_000_000] {
        for cost in [15, 7, 6] {
            assert_eq!(bucket.take(start + ms(at), cost), Decision::Never);
        }
        assert!(goes(&mut bucket, start + ms(at), 5));
    }
    let limiter =
        resilience_core::rate::RateLimiter::builder().quota(Quota::per_second(5)).build().unwrap();
    let refused = limiter.check(6).unwrap_err();
    assert_eq!(refused.to_string(), "rate: rate limited (6 calls, limit 5), never to be retried");
}

#[test]
fn a_wait_as_long_as_requested_is_enough() {
    let (mut bucket, mut now) = bucket(5);
    for n in 0..20 {
        now += ms(1);
        if let Decision::NotUntil(then) = bucket.take(now, 1) {
            now = then;
            assert!(goes(&mut bucket, now, 1), "{n}");
        }
    }
}

#[test]
fn a_billion_and_one_a_second() {
    let quota = Quota::per_second(1_000_000_001).unwrap();
    let limiter =
        resilience_core::rate::RateLimiter::builder().quota(quota).reject().build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| (0..1_000_000).for_each(|_| limiter.check(1).unwrap()));
        }
    });
    assert_eq!(limiter.snapshot().rejected, 0);
}

proptest! {
    #[test]
    fn any_part_of_the_wait(count in 1_u32..10_000, used in 1_u32..10_000, part in 0.0_f64..1.0) {
        let (mut bucket, start) = bucket(count);
        prop_assert!(goes(&mut bucket, start, count));
        let cost = used.min(count);
        let Decision::NotUntil(then) = bucket.take(start, cost) else { panic!("it is empty") };
        let early = start + Duration::from_nanos(((then - start).as_nanos() as f64 * part) as u64);
        if early < then {
            prop_assert_eq!(bucket.take(early, cost), Decision::NotUntil(then));
        }
        prop_assert!(goes(&mut bucket, then, cost));
    }
}
