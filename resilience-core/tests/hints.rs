//! A server's word on when to come back.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use resilience_core::retry::{Backoff, RetryLayer, RetryPolicy};
use resilience_core::testing::{Reply, Script};
use resilience_core::timeout::DeadlineLayer;
use resilience_core::{Outcome, clock};
use tower::{BoxError, ServiceBuilder};

/// The scripted responses of the server: the hint of a 429, or success.
type Answer = Option<Duration>;

fn classify(result: Result<&Answer, &BoxError>) -> Outcome {
    match result {
        Ok(Some(hint)) => Outcome::throttled(*hint),
        Ok(None) => Outcome::Success,
        Err(_) => Outcome::Permanent,
    }
}

fn backoff(kind: usize) -> Backoff {
    let (base, cap) = (Duration::from_millis(20), Duration::from_secs(2));
    match kind % 7 {
        0 => Backoff::decorrelated_jitter(base, cap),
        1 => Backoff::full_jitter(base, cap),
        2 => Backoff::equal_jitter(base, cap),
        3 => Backoff::exponential(base, cap),
        4 => Backoff::linear(base, cap),
        5 => Backoff::constant(base).and_then(|constant| constant.jittered(0.3)),
        _ => Backoff::textbook_decorrelated_jitter(base, cap),
    }
    .unwrap()
}

/// Calls sent before the time that the server named: none of a hundred thousand.
#[tokio::test(start_paused = true)]
async fn never_earlier_than_the_hint() {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut judged = 0;
    for kind in 0..1_000 {
        let hints: Vec<_> =
            (0..100).map(|_| Duration::from_nanos(rng.random_range(0..5_000_000_000))).collect();
        let told = hints.clone();
        let script =
            Script::new(move |call, ()| Reply::<Answer, BoxError>::ok(told.get(call).copied()));
        let policy = RetryPolicy::builder()
            .max_attempts(101)
            .unlimited_elapsed()
            .without_budget()
            .backoff(backoff(kind))
            .classify(classify)
            .build()
            .unwrap();
        let service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(script.clone());
        assert_eq!(service.oneshot(()).await.unwrap(), None);
        for (arrivals, hint) in script.arrivals().windows(2).zip(hints) {
            assert!(arrivals[1] - arrivals[0] >= hint, "{:?}", backoff(kind));
            judged += 1;
        }
    }
    assert_eq!(judged, 100_000);
}

/// All rejected clients get the same hint of a second: their retries are spread out.
#[tokio::test(start_paused = true)]
async fn a_crowd_with_the_same_hint_does_not_return_in_step() {
    let told = Duration::from_secs(5);
    let script =
        Script::new(move |call, ()| Reply::<Answer, BoxError>::ok((call < 500).then_some(told)));
    let policy = RetryPolicy::builder().without_budget().classify(classify).build().unwrap();
    let service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(script.clone());
    let mut running = tokio::task::JoinSet::new();
    for _ in 0..500 {
        running.spawn(service.clone().oneshot(()));
    }
    running.join_all().await;
    let mut second_wave = script.arrivals().split_off(500);
    second_wave.sort();
    let bin = Duration::from_millis(50);
    let peak = (0..second_wave.len())
        .map(|i| second_wave[i..].partition_point(|at| *at < second_wave[i] + bin))
        .max()
        .unwrap();
    assert!(peak * 5 <= 500, "{peak} of 500 within 50 ms");
}

/// A hint of thirty seconds with one second left: the call ends at once.
#[tokio::test(start_paused = true)]
async fn a_hint_beyond_the_deadline_returns_at_once() {
    let hint = Duration::from_secs(30);
    let script = Script::new(move |_, ()| Reply::<Answer, BoxError>::ok(Some(hint)));
    let policy = RetryPolicy::builder().classify(classify).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(1)).unwrap())
        .layer(RetryLayer::new(policy))
        .service(script.clone());
    let start = clock::now();
    assert_eq!(service.oneshot(()).await.unwrap(), Some(hint));
    assert!(clock::now() - start < Duration::from_millis(1));
    assert_eq!(script.arrivals().len(), 1);
}
