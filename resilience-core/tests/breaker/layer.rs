//! The Tower layer: readiness, callers that leave, panics, keys.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::{SECOND, breaker, builder, fail, reset};
use parking_lot::Mutex;
use resilience_core::breaker::{CircuitBreakerLayer, CircuitState};
use resilience_core::keyed::KeyedLimits;
use resilience_core::observe::Event;
use resilience_core::testing::{Ready, Reply, Script, ServiceProbe};
use resilience_core::{AnyError, CarriesRejection, Outcome};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};

fn poll<F: Future>(call: &mut Pin<Box<F>>) -> Poll<F::Output> {
    call.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// A layer value that is applied several times, as by a router to each of its routes.
#[tokio::test(start_paused = true)]
async fn one_layer_value_is_one_circuit() {
    let layer = CircuitBreakerLayer::new(breaker());
    let fails = || service_fn(async |_: u64| Err::<u64, _>(reset()));
    for request in 0..2 {
        layer.layer(fails()).oneshot(request).await.unwrap_err();
    }
    let error = layer.clone().layer(fails()).oneshot(2).await.unwrap_err();
    assert!(error.rejection().is_some());
}

/// Dropped after every number of polls, a probe is given back, and the next caller is the probe.
#[tokio::test(start_paused = true)]
async fn a_probe_that_is_dropped_at_any_poll_is_given_back() {
    for polls in 0..20 {
        let breaker = breaker();
        fail(&breaker, 2);
        tokio::time::advance(SECOND * 5).await;
        let (probe, log) = ServiceProbe::new(Script::new(|_, request: u64| {
            Reply::<_, BoxError>::ok(request).after(Duration::from_millis(3)).yielding(2)
        }));
        let mut service = CircuitBreakerLayer::new(breaker.clone()).layer(probe);
        let mut call = Box::pin(Service::call(&mut service, 1));
        let mut ended = false;
        for _ in 0..polls {
            ended = ended || poll(&mut call).is_ready();
            tokio::time::advance(Duration::from_millis(1)).await;
        }
        if ended {
            // Before it is dropped: what it held is free when the answer is.
            assert_eq!(breaker.state(), CircuitState::Closed, "{polls} polls");
        }
        assert!(poll(&mut call).is_pending() || !ended);
        drop(call);
        assert_eq!(breaker.snapshot().probes, 0, "{polls} polls");
        assert!(breaker.try_admit().is_ok(), "{polls} polls");
        assert_eq!((log.in_flight(), log.called_unready()), (0, 0));
    }
}

/// A refusal does not wait for a service that will not be called.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_rejects_though_the_service_below_is_not_ready() {
    let breaker = breaker();
    let (probe, log) =
        ServiceProbe::new(Script::new(|_, request: u64| Reply::<_, BoxError>::ok(request)));
    log.close();
    let mut service = CircuitBreakerLayer::new(breaker.clone()).layer(probe);
    let mut early = Box::pin(Service::call(&mut service, 1));
    assert!(poll(&mut early).is_pending());
    fail(&breaker, 2);
    let mut late = Box::pin(Service::call(&mut service, 2));
    assert!(matches!(poll(&mut late), Poll::Ready(Err(_))));
    // Nor is one sent that waited since before it opened: what passes is decided last.
    log.open();
    assert!(matches!(poll(&mut early), Poll::Ready(Err(_))));
    assert_eq!(log.calls(), 0);
}

/// A call that waits for the service below is no probe yet.
#[tokio::test(start_paused = true)]
async fn a_probe_is_taken_when_the_service_below_is_ready() {
    let breaker = breaker();
    breaker.open();
    breaker.half_open().unwrap();
    let (probe, log) =
        ServiceProbe::new(Script::new(|_, request: u64| Reply::<_, BoxError>::ok(request)));
    log.close();
    let mut service = CircuitBreakerLayer::new(breaker.clone()).layer(probe);
    let mut waiting = Box::pin(Service::call(&mut service, 1));
    assert!(poll(&mut waiting).is_pending());
    assert_eq!(breaker.snapshot().probes, 0);
    log.open();
    assert!(poll(&mut waiting).is_ready());
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[derive(Clone)]
struct NeverReady;

impl Service<u64> for NeverReady {
    type Response = u64;
    type Error = BoxError;
    type Future = std::future::Pending<Result<u64, BoxError>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Err(reset()))
    }
    fn call(&mut self, _: u64) -> Self::Future {
        std::future::pending()
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_cannot_become_ready_has_failed() {
    let breaker = breaker();
    let service = CircuitBreakerLayer::new(breaker.clone()).layer(NeverReady);
    for _ in 0..2 {
        assert!(service.clone().oneshot(1).await.unwrap_err().rejection().is_none());
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_panic_inside_abandons_the_call() {
    let breaker = breaker();
    breaker.open();
    breaker.half_open().unwrap();
    let service = service_fn(async |_: u64| -> Result<u64, BoxError> { panic!("on purpose") });
    let mut service = CircuitBreakerLayer::new(breaker.clone()).layer(service);
    let mut call = Box::pin(Service::call(&mut service, 1));
    assert!(catch_unwind(AssertUnwindSafe(|| poll(&mut call))).is_err());
    drop(call);
    assert_eq!((breaker.state(), breaker.snapshot().probes), (CircuitState::HalfOpen, 0));
    breaker.try_admit().unwrap().success();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn the_classifier_reads_responses_too() {
    let breaker = breaker();
    let layer =
        CircuitBreakerLayer::new(breaker.clone()).classify(|result: Result<&u64, &BoxError>| {
            match result {
                Ok(503) => Outcome::transient(),
                _ => Outcome::Success,
            }
        });
    let service = layer.layer(Ready::<BoxError>::new());
    for _ in 0..2 {
        service.clone().oneshot(503).await.unwrap();
    }
    assert_eq!(breaker.state(), CircuitState::Open);
}

/// Each key has a circuit of its own, and rejections and events name it.
#[tokio::test(start_paused = true)]
async fn a_circuit_for_each_key() {
    let notes = Arc::new(Mutex::new(Vec::new()));
    let sink = notes.clone();
    let breaker = builder()
        .name("shards")
        .listen(move |event: &Event<'_>| {
            if let Event::CircuitChanged { key, to, .. } = event {
                sink.lock().push(format!("{} {to}", key.unwrap_or_default()));
            }
        })
        .build()
        .unwrap();
    let layer =
        CircuitBreakerLayer::per_key(breaker, KeyedLimits::default(), |request: &u64| request % 3)
            .classifier(AnyError);
    let service = ServiceBuilder::new().layer(layer).service(service_fn(async |request: u64| {
        if request.is_multiple_of(3) { Err(reset()) } else { Ok(request) }
    }));
    for request in 0..6 {
        let _ = service.clone().oneshot(request).await;
    }
    let error = service.clone().oneshot(6).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().key(), Some("0"));
    assert_eq!(service.clone().oneshot(7).await.unwrap(), 7);
    assert_eq!(*notes.lock(), ["0 open"]);
}

/// Observing, everything passes, and the state is what it would be.
#[tokio::test(start_paused = true)]
async fn observing_rejects_nothing() {
    let breaker = builder().observe_only().build().unwrap();
    let script = Script::new(
        |call, request: u64| {
            if call < 5 { Reply::err(reset()) } else { Reply::ok(request) }
        },
    );
    let service = CircuitBreakerLayer::new(breaker.clone()).layer(script.clone());
    for request in 0..5 {
        service.clone().oneshot(request).await.unwrap_err();
    }
    assert_eq!((script.arrivals().len(), breaker.state()), (5, CircuitState::Open));
    // What would not have been made is not counted.
    assert_eq!((breaker.snapshot().stale, breaker.snapshot().not_permitted), (0, 3));
    tokio::time::advance(SECOND * 5).await;
    service.oneshot(1).await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Closed);
}

/// Ready and done: silent if it is polled again, and nothing is counted twice.
#[tokio::test(start_paused = true)]
async fn polled_after_the_end() {
    let breaker = breaker();
    let mut service = CircuitBreakerLayer::new(breaker.clone())
        .layer(Script::new(|_, _: u64| Reply::<u64, BoxError>::err(reset())));
    let mut call = Box::pin(Service::call(&mut service, 1));
    assert!(poll(&mut call).is_ready());
    assert!(poll(&mut call).is_pending());
    drop(call);
    assert_eq!(breaker.snapshot().streak, 1);
    breaker.force_open();
    let mut call = Box::pin(Service::call(&mut service, 2));
    assert!(poll(&mut call).is_ready());
    assert!(poll(&mut call).is_pending());
}
