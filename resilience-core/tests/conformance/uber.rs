//! uber-go/ratelimit: `ratelimit_test`. Its slack is our burst, less the one that is under way.
//! Ours is there from the start (theirs has to be saved up first), so where a table counts on that,
//! it is used up before.

use std::time::{Duration, Instant};

use resilience_core::clock;
use resilience_core::rate::{Decision, Quota, TokenBucket};

use crate::ms;

fn bucket(count: u32, period: Duration, slack: u32) -> (TokenBucket, Instant) {
    let quota = Quota::per(count, period).unwrap().with_burst(slack + 1).unwrap();
    let start = clock::now();
    let mut bucket = TokenBucket::new(quota);
    if slack > 0 {
        assert_eq!(bucket.take(start, slack), Decision::Conforms);
    }
    (bucket, start)
}

/// Returns the times at which a single caller that waits as requested takes tokens.
fn take(bucket: &mut TokenBucket, now: Instant) -> Instant {
    match bucket.take(now, 1) {
        Decision::NotUntil(then) => {
            assert_eq!(bucket.take(then, 1), Decision::Conforms);
            then
        }
        _ => now,
    }
}

/// Takes before each of `ends`, by takers that never stop.
fn takes_before<const N: usize>(
    bucket: &mut TokenBucket,
    start: Instant,
    ends: [Duration; N],
) -> [usize; N] {
    let mut now = start;
    let mut times = Vec::new();
    while times.last().is_none_or(|last| *last <= start + ends[N - 1]) {
        now = take(bucket, now);
        times.push(now);
    }
    ends.map(|end| times.iter().filter(|time| **time < start + end).count())
}

#[test]
fn no_slack() {
    let (mut bucket, start) = bucket(100, ms(1_000), 0);
    assert_eq!(
        takes_before(&mut bucket, start, [1, 2, 3].map(Duration::from_secs)),
        [100, 200, 300]
    );
}

#[test]
fn seven_a_minute() {
    let (mut bucket, start) = bucket(7, ms(60_000), 0);
    // Two takes are 8,571,428,571 and 3/7 ns apart or more, and an instant is whole nanoseconds.
    let ns = Duration::from_nanos(15);
    let ends = [1, 60, 120].map(|s| Duration::from_secs(s) + ns);
    assert_eq!(takes_before(&mut bucket, start, ends), [1, 8, 15]);
}

#[test]
fn slack_does_not_help_at_the_start() {
    let (mut bucket, start) = bucket(10, ms(1_000), 10);
    let mut now = start;
    let times = [(); 3].map(|()| {
        now = take(&mut bucket, now);
        now - start
    });
    assert_eq!(times, [0, 100, 200].map(ms));
}

#[test]
fn slack_of_one() {
    let (mut bucket, start) = bucket(1, ms(1_000), 1);
    let mut times = vec![take(&mut bucket, start + Duration::from_nanos(1))];
    let late = start + ms(2_000) + Duration::from_nanos(1);
    (0..4).for_each(|_| times.push(take(&mut bucket, late)));
    let before = |s| times.iter().filter(|time| **time < start + Duration::from_secs(s)).count();
    assert_eq!((before(3), before(10)), (3, 5));
}

/// 10 a second before 100 a second for 2 s, then the fast one alone for 1 s.
#[test]
fn slack_saved_up_in_series() {
    for (slack, expected) in [(10, 130), (20, 140), (150, 270)] {
        let (mut slow, start) = bucket(10, ms(1_000), 0);
        let (mut fast, _) = bucket(100, ms(1_000), slack);
        let (mut now, mut count) = (start, 0);
        loop {
            now = take(&mut slow, now);
            if now >= start + ms(2_000) {
                break;
            }
            now = take(&mut fast, now);
            count += 1;
        }
        let alone = start + ms(2_000);
        let mut now = alone;
        loop {
            now = take(&mut fast, now);
            if now >= alone + ms(1_000) {
                break;
            }
            count += 1;
        }
        // The one under way is in their count of the next second.
        assert!((expected..=expected + 1).contains(&count), "slack {slack}: {count}");
    }
}

/// 10 and 100 a second in series; 20 s of nothing but the slow one save up no more than the slack.
#[test]
fn idle_saves_up_no_more_than_the_slack() {
    let (mut fast, start) = bucket(100, ms(1_000), 10);
    let later = start + ms(20_000);
    let count = takes_before(&mut fast, later, [ms(10_000)])[0];
    assert_eq!(count, 1_000 + 10);
}
