//! Faults that were measured on the closest peer, tower-resilience, and that this crate does
//! not have.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::thread;

use crate::{SECOND, breaker, builder, fail};
use parking_lot::Mutex;
use resilience_core::breaker::{
    AbandonedPolicy, CircuitBreaker, CircuitBreakerLayer, CircuitState, ProbeRule, SlidingWindow,
};
use resilience_core::keyed::Entry;
use resilience_core::observe::Event;
use resilience_core::testing::{Reply, Script};
use resilience_core::timeout::TimeoutLayer;
use resilience_core::{Outcome, RejectionKind};
use tower::{BoxError, Service, ServiceBuilder};

/// The window of calls forgets. Theirs needs as many failures as there ever were successes.
#[test]
fn an_old_good_day_does_not_outvote_a_bad_minute() {
    let window = SlidingWindow::count(100);
    let breaker = CircuitBreaker::builder().failure_rate(0.5, window).build().unwrap();
    for _ in 0..100_000 {
        breaker.try_admit().unwrap().success();
    }
    fail(&breaker, 49);
    assert_eq!(breaker.state(), CircuitState::Closed);
    fail(&breaker, 1);
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// Probes are counted, not windowed. Theirs never leaves half-open.
#[tokio::test(start_paused = true)]
async fn probes_may_be_further_apart_than_the_window_is_long() {
    let breaker = CircuitBreaker::builder()
        .failure_rate(0.5, SlidingWindow::time(SECOND))
        .probes(3)
        .probes_succeed_by(ProbeRule::InARow(3))
        .build()
        .unwrap();
    breaker.open();
    for _ in 0..3 {
        tokio::time::advance(SECOND * 60).await;
        assert_eq!(breaker.state(), CircuitState::HalfOpen);
        breaker.try_admit().unwrap().success();
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// A result belongs to the state in which its call was admitted.
#[tokio::test(start_paused = true)]
async fn a_call_from_before_the_outage_closes_nothing() {
    let breaker = breaker();
    let early: Vec<_> = (0..3).map(|_| breaker.try_admit().unwrap()).collect();
    fail(&breaker, 2);
    tokio::time::advance(SECOND * 5).await;
    let probe = breaker.try_admit().unwrap();
    for (call, outcome) in
        early.into_iter().zip([Outcome::Success, Outcome::transient(), Outcome::Abandoned])
    {
        call.outcome(outcome);
        assert_eq!(breaker.state(), CircuitState::HalfOpen, "{outcome:?}");
        assert!(breaker.try_admit().is_err(), "the probe's place is the probe's");
    }
    assert_eq!(breaker.snapshot().stale, 3);
    probe.success();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// A timeout below is a result. A timeout above drops the call, and a policy decides the
/// outcome of that.
#[tokio::test(start_paused = true)]
async fn an_upstream_that_hangs_opens_the_circuit() {
    let hangs = || Script::new(|_, _: u64| Reply::<u64, BoxError>::never());
    let timeout = || TimeoutLayer::new(SECOND).unwrap();
    let outside = builder().abandoned(AbandonedPolicy::Failure).build().unwrap();
    let (inside, outside) =
        (CircuitBreakerLayer::new(breaker()), CircuitBreakerLayer::new(outside));
    let below = ServiceBuilder::new().layer(inside).layer(timeout()).service(hangs());
    let above = ServiceBuilder::new().layer(timeout()).layer(outside).service(hangs());
    for _ in 0..2 {
        let kind = |error: BoxError| {
            use resilience_core::CarriesRejection;
            error.rejection().unwrap().kind()
        };
        assert_eq!(kind(below.clone().oneshot(1).await.unwrap_err()), RejectionKind::TimedOut);
        assert_eq!(kind(above.clone().oneshot(1).await.unwrap_err()), RejectionKind::TimedOut);
    }
    assert!(below.oneshot(1).await.unwrap_err().to_string().contains("circuit open"));
    assert!(above.oneshot(1).await.unwrap_err().to_string().contains("circuit open"));
}

/// A probe that hangs is given up on.
#[tokio::test(start_paused = true)]
async fn a_hung_probe_blocks_for_a_while_and_not_for_ever() {
    let breaker = builder().max_half_open(SECOND * 20).build().unwrap();
    fail(&breaker, 2);
    tokio::time::advance(SECOND * 5).await;
    let hung = breaker.try_admit().unwrap();
    tokio::time::advance(SECOND * 19).await;
    assert!(breaker.try_admit().is_err());
    tokio::time::advance(SECOND).await;
    assert_eq!(breaker.state(), CircuitState::Open);
    tokio::time::advance(SECOND * 5).await;
    breaker.try_admit().unwrap().success();
    assert_eq!(breaker.state(), CircuitState::Closed);
    drop(hung);
}

/// A rejection is there at the first poll, however many calls there are, and without a runtime.
#[test]
fn a_rejection_never_waits() {
    let breaker = breaker();
    breaker.force_open();
    let layer = CircuitBreakerLayer::new(breaker.clone());
    let service = ServiceBuilder::new()
        .layer(layer)
        .service(Script::new(|_, request: u64| Reply::<u64, BoxError>::ok(request)));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut service = service.clone();
                for request in 0..5_000 {
                    let call = pin!(Service::call(&mut service, request));
                    let polled = call.poll(&mut Context::from_waker(Waker::noop()));
                    assert!(matches!(polled, Poll::Ready(Err(_))));
                }
            });
        }
    });
    assert_eq!(breaker.snapshot().not_permitted, 40_000);
}

/// The memory of a breaker does not grow with the traffic.
#[test]
fn memory_does_not_depend_on_the_traffic() {
    let breaker = CircuitBreaker::builder()
        .failure_rate(0.5, SlidingWindow::time(SECOND * 3_600))
        .failure_rate(0.5, SlidingWindow::count(1_000))
        .build()
        .unwrap();
    let mut sizes = Vec::new();
    for calls in [1_000, 100_000] {
        for _ in 0..calls {
            breaker.try_admit().unwrap().success();
        }
        sizes.push(breaker.heap_bytes());
    }
    assert_eq!(sizes[0], sizes[1]);
    assert!(sizes[0] < 1_200, "{}", sizes[0]);
}

/// Slow probes do not close what slow calls opened.
#[tokio::test(start_paused = true)]
async fn a_slow_probe_has_failed() {
    let breaker = CircuitBreaker::builder()
        .slow_calls(SECOND, 0.5, SlidingWindow::count(10))
        .minimum_calls(2)
        .break_for(SECOND * 5)
        .break_jitter(0.0)
        .probes(1)
        .build()
        .unwrap();
    let slow_call = async || {
        let call = breaker.try_admit().unwrap();
        tokio::time::advance(SECOND).await;
        call.success();
    };
    slow_call().await;
    slow_call().await;
    assert_eq!(breaker.state(), CircuitState::Open);
    tokio::time::advance(SECOND * 5).await;
    slow_call().await;
    assert_eq!(breaker.state(), CircuitState::Open);
    tokio::time::advance(SECOND * 5).await;
    breaker.try_admit().unwrap().success();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// The end of a break is seen without a call, and on a clock that a test moves.
#[tokio::test(start_paused = true)]
async fn a_break_ends_without_a_call() {
    let breaker = breaker();
    fail(&breaker, 2);
    assert_eq!(breaker.state(), CircuitState::Open);
    tokio::time::advance(SECOND * 5).await;
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
}

/// Each event has the former state, so that a gauge of it can be reset.
#[tokio::test(start_paused = true)]
async fn events_have_the_former_state() {
    let seen = Arc::new(Mutex::new(vec![CircuitState::Closed]));
    let sink = seen.clone();
    let listener = move |event: &Event<'_>| {
        if let Event::CircuitChanged { from, to, .. } = event {
            assert_eq!(sink.lock().last(), Some(from));
            sink.lock().push(*to);
        }
    };
    let breaker = builder().listen(listener).build().unwrap();
    fail(&breaker, 2);
    tokio::time::advance(SECOND * 5).await;
    fail(&breaker, 1);
    tokio::time::advance(SECOND * 5).await;
    breaker.try_admit().unwrap().success();
    use CircuitState::{Closed, HalfOpen, Open};
    assert_eq!(*seen.lock(), [Closed, Open, HalfOpen, Open, HalfOpen, Closed]);
}

/// A listener runs outside of the lock: it may use the breaker, and blocks only its caller.
#[test]
fn a_listener_may_use_the_breaker() {
    let own: Arc<Mutex<Option<CircuitBreaker>>> = Arc::default();
    let inside = own.clone();
    let states = Arc::new(Mutex::new(Vec::new()));
    let sink = states.clone();
    let listener = move |_: &Event<'_>| {
        let breaker = inside.lock().clone();
        if let Some(breaker) = breaker {
            // From another thread, too: nothing that this thread holds keeps it out.
            thread::scope(|scope| {
                scope.spawn(|| sink.lock().push((breaker.state(), breaker.try_admit().is_ok())));
            });
        }
    };
    let breaker =
        CircuitBreaker::builder().consecutive_failures(1).listen(listener).build().unwrap();
    fail(&breaker, 1);
    *own.lock() = Some(breaker.clone());
    breaker.force_closed();
    breaker.disable();
    assert_eq!(
        *states.lock(),
        [(CircuitState::ForcedClosed, true), (CircuitState::Disabled, true)]
    );
    // A cycle of handles, put out.
    own.lock().take();
}
