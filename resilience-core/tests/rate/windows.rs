//! Every window of every run. `RATE_DECISIONS=100000000 cargo test --release -p resilience-core
//! --test rate bound -- --nocapture` makes the run on two threads that many decisions long.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resilience_core::clock;
use resilience_core::rate::{Decision, Quota, RateLimiter, Shaping, TokenBucket};

use crate::{limiter, ms};

/// Windows that hold more than they may. One pass: the sum from i to j is `j - i + 1`, and what is
/// allowed is `burst + rate · (t_j - t_i)`, so the least of `i - rate · t_i` so far is the worst to
/// begin at.
fn windows_over(times: &[u64], quota: &Quota) -> usize {
    let period = i128::try_from(quota.period().as_nanos()).unwrap();
    let mut least = i128::MAX;
    let mut over = 0;
    for (index, &time) in times.iter().enumerate() {
        let key =
            i128::try_from(index).unwrap() * period - i128::from(time) * i128::from(quota.count());
        least = least.min(key);
        if key - least + period > i128::from(quota.burst()) * period {
            over += 1;
        }
    }
    over
}

#[test]
fn the_check_of_windows_can_fail() {
    let quota = Quota::per(1, Duration::from_nanos(10)).unwrap().with_burst(2).unwrap();
    assert_eq!(windows_over(&[0, 0, 10, 20], &quota), 0);
    assert_eq!(windows_over(&[0, 0, 9], &quota), 1);
}

/// Two threads, each at the next instant of a clock that they share: stamps reach the lock out of
/// order.
#[test]
fn bound_holds_for_two_threads() {
    for (rate, burst) in [(70_000_007, 50), (350_000_003, 5_000)] {
        let quota = Quota::per_second(rate).unwrap().with_burst(burst).unwrap();
        bound_holds(&quota);
    }
}

fn bound_holds(quota: &Quota) {
    let decisions = std::env::var("RATE_DECISIONS").map_or(1_000_000, |n| n.parse().unwrap());
    let limiter = RateLimiter::builder().quota(*quota).reject().build().unwrap();
    let (start, clock) = (clock::now(), AtomicU64::new(0));
    let run = || {
        let mut granted = Vec::new();
        for _ in 0..decisions / 2 {
            let ns = clock.fetch_add(1 + (granted.len() as u64 & 3), Ordering::Relaxed);
            if limiter.check_at(start + Duration::from_nanos(ns), 1).is_ok() {
                granted.push(ns);
            }
        }
        granted
    };
    let mut times = std::thread::scope(|scope| {
        let other = scope.spawn(run);
        let mut times = run();
        times.extend(other.join().unwrap());
        times
    });
    times.sort_unstable();
    let over = windows_over(&times, quota);
    println!("{} of {decisions} granted, {over} windows over", times.len());
    assert_eq!(over, 0);
    assert_eq!(limiter.snapshot().admitted, times.len() as u64);
    let passed = u128::from(clock.into_inner());
    let back = passed * u128::from(quota.count()) / 1_000_000_000;
    let ideal = (back as u64 + u64::from(quota.burst())).min(decisions);
    assert!(times.len() as u64 <= ideal + 1 && times.len() as u64 > ideal * 9 / 10, "{ideal}");
}

/// One call at 0 s, 99 at 0.999 s, then as many as possible from 1.0005 s. The limit is 100 a
/// second.
#[test]
fn adversary() {
    println!("{:>8} {:>8} {:>8} {:>8}", "burst", "10 ms", "1 s", "2 s");
    for burst in [1, 10, 100] {
        let quota = Quota::per_second(100).unwrap().with_burst(burst).unwrap();
        let start = clock::now();
        let mut bucket = TokenBucket::new(quota);
        let calls = std::iter::once(0)
            .chain(std::iter::repeat_n(999_000, 99))
            .chain((1_000_500..4_000_000).step_by(100));
        let mut times = Vec::new();
        for us in calls {
            if bucket.take(start + Duration::from_micros(us), 1) == Decision::Conforms {
                times.push(us * 1_000);
            }
        }
        assert_eq!(windows_over(&times, &quota), 0);
        let most = |window: Duration| {
            let window = u64::try_from(window.as_nanos()).unwrap();
            let held =
                |from: &u64| times.iter().filter(|t| (*from..=from + window).contains(t)).count();
            times.iter().map(held).max().unwrap()
        };
        let row = [ms(10), ms(1_000), ms(2_000)].map(most);
        println!("{burst:>8} {:>8} {:>8} {:>8}", row[0], row[1], row[2]);
        let burst = burst as usize;
        assert!(row[0] <= burst + 1 && row[1] <= burst + 100 && row[2] <= burst + 200, "{row:?}");
    }
}

/// 20 a second, 20 threads at once.
#[test]
fn twenty_threads_at_once() {
    let limiter = limiter(20, 20).reject().build().unwrap();
    let now = clock::now();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| limiter.check_at(now, 1))).collect();
        calls.into_iter().for_each(|call| call.join().unwrap().unwrap());
    });
    limiter.check_at(now + ms(2), 1).unwrap_err();
    limiter.check_at(now + ms(1_000), 1).unwrap();
}

/// From a third of the rate to the whole: what is admitted in each fifth of the warm-up grows.
#[test]
fn warms_up() {
    let quota = Quota::per_second(100).unwrap().with_burst(1).unwrap();
    let start = clock::now();
    let mut bucket = TokenBucket::new(Shaping::new(quota).with_warm_up(ms(5_000)).unwrap());
    let mut seconds = [0; 8];
    let mut times = Vec::new();
    for at in 0..8_000 {
        if bucket.take(start + ms(at), 1) == Decision::Conforms {
            seconds[usize::try_from(at / 1_000).unwrap()] += 1;
            times.push(at * 1_000_000);
        }
    }
    println!("{seconds:?}");
    assert!(seconds[..5].is_sorted() && seconds[0] <= 45 && seconds[4] >= 85, "{seconds:?}");
    assert_eq!(seconds[6..], [100, 100]);
    assert_eq!(windows_over(&times, &quota), 0);
    // Idle for as long as a warm-up takes: cold again.
    let later = start + ms(14_000);
    bucket.take(later, 1);
    assert_eq!(bucket.take(later, 1), Decision::NotUntil(later + ms(30)));
}

/// 500,000 checks over 1,000 keys that come and go hold no more memory than the keys that stay.
#[test]
fn nothing_leaks() {
    use resilience_core::keyed::Entry;
    let limiter = limiter(10, 10).reject().build().unwrap();
    let mut keys: Vec<_> = (0..1_000).map(|_| limiter.fresh()).collect();
    for n in 0..500_000 {
        let slot = n % 1_000;
        if n % 7 == 0 {
            keys[slot] = limiter.fresh();
        }
        let _ = keys[slot].check(1);
    }
    let idle = limiter.fresh();
    println!("idle: {} B, a handle: {} B", idle.heap_bytes(), size_of::<RateLimiter>());
    assert!(idle.heap_bytes() <= 112);
    assert!(keys.iter().all(|key| key.heap_bytes() <= 400), "{}", keys[0].heap_bytes());
}
