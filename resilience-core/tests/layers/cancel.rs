//! Dropping a call after k polls, for every k, returns everything that the call held.

use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::every::{LATE_BINDING, LAYERS, RESERVE, budget, layered, reset};
use resilience_core::clock;
use resilience_core::testing::{Reply, Script, ServiceProbe};
use tower::Service;

/// Polls a call `polls` times, a millisecond apart, and drops it. Says whether it had ended.
async fn drop_after(polls: usize, name: &str) -> bool {
    let budget = budget();
    let (probe, log) = ServiceProbe::new(Script::new(|call, request| {
        let reply = if call < 2 { Reply::err(reset()) } else { Reply::ok(request) };
        reply.after(Duration::from_millis(3)).yielding(2)
    }));
    let mut service = layered(name, &budget, probe);
    let ready = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
    ready.unwrap();

    let mut call: Pin<Box<_>> = Box::pin(service.call(1));
    let mut ended = false;
    for _ in 0..polls {
        ended = call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
        if ended {
            break;
        }
        tokio::time::advance(Duration::from_millis(1)).await;
    }
    drop(call);
    drop(service);

    assert_eq!((log.in_flight(), log.engaged()), (0, 0), "{name} after {polls} polls");
    assert_eq!(log.called_unready(), 0, "{name} after {polls} polls");
    let deposit = if LATE_BINDING.contains(&name) { 0.1 } else { 0.0 };
    let retries = f64::from(u32::try_from(log.calls().saturating_sub(1)).unwrap());
    let expected = f64::from(RESERVE) + deposit - retries;
    let left = budget.available(clock::now());
    assert!((left - expected).abs() < 1e-9, "{name} after {polls} polls: {left}, not {expected}");
    ended
}

#[tokio::test(start_paused = true)]
async fn every_layer_dropped_at_every_poll() {
    for name in LAYERS {
        let mut polls = 0;
        while !drop_after(polls, name).await {
            polls += 1;
            assert!(polls < 10_000, "{name} never ends");
        }
        assert!(polls >= 3, "{name} ended after {polls} polls: nothing was tried");
    }
}
