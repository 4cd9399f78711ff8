//! One value for many services; its size; no rejection for want of a yield.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use resilience_core::Rejection;
use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use resilience_core::keyed::KeyedLimits;
use resilience_core::profiles::Profiles;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::{RetryBudget, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::testing::{Ready, Reply, Script};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};

use crate::{SECOND, down};

macro_rules! whole {
    () => {
        Stack::standard("all")
            .rate_limit(RateLimiter::builder().quota(Quota::per_second(1_000_000)))
    };
}

/// A caller may call an open circuit in a loop: the retry above keeps no state for a rejection.
#[test]
fn a_call_that_an_open_circuit_rejects_allocates_nothing() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    let stack = whole!().circuit_breaker(breaker.clone()).build().unwrap();
    let service = stack.layer(service_fn(|n: u64| std::future::ready(Ok::<_, Rejection>(n))));
    let reject = || {
        let call = pin!(service.clone().call(1));
        let polled = call.poll(&mut Context::from_waker(Waker::noop()));
        assert!(matches!(polled, Poll::Ready(Err(_))), "{polled:?}");
    };
    breaker.force_open();
    reject();
    assert_eq!(allocation_counter::measure(reject).count_total, 0);
}

/// A stack is built without a runtime. Its future is moved whenever a task is, so it is small.
#[test]
fn the_whole_stack_is_small_and_can_be_sent() {
    fn movable<L: Layer<Ready<BoxError>> + Send + Sync + 'static>(_: &L) -> usize
    where
        L::Service: Service<u64> + Clone + Send + Sync + 'static,
        <L::Service as Service<u64>>::Future: Send + 'static,
    {
        size_of::<<L::Service as Service<u64>>::Future>()
    }
    let stack = whole!().build().unwrap();
    let profile = Profiles::standard().unwrap().profile("scraper.odds").unwrap().layer();
    let (stacked, profiled) = (movable(&stack), movable(&profile));
    println!("a call: {stacked} bytes in a stack, {profiled} in a profile");
    assert_eq!(stacked, stack.bytes_per_call::<Ready<BoxError>, u64>());
    assert!(stacked <= 1_024, "{stacked}");
    assert!(profiled <= 1_024, "{profiled}");
    let none = movable(&Stack::builder().build().unwrap());
    assert!(none <= 300, "a call of a stack without parts: {none}");
}

/// Tokio's share of the executor is not a limit of ours.
#[tokio::test]
async fn a_thousand_calls_without_a_yield() {
    let stack = whole!().bulkhead(Bulkhead::builder().max_concurrent(2)).build().unwrap();
    let service = ServiceBuilder::new().layer(stack.clone()).service(Ready::<BoxError>::new());
    for n in 0..1_000 {
        assert_eq!(service.clone().oneshot(n).await.unwrap(), n);
    }
    let snapshot = stack.snapshot();
    assert_eq!(snapshot.bulkhead.unwrap().rejected, 0);
    assert_eq!(snapshot.rate_limit.unwrap().rejected, 0);
}

#[tokio::test(start_paused = true)]
async fn applied_many_times_it_is_one_stack() {
    let stack = Stack::builder()
        .retry(RetryPolicy::builder().budget(RetryBudget::builder().ratio(0.0).reserve(3).build()))
        .rate_limit(RateLimiter::builder().quota(Quota::per(100, SECOND * 3_600)).reject())
        .circuit_breaker(CircuitBreaker::builder().consecutive_failures(5))
        .build()
        .unwrap();
    for _ in 0..3 {
        let script = Script::new(|_, _: u64| Reply::<u64, BoxError>::err(down()));
        let service = ServiceBuilder::new().layer(stack.clone()).service(script);
        service.oneshot(1).await.unwrap_err();
    }
    let snapshot = stack.snapshot();
    // Three attempts, then the fourth and, the budget's last retry, the fifth.
    assert_eq!(snapshot.rate_limit.unwrap().available, 95);
    assert_eq!(snapshot.budget, Some(0.0));
    assert_eq!(stack.circuit_breaker().unwrap().state(), CircuitState::Open);
}

/// Each handle is of what the calls use.
#[tokio::test(start_paused = true)]
async fn every_handle_of_a_stack_shows_its_calls() {
    let stack = Stack::builder()
        .bulkhead(Bulkhead::builder())
        .retry(RetryPolicy::builder().max_attempts(2))
        .rate_limit(RateLimiter::builder().quota(Quota::per(100, SECOND * 3_600)).reject())
        .circuit_breaker(CircuitBreaker::builder().consecutive_failures(2))
        .build()
        .unwrap();
    let show = || {
        let now = clock::now();
        let left = stack.budget().unwrap().available(now);
        assert_eq!(stack.retry().unwrap().budget().unwrap().available(now), left);
        let in_use = stack.bulkhead().unwrap().snapshot().in_use;
        let tokens = stack.rate_limit().unwrap().snapshot().available;
        let state = stack.circuit_breaker().unwrap().state();
        let all = stack.snapshot();
        assert_eq!((all.bulkhead.unwrap().in_use, all.budget), (in_use, Some(left)));
        assert_eq!(all.rate_limit.unwrap().available, tokens);
        assert_eq!(all.circuit_breaker.unwrap().state, state);
        (in_use, left, tokens, state)
    };
    assert_eq!(show(), (0, 10.0, 100, CircuitState::Closed));
    let service =
        ServiceBuilder::new().layer(stack.clone()).service(service_fn(async |waits: bool| {
            if waits { std::future::pending().await } else { Err::<u64, BoxError>(down()) }
        }));
    tokio::spawn(service.clone().oneshot(true));
    tokio::task::yield_now().await;
    service.oneshot(false).await.unwrap_err();
    let (in_use, left, tokens, state) = show();
    assert_eq!((in_use, tokens, state), (1, 97, CircuitState::Open));
    assert!(left < 10.0, "{left}");
}

/// A handle given to two stacks is one.
#[tokio::test(start_paused = true)]
async fn stacks_can_have_a_part_in_common() {
    let limiter = RateLimiter::builder().quota(Quota::per(10, SECOND * 3_600)).build().unwrap();
    for _ in 0..2 {
        let stack = Stack::builder().rate_limit(limiter.clone()).build().unwrap();
        ServiceBuilder::new()
            .layer(stack)
            .service(Ready::<BoxError>::new())
            .oneshot(1)
            .await
            .unwrap();
    }
    assert_eq!(limiter.snapshot().available, 8);
}

/// A limit for each key, and the rest for all.
#[tokio::test(start_paused = true)]
async fn parts_can_be_one_for_each_key() {
    let shard = |request: &u64| request % 2;
    let stack = Stack::builder()
        .bulkhead_per_key(Bulkhead::builder().max_concurrent(9), KeyedLimits::default(), shard)
        .rate_limit_per_key(
            RateLimiter::builder().quota(Quota::per(2, SECOND * 3_600)).reject(),
            KeyedLimits::default(),
            shard,
        )
        .circuit_breaker_per_key(
            CircuitBreaker::builder().consecutive_failures(1),
            KeyedLimits::default(),
            shard,
        )
        .build()
        .unwrap();
    let service = service_fn(
        async |request: u64| {
            if request == 3 { Err(down()) } else { Ok::<u64, BoxError>(request) }
        },
    );
    let service = ServiceBuilder::new().layer(stack.clone()).service(service);
    service.clone().oneshot(3).await.unwrap_err();
    let refused = service.clone().oneshot(1).await.unwrap_err().to_string();
    assert!(refused.starts_with("circuit breaker: circuit open for `1`"), "{refused}");
    service.clone().oneshot(2).await.unwrap();
    service.clone().oneshot(4).await.unwrap();
    let refused = service.oneshot(6).await.unwrap_err().to_string();
    assert!(refused.starts_with("rate: rate limited for `0`"), "{refused}");
    assert_eq!(stack.circuit_breaker_layer().selector().store().len(), 2);
    // No call uses what those of the keys are made from.
    assert!(stack.bulkhead().is_none());
    assert!(stack.rate_limit().is_none());
    assert!(stack.circuit_breaker().is_none());
    let shown = stack.snapshot();
    assert!(
        shown.bulkhead.is_none() && shown.rate_limit.is_none() && shown.circuit_breaker.is_none()
    );
    let (circuits, now) = (stack.circuit_breaker_layer(), clock::now());
    assert_eq!(circuits.selector().store().get(&1, now).state(), CircuitState::Open);
    let limits = stack.rate_limit_layer().selector().store();
    assert_eq!(limits.get(&0, now).snapshot().available, 0);
    // A change through any of them reaches all.
    let permits = stack.bulkhead_layer().selector().store();
    permits.get(&0, now).resize(3);
    assert_eq!(permits.get(&1, now).snapshot().limit, 3);
    // Planned with them all the same.
    assert_eq!(stack.plan().max_in_flight, Some(9));
}

/// A request that cannot be cloned, with an error that names the bound.
#[tokio::test(start_paused = true)]
async fn requests_are_copied_by_the_given_replay() {
    struct Request(u64);
    let stack = Stack::standard("copies")
        .replay(|request: &Request| (request.0 == 1).then_some(Request(1)))
        .build()
        .unwrap();
    for (request, calls) in [(1, 3), (2, 1)] {
        let script = Script::new(|_, _: Request| Reply::<u64, BoxError>::err(down()));
        let service = ServiceBuilder::new().layer(stack.clone()).service(script.clone());
        service.oneshot(Request(request)).await.unwrap_err();
        assert_eq!(script.arrivals().len(), calls);
    }
}
