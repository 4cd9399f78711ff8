//! Five hundred clients that fail at the same moment, with fixed waits and with the default policy.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use resilience_core::AnyError;
use resilience_core::retry::{Backoff, RetryLayer, RetryPolicy, RetryPolicyBuilder};
use resilience_core::testing::{Reply, Script};
use tower::{BoxError, ServiceBuilder};

const CLIENTS: usize = 500;

/// When the retries arrived, after an outage that all first attempts fell into.
async fn arrivals(policy: RetryPolicyBuilder) -> Vec<Instant> {
    let script = Script::new(|call, ()| match call {
        ..CLIENTS => Reply::<(), BoxError>::err("down".into()),
        _ => Reply::ok(()),
    });
    let policy = policy.without_budget().classifier(AnyError).build().unwrap();
    let service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(script.clone());
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        running.spawn(service.clone().oneshot(()));
    }
    for ended in running.join_all().await {
        ended.unwrap();
    }
    let mut retries = script.arrivals().split_off(CLIENTS);
    retries.sort();
    retries
}

fn peak(arrivals: &[Instant], window: Duration) -> usize {
    let within = |i: usize| arrivals[i..].partition_point(|at| *at < arrivals[i] + window);
    (0..arrivals.len()).map(within).max().unwrap_or(0)
}

#[tokio::test(start_paused = true)]
async fn the_default_policy_spreads_a_herd_at_least_fivefold() {
    let window = Duration::from_millis(50);
    let fixed = RetryPolicy::builder().backoff(Backoff::constant(Duration::from_secs(5)));
    let before = arrivals(fixed).await;
    let after = arrivals(RetryPolicy::builder()).await;
    assert_eq!((before.len(), after.len()), (CLIENTS, CLIENTS));
    let (before, after) = (peak(&before, window), peak(&after, window));
    println!("peak arrivals in 50 ms: {before} before, {after} after");
    assert!(before >= 5 * after, "{before} before, {after} after");
}

/// tower's own maker gives every session of a process the same sequence.
#[tokio::test(start_paused = true)]
async fn a_thousand_calls_draw_a_thousand_sequences() {
    let mut first = arrivals(RetryPolicy::builder()).await;
    first.dedup();
    // The timer rounds to milliseconds, and the default's first interval has 500 of them.
    assert!(first.len() > 250, "{}", first.len());
    let seeded = || RetryPolicy::builder().seed(42);
    let gaps = |arrivals: Vec<Instant>| -> Vec<Duration> {
        arrivals.iter().map(|at| *at - arrivals[0]).collect()
    };
    assert_eq!(gaps(arrivals(seeded()).await), gaps(arrivals(seeded()).await));
}
