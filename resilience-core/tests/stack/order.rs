//! The order of the parts, as the service below sees it.

use std::sync::Arc;

use parking_lot::Mutex;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::observe::Event;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::testing::{Reply, Script, ServiceProbe};
use resilience_core::{CarriesRejection, Outcome, RejectionKind, clock};
use tokio::task::JoinSet;
use tower::{BoxError, ServiceBuilder};

use crate::{MS, SECOND, down};

fn retries(attempts: u32) -> resilience_core::retry::RetryPolicyBuilder {
    RetryPolicy::builder().max_attempts(attempts).backoff(Backoff::constant(MS * 100))
}

/// The limit holds at the wire: retries wait for tokens too, and standing in line for the bulkhead
/// does not let a burst through.
#[tokio::test(start_paused = true)]
async fn the_rate_is_bound_at_the_wire() {
    let script = Script::new(|call, request: u64| {
        let reply = if call % 3 == 0 { Reply::err(down()) } else { Reply::ok(request) };
        reply.after(MS * 700)
    });
    let stack = Stack::builder()
        .deadline(SECOND * 60)
        .bulkhead(Bulkhead::builder().max_concurrent(4).wait())
        .retry(retries(3).budget(RetryBudget::builder().ratio(1.0).reserve(100).build()))
        .rate_limit(
            RateLimiter::builder().quota(Quota::per_second(5).unwrap().with_burst(2)).wait(),
        )
        .build()
        .unwrap();
    let (probe, log) = ServiceProbe::new(script.clone());
    let service = ServiceBuilder::new().layer(stack).service(probe);
    let mut calls = JoinSet::new();
    (0..30).for_each(|n| drop(calls.spawn(service.clone().oneshot(n))));
    while let Some(ended) = calls.join_next().await {
        ended.unwrap().unwrap();
    }
    let arrivals = script.arrivals();
    assert!(arrivals.len() > 30, "some were tried again");
    assert!(log.peak() <= 4);
    for (n, &from) in arrivals.iter().enumerate() {
        let within = arrivals[n..].iter().take_while(|&&at| at - from <= SECOND).count();
        assert!(within <= 2 + 5, "{within} in a second, from arrival {n}");
    }
}

/// An open circuit is not retried, spends no budget, and hands its token back.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_costs_nothing() {
    let retried = Arc::new(Mutex::new(0));
    let counter = retried.clone();
    let stack = Stack::builder()
        .name("odds")
        .listen(move |event: &Event<'_>| {
            *counter.lock() += u32::from(matches!(event, Event::RetryScheduled { .. }));
        })
        .retry(retries(3).budget(RetryBudget::builder().ratio(0.0).reserve(10).build()))
        .rate_limit(RateLimiter::builder().quota(Quota::per(10, SECOND * 3_600)).reject())
        .circuit_breaker(CircuitBreaker::builder().consecutive_failures(3).break_for(SECOND * 60))
        .build()
        .unwrap();
    let (probe, log) =
        ServiceProbe::new(Script::new(|_, _: u64| Reply::<u64, BoxError>::err(down())));
    let service = ServiceBuilder::new().layer(stack.clone()).service(probe);
    // Opens at the third attempt of the first call.
    service.clone().oneshot(1).await.unwrap_err();
    assert_eq!((log.calls(), *retried.lock()), (3, 2));
    let before = stack.snapshot();
    for n in 0..100 {
        let refused = service.clone().oneshot(n).await.unwrap_err();
        assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
        assert_eq!(refused.rejection().unwrap().layer(), "odds.circuit_breaker");
    }
    let after = stack.snapshot();
    assert_eq!((log.calls(), *retried.lock()), (3, 2), "zero calls, zero retries");
    assert_eq!(before.budget, after.budget);
    assert_eq!(before.rate_limit.unwrap().available, 7);
    assert_eq!(after.rate_limit.unwrap().available, 7);
}

/// The permit is the call's, not the attempt's.
#[tokio::test(start_paused = true)]
async fn the_bulkhead_holds_across_retries() {
    let stack = Stack::builder()
        .bulkhead(Bulkhead::builder().max_concurrent(1).reject())
        .retry(retries(3).backoff(Backoff::constant(SECOND)))
        .attempt_timeout(SECOND)
        .build()
        .unwrap();
    let (probe, log) = ServiceProbe::new(Script::new(|call, request: u64| {
        if call < 2 { Reply::err(down()) } else { Reply::ok(request) }
    }));
    let service = ServiceBuilder::new().layer(stack).service(probe);
    let first = tokio::spawn(service.clone().oneshot(1));
    for _ in 0..3 {
        tokio::time::sleep(MS * 600).await;
        let refused = service.clone().oneshot(2).await.unwrap_err();
        assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::BulkheadFull);
    }
    assert_eq!(first.await.unwrap().unwrap(), 1);
    assert_eq!((log.calls(), service.oneshot(2).await.unwrap()), (3, 2));
}

/// The attempt timeout is inside of the breaker, which sees a failure; the deadline is outside of
/// all.
#[tokio::test(start_paused = true)]
async fn a_breaker_sees_attempts_that_hang() {
    let stack = Stack::builder()
        .deadline(SECOND * 10)
        .retry(retries(2))
        .circuit_breaker(CircuitBreaker::builder().consecutive_failures(2))
        .attempt_timeout(SECOND)
        .build()
        .unwrap();
    let (probe, log) = ServiceProbe::new(Script::new(|_, _: u64| Reply::<u64, BoxError>::never()));
    let service = ServiceBuilder::new().layer(stack.clone()).service(probe);
    let late = service.clone().oneshot(1).await.unwrap_err();
    assert_eq!(late.rejection().unwrap().kind(), RejectionKind::TimedOut);
    assert_eq!(log.calls(), 2);
    let refused = service.oneshot(1).await.unwrap_err();
    assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
}

/// One classifier for all parts: a throttled result is retried, counted by the breaker, and
/// pauses the limiter.
#[tokio::test(start_paused = true)]
async fn one_classifier_serves_all() {
    let classifier = |result: Result<&u64, &BoxError>| match result {
        Ok(429) => Outcome::throttled(SECOND * 3),
        _ => Outcome::Success,
    };
    let stack = Stack::builder()
        .retry(retries(2).backoff(Backoff::none()))
        .classify(classifier)
        .rate_limit(RateLimiter::builder().quota(Quota::per_second(1_000)))
        .circuit_breaker(CircuitBreaker::builder().consecutive_failures(2))
        .build()
        .unwrap();
    let script = Script::new(|_, _: u64| Reply::<u64, BoxError>::ok(429));
    let start = clock::now();
    let service = ServiceBuilder::new().layer(stack.clone()).service(script.clone());
    assert_eq!(service.clone().oneshot(1).await.unwrap(), 429);
    let waits: Vec<_> = script.arrivals().iter().map(|&at| at - start).collect();
    assert_eq!(waits.len(), 2, "retried");
    assert!(waits[1] >= SECOND * 3 && waits[1] < SECOND * 4, "{waits:?}");
    assert!(stack.rate_limit().unwrap().snapshot().paused_for.is_some(), "paused");
    tokio::time::sleep(SECOND * 4).await;
    let refused = service.oneshot(1).await.unwrap_err();
    assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::CircuitOpen, "counted");
}

/// Parts stand where they belong whatever the order in which they are named.
#[tokio::test(start_paused = true)]
async fn the_order_of_the_setters_is_of_no_matter() {
    let breaker = || CircuitBreaker::builder().consecutive_failures(1);
    let forwards =
        Stack::builder().deadline(SECOND * 5).retry(retries(2)).circuit_breaker(breaker()).build();
    let backwards =
        Stack::builder().circuit_breaker(breaker()).retry(retries(2)).deadline(SECOND * 5).build();
    let (forwards, backwards) = (forwards.unwrap(), backwards.unwrap());
    fn same<T>(_: &T, _: &T) {}
    same(&forwards, &backwards);
    assert_eq!(forwards.plan(), backwards.plan());
}

/// Names and listeners of a part's own are kept.
#[tokio::test(start_paused = true)]
async fn parts_are_named_after_the_stack_unless_they_have_a_name() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let listener = |told: &Arc<Mutex<Vec<String>>>, who: &'static str| {
        let told = told.clone();
        move |event: &Event<'_>| {
            if let Event::Rejected(rejection) = event {
                told.lock().push(format!("{who}: {}", rejection.layer()));
            }
        }
    };
    let stack = Stack::builder()
        .bulkhead(Bulkhead::builder().name("mine").max_concurrent(1).listen(listener(&told, "own")))
        .name("odds")
        .listen(listener(&told, "stack"))
        .attempt_timeout(SECOND)
        .rate_limit(RateLimiter::builder().quota(Quota::per(1, SECOND * 60)).reject())
        .build()
        .unwrap();
    let script = Script::new(|_, _: u64| Reply::<u64, BoxError>::never());
    let service = ServiceBuilder::new().layer(stack).service(script);
    let (first, second) = tokio::join!(service.clone().oneshot(1), service.clone().oneshot(2));
    let refused = service.oneshot(3).await;
    let names = [first, second, refused]
        .map(|result| result.unwrap_err().rejection().unwrap().layer().to_owned());
    assert_eq!(names, ["odds.attempt_timeout", "mine", "odds.rate_limit"]);
    assert_eq!(
        *told.lock(),
        ["own: mine", "stack: odds.attempt_timeout", "stack: odds.rate_limit"]
    );
}
