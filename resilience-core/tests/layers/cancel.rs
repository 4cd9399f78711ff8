//! Dropping a call after k polls, for every k, returns everything that the call held.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::every::{BREAK, LAYERS, RESERVE, Rig, TIGHT, budget, has_retry, reset};
use resilience_core::breaker::CircuitState;
use resilience_core::clock;
use resilience_core::testing::{Reply, Script, ServiceProbe};
use tower::Service;

/// Polls a call `polls` times, a millisecond apart, and drops it. For the first polls another
/// call is in front of it at the bulkhead and at the rate limit. Returns `true` if the call had
/// ended.
async fn drop_after(polls: usize, name: &str, half_open: bool) -> bool {
    let what = &format!("{name} after {polls} polls, half-open: {half_open}");
    let rig = Rig::new(name, &budget(), TIGHT);
    let (probe, log) = ServiceProbe::new(Script::new(|call, request| {
        let reply = if call < 2 { Reply::err(reset()) } else { Reply::ok(request) };
        reply.after(Duration::from_millis(3)).yielding(2)
    }));
    if half_open && let Some(breaker) = rig.breaker() {
        breaker.open();
        tokio::time::advance(BREAK + Duration::from_millis(2)).await;
        assert_eq!(breaker.state(), CircuitState::HalfOpen, "{what}");
    }
    let mut first = rig.bulkhead().map(|bulkhead| bulkhead.try_acquire_owned(1).unwrap());
    let gap = rig.limiter().map(|limiter| limiter.try_acquire(1).unwrap());

    let mut service = rig.layer(probe);
    std::future::poll_fn(|cx| service.poll_ready(cx)).await.unwrap();
    let mut call: Pin<Box<_>> = Box::pin(service.call(1));
    let mut ended = false;
    for poll in 0..polls {
        ended = call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if ended {
            break;
        }
        if poll == 1 {
            first = None;
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    drop(call);
    drop((service, first, gap));

    assert_eq!((log.in_flight(), log.engaged()), (0, 0), "{what}");
    assert_eq!(log.called_unready(), 0, "{what}");
    rig.assert_at_rest(what);
    // Nothing is available in a gap.
    tokio::time::advance(TIGHT.min_gap).await;
    if let Some(limiter) = rig.limiter().map(|limiter| limiter.snapshot()) {
        // Its own attempts, and that of who was in front.
        let sent = log.calls() + 1;
        assert_eq!(limiter.admitted, sent as u64, "{what}");
        assert_eq!(limiter.available as usize, 10_000 - sent, "{what}");
    }
    if let Some(breaker) = rig.breaker().filter(|_| half_open && log.calls() == 0) {
        // Of a call that was never made nothing is left: all places of probes are free.
        let probes: Vec<_> = (0..TIGHT.failures).map(|_| breaker.try_admit()).collect();
        assert!(probes.iter().all(Result::is_ok), "{what}");
        assert!(breaker.try_admit().is_err(), "{what}");
    }
    let retries = f64::from(u32::try_from(log.calls().saturating_sub(1)).unwrap());
    let left = rig.budget().available(clock::now());
    let deposit = left - (f64::from(RESERVE) - retries);
    // Only a retrying layer deposits, at the first poll, once the bulkhead has let the call go on
    // to it.
    let entered = has_retry(name) && polls > if rig.bulkhead().is_some() { 2 } else { 0 };
    let expected = if entered { 0.1 } else { 0.0 };
    assert!((deposit - expected).abs() < 1e-9, "{what}: {left}");
    ended
}

async fn at_every_poll(half_open: bool) {
    for name in LAYERS {
        let mut polls = 0;
        while !drop_after(polls, name, half_open).await {
            polls += 1;
            assert!(polls < 10_000, "{name} never ends");
        }
        assert!(polls >= 3, "{name} ended after {polls} polls: nothing was tried");
    }
}

#[tokio::test(start_paused = true)]
async fn every_layer_dropped_at_every_poll() {
    at_every_poll(false).await;
}

#[tokio::test(start_paused = true)]
async fn every_layer_dropped_at_every_poll_of_a_probe() {
    at_every_poll(true).await;
}
