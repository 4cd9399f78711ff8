//! The plan's worst case is reached, and never exceeded.

use std::time::Duration;

use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::testing::{Reply, Script, ServiceProbe};
use resilience_core::{Outcome, clock};
use tokio::task::JoinSet;
use tower::util::BoxCloneSyncService;
use tower::{BoxError, ServiceBuilder, ServiceExt as _};

use crate::{MS, SECOND, down};

/// Everything takes as long as it may: the line, the server's hint, the tokens, the attempt.
#[tokio::test(start_paused = true)]
async fn the_worst_latency_is_reached() {
    let throttled = |result: Result<&u64, &BoxError>| match result {
        Ok(&wait) => Outcome::throttled(MS * u32::try_from(wait).unwrap()),
        Err(_) => Outcome::TimedOut,
    };
    let retry = RetryPolicy::builder().max_attempts(2).backoff(Backoff::none());
    let stack = Stack::builder()
        .classify(throttled)
        .bulkhead(Bulkhead::builder().max_concurrent(1).wait_at_most(SECOND * 4))
        .retry(retry.max_elapsed(SECOND * 20).budget(RetryBudget::percent(1_000.0)))
        .attempt_timeout(SECOND * 3)
        .build()
        .unwrap();
    let worst = stack.plan().worst_case_latency.unwrap();
    assert_eq!(worst, SECOND * (4 + 20 + 3));
    let script =
        Script::new(
            |call, _: u64| {
                if call == 0 { Reply::<u64, BoxError>::ok(20_000) } else { Reply::never() }
            },
        );
    let service = ServiceBuilder::new().layer(stack.clone()).service(script);
    let first = stack.bulkhead().unwrap().try_acquire_owned(1).unwrap();
    let start = clock::now();
    let call = tokio::spawn(service.oneshot(1));
    // A moment before it would be refused.
    tokio::time::sleep(SECOND * 4 - MS).await;
    drop(first);
    call.await.unwrap().unwrap_err();
    let took = clock::now() - start;
    assert!(took <= worst && took + MS * 5 >= worst, "{took:?} of {worst:?}");
}

/// Whatever the service does, and however many call.
#[tokio::test(start_paused = true)]
async fn no_number_of_the_plan_is_passed() {
    for deadline in [None, Some(SECOND * 12)] {
        for seed in 0..20_u64 {
            simulate(deadline, seed).await;
        }
    }
}

async fn simulate(deadline: Option<Duration>, seed: u64) {
    let retry = RetryPolicy::builder()
        .max_attempts(4)
        .seed(seed)
        .backoff(Backoff::decorrelated_jitter(MS * 50, SECOND))
        .max_elapsed(SECOND * 10)
        .budget(RetryBudget::builder().ratio(0.5).reserve(5).window(SECOND * 3_600).build());
    let stack = Stack::builder()
        .bulkhead(Bulkhead::builder().max_concurrent(8).wait_at_most(SECOND * 5).max_queued(20))
        .retry(retry)
        .rate_limit(RateLimiter::builder().quota(Quota::per_second(20)).wait_at_most(SECOND * 2))
        .circuit_breaker(CircuitBreaker::builder())
        .attempt_timeout(SECOND);
    let script = Script::new(chaos);
    let (probe, log) = ServiceProbe::new(script.clone());
    // Boxed: rustc cannot see that a future whose error is a box can be sent, once it is inside
    // another.
    let (plan, service) = match deadline {
        Some(limit) => {
            let stack = stack.deadline(limit).build().unwrap();
            let service = ServiceBuilder::new().layer(stack.clone()).service(probe);
            (stack.plan().clone(), BoxCloneSyncService::new(service))
        }
        None => {
            let stack = stack.build().unwrap();
            let service = ServiceBuilder::new().layer(stack.clone()).service(probe);
            (stack.plan().clone(), BoxCloneSyncService::new(service))
        }
    };
    let worst = plan.worst_case_latency.unwrap();
    let mut calls = JoinSet::new();
    for n in 0..100 {
        let service = service.clone();
        calls.spawn(async move {
            let start = clock::now();
            let result = service.oneshot(seed * 1_000 + n).await;
            (clock::now() - start, result.is_ok())
        });
        tokio::time::sleep(MS * 40).await;
    }
    let mut ended = 0;
    while let Some(call) = calls.join_next().await {
        let (took, _) = call.unwrap();
        // A timer may ring a millisecond late, once for each thing that is waited for.
        assert!(took <= worst + MS * 10, "{took:?}, worst {worst:?}, seed {seed}");
        ended += 1;
    }
    assert_eq!(ended, 100);
    assert!(log.peak() <= usize::try_from(plan.max_in_flight.unwrap()).unwrap());
    let attempts = log.calls();
    assert!((attempts as f64) <= plan.amplification * 100.0 + 5.0, "{attempts} attempts");
    let arrivals = script.arrivals();
    let (rate, burst) = (plan.attempts_per_second.unwrap(), plan.burst.unwrap());
    for (n, &from) in arrivals.iter().enumerate() {
        for (m, &to) in arrivals.iter().enumerate().skip(n) {
            let most = f64::from(burst) + rate * (to - from).as_secs_f64();
            assert!((m - n + 1) as f64 <= most + 1e-6, "{} in {:?}", m - n + 1, to - from);
        }
    }
    assert_eq!(worst, deadline.unwrap_or(SECOND * (5 + 10 + 2 + 1)));
}

fn chaos(call: usize, request: u64) -> Reply<u64, BoxError> {
    let dice = (request.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize + call * 7;
    match dice % 5 {
        0 => Reply::never(),
        1 => Reply::err(down()).after(MS * 30),
        2 => Reply::err(down()).after(MS * 900),
        _ => Reply::ok(request).after(MS * 20),
    }
}

/// The last attempt begins, as promised, though each times out and each wait is the longest.
#[tokio::test(start_paused = true)]
async fn attempts_that_are_sure_are_made() {
    let exponential = Backoff::exponential(SECOND, SECOND * 8);
    for (seconds, sure) in [(19, 4), (12, 3), (11, 3), (10, 3), (8, 2), (6, 2), (5, 2), (4, 1)] {
        let deadline = SECOND * seconds + MS * 500;
        let retry = RetryPolicy::builder().max_attempts(4).backoff(exponential.clone());
        let retry = retry.unlimited_elapsed().budget(RetryBudget::percent(1_000.0));
        let built =
            Stack::builder().deadline(deadline).retry(retry).attempt_timeout(SECOND * 3).build();
        let Ok(stack) = built else {
            assert!(seconds <= 6, "{seconds}: the waits alone take 7 s");
            continue;
        };
        let script = Script::new(|_, _: u64| Reply::<u64, BoxError>::never());
        let service = ServiceBuilder::new().layer(stack.clone()).service(script.clone());
        service.oneshot(1).await.unwrap_err();
        assert_eq!(script.arrivals().len(), usize::try_from(stack.plan().sure_attempts).unwrap());
        assert_eq!(stack.plan().sure_attempts, sure, "{seconds}");
    }
}

#[test]
fn the_numbers_of_a_plan() {
    let quota = Quota::per_minute(30).and_then(|quota| quota.with_burst(5));
    let stack = Stack::standard("odds")
        .deadline(SECOND * 60)
        .bulkhead(Bulkhead::builder().max_concurrent(7).wait_at_most(SECOND * 10).max_queued(11))
        .rate_limit(RateLimiter::builder().quota(quota).wait_at_most(SECOND * 10).max_queued(13))
        .retry(RetryPolicy::builder().attempt_time(SECOND).max_elapsed(SECOND * 40))
        .circuit_breaker(CircuitBreaker::builder().consecutive_failures(5))
        .build()
        .unwrap();
    let plan = stack.plan();
    assert_eq!(plan.worst_case_latency, Some(SECOND * 60));
    assert_eq!((plan.max_attempts, plan.sure_attempts), (3, 3));
    assert!((plan.amplification - 1.1).abs() < 1e-9);
    assert_eq!(plan.longest_hint, Some(SECOND * 39));
    assert_eq!((plan.attempts_per_second, plan.burst), (Some(0.5), Some(5)));
    assert_eq!((plan.max_in_flight, plan.max_queued), (Some(7), 24));
    assert!(plan.shared_bytes > 0);
    let text = plan.to_string();
    println!("{text}");
    for line in [
        "at most 60 s",
        "at most 3, sure of 3",
        "1.1×",
        "39 s",
        "0.500 a second, 5 at once",
        "7 calls, 24 in the queue",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// Nothing limits a stack that has nothing; what only observes limits nothing either.
#[test]
fn a_plan_without_limits() {
    let observing = Bulkhead::builder().max_concurrent(1).observe_only();
    let stack = Stack::builder().bulkhead(observing).build().unwrap();
    let plan = stack.plan();
    assert_eq!((plan.worst_case_latency, plan.max_in_flight), (None, None));
    assert_eq!((plan.max_attempts, plan.amplification), (1, 1.0));
    assert_eq!(plan.longest_hint, Some(Duration::ZERO));
    assert!(plan.to_string().contains("as long as it likes"));
    let free = RetryPolicy::builder().without_budget().max_attempts(4);
    let stack = Stack::builder().retry(free).build().unwrap();
    assert!((stack.plan().amplification - 4.0).abs() < 1e-9);
    let bucket = RetryPolicy::builder().budget(RetryBudget::aws_2_1()).unlimited_elapsed();
    let stack = Stack::builder().retry(bucket).build().unwrap();
    assert_eq!((stack.plan().amplification, stack.plan().longest_hint), (3.0, None));
}
