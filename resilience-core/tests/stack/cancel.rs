//! Dropped after any poll, a call leaves nothing behind.

use std::pin::Pin;
use std::task::{Context, Waker};

use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::testing::{Reply, Script, ServiceProbe};
use tower::{Layer, Service};

use crate::{MS, SECOND, down};

/// Polls a call `polls` times, a millisecond apart, and drops it, while the circuit is
/// half-open. Returns `true` if the call had ended.
async fn drop_after(polls: usize) -> bool {
    let day = SECOND * 86_400;
    let budget = RetryBudget::builder().ratio(0.1).reserve(20).window(day).build();
    let stack = Stack::builder()
        .deadline(SECOND * 10)
        .bulkhead(Bulkhead::builder().max_concurrent(1).wait())
        .retry(RetryPolicy::builder().backoff(Backoff::constant(MS * 5)).budget(budget))
        .rate_limit(RateLimiter::builder().quota(Quota::per(50, day)).wait().min_gap(MS * 3))
        .circuit_breaker(
            CircuitBreaker::builder()
                .consecutive_failures(9)
                .break_for(MS)
                .break_jitter(0.0)
                .probes(9),
        )
        .attempt_timeout(SECOND)
        .build()
        .unwrap();
    let (probe, log) = ServiceProbe::new(Script::new(|call, request: u64| {
        let reply = if call < 2 { Reply::err(down()) } else { Reply::ok(request) };
        reply.after(MS * 3).yielding(2)
    }));
    let breaker = stack.circuit_breaker().unwrap();
    breaker.open();
    tokio::time::advance(MS * 2).await;
    // Somebody is at the front of the line for the first polls.
    let first = stack.bulkhead().unwrap().try_acquire_owned(1).unwrap();
    let gap = stack.rate_limit().unwrap().try_acquire(1).unwrap();

    let mut service = stack.layer(probe);
    std::future::poll_fn(|cx| Service::poll_ready(&mut service, cx)).await.unwrap();
    let mut call: Pin<Box<_>> = Box::pin(Service::call(&mut service, 1));
    let (mut ended, mut first) = (false, Some(first));
    for poll in 0..polls {
        ended = call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if ended {
            break;
        }
        if poll == 1 {
            first = None;
        }
        tokio::time::advance(MS).await;
    }
    drop(call);
    drop((first, gap, service));

    assert_eq!((log.in_flight(), log.engaged(), log.called_unready()), (0, 0, 0), "{polls} polls");
    let sent = u32::try_from(log.calls()).unwrap();
    // Nothing is available in a gap.
    tokio::time::advance(MS * 3).await;
    let now = stack.snapshot();
    let bulkhead = now.bulkhead.unwrap();
    assert_eq!((bulkhead.in_use, bulkhead.queued), (0, 0), "{polls} polls");
    let rate = now.rate_limit.unwrap();
    assert_eq!((rate.available, rate.queued), (49 - sent, 0), "{polls} polls, {sent} sent");
    let circuit = now.circuit_breaker.unwrap();
    assert_eq!(circuit.probes, 0, "{polls} polls");
    assert!(matches!(
        circuit.state,
        CircuitState::HalfOpen | CircuitState::Open | CircuitState::Closed
    ));
    let expected = if polls == 0 { 20.0 } else { 20.1 } - f64::from(sent.saturating_sub(1));
    let left = stack.budget().unwrap().available(clock::now());
    let deposited = (left - expected).abs() < 1e-9;
    // The retry begins only after the bulkhead, and with it the deposit.
    let waiting = sent == 0 && (left - 20.0).abs() < 1e-9;
    assert!(deposited || waiting, "{polls} polls, {sent} sent: {left}, not {expected}");
    ended
}

#[tokio::test(start_paused = true)]
async fn dropped_at_every_poll() {
    let mut polls = 0;
    while !drop_after(polls).await {
        polls += 1;
        assert!(polls < 10_000, "it never ends");
    }
    assert!(polls >= 20, "it ended after {polls} polls: too little was tried");
}

/// Once lost: behind a breaker, which is always ready, the token, and the retry's price, counted as
/// spent before the service itself had taken anything.
#[tokio::test(start_paused = true)]
async fn a_retry_dropped_before_a_service_that_is_not_ready_costs_nothing() {
    let day = SECOND * 86_400;
    let stack = Stack::builder()
        .retry(
            RetryPolicy::builder()
                .backoff(Backoff::none())
                .budget(RetryBudget::builder().ratio(0.0).reserve(5).window(day).build()),
        )
        .rate_limit(RateLimiter::builder().quota(Quota::per(50, day)).wait())
        .circuit_breaker(CircuitBreaker::builder())
        .build()
        .unwrap();
    let (probe, log) =
        ServiceProbe::new(Script::new(|_, _: u64| Reply::<u64, _>::err(down()).yielding(1)));
    let mut service = stack.layer(probe);
    let mut call = Box::pin(Service::call(&mut service, 1));
    let mut poll = || call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending());
    log.close();
    assert!(poll().is_pending(), "the first attempt failed, the second is in front of the service");
    assert_eq!(stack.rate_limit().unwrap().snapshot().available, 48);
    drop(call);
    assert_eq!(log.calls(), 1);
    assert_eq!(stack.rate_limit().unwrap().snapshot().available, 49);
    assert_eq!(stack.budget().unwrap().available(clock::now()), 5.0);
}
