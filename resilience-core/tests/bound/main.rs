//! attempts <= (1 + ratio) * calls + reserve: at every instant, by any interleaving.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod hostile;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use resilience_core::clock;
use resilience_core::retry::{Backoff, RetryBudget, RetryLayer, RetryPolicy};
use resilience_core::testing::{Reply, Script};
use resilience_core::{AnyError, FailureClass};
use tower::{BoxError, ServiceBuilder};

const RESERVE: u32 = 10;

fn ten_percent() -> RetryBudget {
    RetryBudget::builder().ratio(0.1).reserve(RESERVE).build().unwrap()
}

/// A million schedules of calls and retries of many callers, of pauses in between, and of retries
/// that are cancelled before they are sent.
#[test]
fn a_million_random_schedules() {
    let mut rng = SmallRng::seed_from_u64(20_260_118);
    let start = clock::now();
    for schedule in 0..1_000_000_u32 {
        let budget = ten_percent();
        let (mut calls, mut retries, mut now) = (0_u64, 0_u64, start);
        let mut held = None;
        // Up to 64 steps, two bits each.
        let mut steps: u128 = rng.random();
        for _ in 0..rng.random_range(1..=64) {
            match steps & 3 {
                0 => {
                    budget.call_started(now);
                    calls += 1;
                }
                1 => held = budget.withdraw(now, FailureClass::Transient).ok(),
                2 => retries += u64::from(held.take().map(|granted| granted.sent()).is_some()),
                _ => now += Duration::from_millis(u64::from(schedule % 400)),
            }
            steps >>= 2;
            assert!(10 * retries <= calls + 10 * u64::from(RESERVE), "schedule {schedule}");
        }
    }
}

/// The same bound under real threads: checked after each retry, against the calls counted
/// before.
#[test]
fn threads_never_overdraw() {
    let budget = ten_percent();
    let (calls, retries) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50_000 {
                    calls.fetch_add(1, Ordering::SeqCst);
                    budget.call_started(clock::now());
                    while let Ok(granted) = budget.withdraw(clock::now(), FailureClass::Transient) {
                        let sent = retries.fetch_add(1, Ordering::SeqCst) + 1;
                        granted.sent();
                        let paid = calls.load(Ordering::SeqCst) + 10 * u64::from(RESERVE);
                        assert!(10 * sent <= paid, "{sent} retries, {paid} tenths paid");
                    }
                }
            });
        }
    });
    // Nothing was lost either: all that the calls paid for was there to be had, but for what
    // expired.
    assert!(retries.load(Ordering::SeqCst) > 10_000);
}

/// A thousand calls through the layer at an upstream that is down.
#[tokio::test(start_paused = true)]
async fn a_thousand_calls_at_a_dead_upstream() {
    let budget = ten_percent();
    let policy = RetryPolicy::builder()
        .max_attempts(5)
        .backoff(Backoff::decorrelated_jitter(Duration::from_millis(10), Duration::from_secs(1)))
        .budget(budget)
        .classifier(AnyError)
        .build()
        .unwrap();
    let started = Arc::new(AtomicU64::new(0));
    let calls = started.clone();
    let dead = Script::new(move |wire, _: ()| {
        let bound = 11 * calls.load(Ordering::SeqCst) + 10 * u64::from(RESERVE);
        assert!(10 * (wire as u64 + 1) <= bound, "attempt {wire} is one too many");
        Reply::<(), BoxError>::err("down".into()).after(Duration::from_millis(1))
    });
    let service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(dead.clone());
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..1_000 {
        started.fetch_add(1, Ordering::SeqCst);
        running.spawn(service.clone().oneshot(()));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    while let Some(ended) = running.join_next().await {
        ended.unwrap().unwrap_err();
    }
    let wire = dead.arrivals().len();
    println!("wire calls: {wire}");
    assert!((1_000..=1_100 + RESERVE as usize).contains(&wire), "{wire}");
}
