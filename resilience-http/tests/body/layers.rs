//! Permits and circuits that last as long as the body.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use http::{HeaderMap, Request, Response};
use http_body::Body;
use http_body_util::BodyExt;
use parking_lot::Mutex;
use resilience_core::breaker::{AbandonedPolicy, CircuitBreaker, CircuitState};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::select::PerKey;
use resilience_core::{CarriesRejection, Outcome, RejectionKind};
use resilience_http::StatusClassifier;
use resilience_http::body::{BodyBreakerLayer, BodyBulkheadLayer};
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::scripted::{Scripted, Step, trailers};

type TestResponse = Response<Scripted>;

fn response(status: u16, steps: impl IntoIterator<Item = Step>) -> TestResponse {
    Response::builder().status(status).body(Scripted::new(steps)).unwrap()
}

/// A service that is pending once and then responds with `make` for the path.
fn service(
    make: fn(&str) -> Result<TestResponse, BoxError>,
) -> impl Service<Request<()>, Response = TestResponse, Error = BoxError, Future: Send> + Clone + Send
{
    service_fn(move |request: Request<()>| async move {
        tokio::task::yield_now().await;
        make(request.uri().path())
    })
}

fn get(path: &str) -> Request<()> {
    Request::get(path).body(()).unwrap()
}

fn bulkhead(permits: u32) -> Bulkhead {
    Bulkhead::builder().name("host").max_concurrent(permits).build().unwrap()
}

fn breaker() -> CircuitBreaker {
    CircuitBreaker::builder().name("host").consecutive_failures(1).probes(1).build().unwrap()
}

#[tokio::test]
async fn a_permit_is_held_until_the_body_ends() {
    let bulkhead = bulkhead(1);
    let service = BodyBulkheadLayer::new(bulkhead.clone())
        .layer(service(|_| Ok(response(200, [Step::Data("a"), Step::Waits, Step::Data("b")]))));
    let response = service.clone().oneshot(get("/")).await.unwrap();
    let rejected = service.clone().oneshot(get("/")).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::BulkheadFull);

    let mut body = response.into_body();
    while body.frame().await.is_some() {}
    assert_eq!(bulkhead.snapshot().in_use, 0, "at the end, not at the drop");
    let dropped = service.clone().oneshot(get("/")).await.unwrap();
    assert_eq!(bulkhead.snapshot().in_use, 1);
    drop(dropped);
    assert_eq!(bulkhead.snapshot().in_use, 0);
    drop(body);
}

#[tokio::test]
async fn a_permit_is_released_at_an_error() {
    let bulkhead = bulkhead(1);
    let layer = BodyBulkheadLayer::new(bulkhead.clone());
    let failing = layer.layer(service(|_| Err("down".into())));
    assert_eq!(failing.oneshot(get("/")).await.unwrap_err().to_string(), "down");
    assert_eq!(bulkhead.snapshot().in_use, 0);
    let breaking = layer.layer(service(|_| Ok(response(200, [Step::Fails]))));
    let mut body = breaking.oneshot(get("/")).await.unwrap().into_body();
    assert!(body.frame().await.unwrap().is_err());
    assert_eq!(bulkhead.snapshot().in_use, 0);
}

/// A completed future that is not dropped yet, after a success, a failure and a rejection.
#[tokio::test]
async fn a_completed_call_has_released_everything() {
    for (status, permits, good) in [(200, 1, true), (500, 1, false), (200, 0, false)] {
        let held = Arc::new(());
        let kept = held.clone();
        let service = service_fn(move |request: Request<Arc<()>>| {
            let kept = (kept.clone(), request);
            poll_fn(move |_| {
                let _kept = &kept;
                let response = response(status, [Step::Stalls]);
                Poll::Ready(if status == 200 { Ok(response) } else { Err(BoxError::from("down")) })
            })
        });
        let bulkhead = bulkhead(1);
        let _taken = bulkhead.try_acquire_owned(1 - permits).unwrap();
        let mut service = BodyBulkheadLayer::new(bulkhead).layer(service);
        let mut call = Box::pin(service.call(Request::new(held.clone())));
        let at_rest = 2;
        assert!(Arc::strong_count(&held) > at_rest);
        assert_eq!(call.as_mut().await.is_ok(), good, "{status} {permits}");
        assert_eq!(Arc::strong_count(&held), at_rest, "{status} {permits}");
        assert!(poll_once(call.as_mut()).is_pending(), "polled again");
    }
}

/// The head alone would be a success in every row.
#[tokio::test(start_paused = true)]
async fn the_end_of_the_body_decides_the_outcome() {
    let cases: [(&str, Vec<Step>, bool); 4] = [
        ("whole", vec![Step::Data("a")], false),
        ("broken", vec![Step::Data("a"), Step::Fails], true),
        ("trailers", vec![Step::Data("a"), Step::Trailers(trailers())], false),
        ("never read", vec![Step::Data("a"), Step::Stalls], false),
    ];
    for (what, steps, opens) in cases {
        let breaker = breaker();
        let service =
            BodyBreakerLayer::new(breaker.clone()).layer(service_fn(move |_: Request<()>| {
                let steps = steps.clone();
                async move { Ok::<_, BoxError>(response(200, steps)) }
            }));
        let mut body = service.oneshot(get("/")).await.unwrap().into_body();
        assert_eq!(breaker.state(), CircuitState::Closed, "{what}: not yet");
        for _ in 0..3 {
            let _frame =
                poll_fn(|cx| Poll::Ready(Pin::new(&mut body).poll_frame(cx).map(|_| ()))).await;
        }
        drop(body);
        let expected = if opens { CircuitState::Open } else { CircuitState::Closed };
        assert_eq!(breaker.state(), expected, "{what}");
    }
}

#[tokio::test]
async fn a_failed_head_ends_the_call_at_once() {
    for (status, expected) in
        [(200, CircuitState::Closed), (404, CircuitState::Closed), (503, CircuitState::Open)]
    {
        let breaker = breaker();
        let service = BodyBreakerLayer::new(breaker.clone()).layer(service_fn(
            move |_: Request<()>| async move { Ok::<_, BoxError>(response(status, [Step::Stalls])) },
        ));
        let response = service.oneshot(get("/")).await.unwrap();
        assert_eq!(breaker.state(), expected, "{status}");
        assert_eq!(response.body().guard().is_some(), status == 200, "{status}");
    }
}

#[tokio::test]
async fn an_abandoned_body_follows_the_policy() {
    for (policy, expected) in [
        (AbandonedPolicy::Ignore, CircuitState::Closed),
        (AbandonedPolicy::Failure, CircuitState::Open),
    ] {
        let breaker =
            CircuitBreaker::builder().consecutive_failures(1).abandoned(policy).build().unwrap();
        let service = BodyBreakerLayer::new(breaker.clone())
            .layer(service(|_| Ok(response(200, [Step::Data("a"), Step::Stalls]))));
        drop(service.oneshot(get("/")).await.unwrap());
        assert_eq!(breaker.state(), expected);
    }
}

/// Trailers carry the status of a gRPC call.
#[tokio::test]
async fn trailers_can_make_a_failure() {
    let breaker = breaker();
    let by_trailers = |end: Result<&HeaderMap, &BoxError>| match end {
        Ok(trailers) if trailers.contains_key("etag") => Outcome::transient(),
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::transient(),
    };
    let service = BodyBreakerLayer::new(breaker.clone())
        .body_classifier(by_trailers)
        .layer(service(|_| Ok(response(200, [Step::Trailers(trailers())]))));
    let _collected = service.oneshot(get("/")).await.unwrap().into_body().collect().await.unwrap();
    assert_eq!(breaker.state(), CircuitState::Open);
}

#[tokio::test]
async fn an_open_circuit_rejects_while_the_service_is_not_ready() {
    let breaker = breaker();
    breaker.open();
    let never = tower::util::MapRequest::new(Manual::not_ready(), |request: Request<()>| request);
    let service = BodyBreakerLayer::new(breaker).layer(never);
    let rejected = service.oneshot(get("/")).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
}

/// A service with a readiness that the test sets. Its calls never end.
#[derive(Clone)]
struct Manual(Arc<Mutex<Poll<Result<(), &'static str>>>>);

impl Manual {
    fn not_ready() -> Manual {
        Manual(Arc::new(Mutex::new(Poll::Pending)))
    }

    fn becomes(&self, readiness: Result<(), &'static str>) {
        *self.0.lock() = Poll::Ready(readiness);
    }
}

impl Service<Request<()>> for Manual {
    type Response = TestResponse;
    type Error = BoxError;
    type Future = std::future::Pending<Result<TestResponse, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.lock().map_err(BoxError::from)
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        std::future::pending()
    }
}

fn poll_once<F: Future>(call: Pin<&mut F>) -> Poll<F::Output> {
    call.poll(&mut Context::from_waker(Waker::noop()))
}

/// A call that waits for readiness does not block the probe of a half-open circuit.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_not_made_holds_no_probe() {
    let breaker = breaker();
    breaker.open();
    breaker.half_open().unwrap();
    let mut service = BodyBreakerLayer::new(breaker.clone()).layer(Manual::not_ready());
    let mut call = Box::pin(service.call(get("/")));
    for _ in 0..3 {
        assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    }
    let probe = breaker.try_admit().unwrap();
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    drop((probe, call));
}

/// Other calls cannot overtake the waiting one.
#[tokio::test]
async fn a_permit_is_held_also_while_the_service_is_not_ready() {
    let (bulkhead, service_control) = (bulkhead(1), Manual::not_ready());
    let mut service = BodyBulkheadLayer::new(bulkhead.clone()).layer(service_control.clone());
    let mut call = Box::pin(service.call(get("/")));
    for _ in 0..2 {
        assert!(poll_once(call.as_mut()).is_pending());
        assert_eq!(bulkhead.snapshot().in_use, 1);
    }
    service_control.becomes(Err("broken"));
    let Poll::Ready(Err(error)) = poll_once(call.as_mut()) else { panic!("an error") };
    assert_eq!(error.to_string(), "broken");
    assert_eq!(bulkhead.snapshot().in_use, 0);
}

/// The circuit may open while the service is not ready.
#[tokio::test]
async fn a_circuit_is_checked_again_when_the_service_is_ready() {
    let (breaker, service_control) = (breaker(), Manual::not_ready());
    let mut service = BodyBreakerLayer::new(breaker.clone()).layer(service_control.clone());
    let mut call = Box::pin(service.call(get("/")));
    assert!(poll_once(call.as_mut()).is_pending());
    breaker.open();
    service_control.becomes(Ok(()));
    let Poll::Ready(Err(error)) = poll_once(call.as_mut()) else { panic!("an error") };
    assert_eq!(error.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
}

/// The call runs under its permit.
#[tokio::test]
async fn a_call_is_dropped_before_its_permit() {
    struct Looks(Bulkhead, Arc<Mutex<Vec<u32>>>);
    impl Drop for Looks {
        fn drop(&mut self) {
            self.1.lock().push(self.0.snapshot().in_use);
        }
    }
    let (bulkhead, seen) = (bulkhead(1), Arc::<Mutex<Vec<u32>>>::default());
    let layer = BodyBulkheadLayer::new(bulkhead.clone());
    let log = seen.clone();
    let mut service = layer.layer(service_fn(move |_: Request<()>| {
        let looks = Looks(bulkhead.clone(), log.clone());
        async move {
            let _looks = looks;
            std::future::pending::<Result<TestResponse, BoxError>>().await
        }
    }));
    let mut call = Box::pin(service.call(get("/")));
    assert!(poll_once(call.as_mut()).is_pending());
    drop(call);
    assert_eq!(*seen.lock(), [1]);
}

#[tokio::test]
async fn each_key_has_its_own_limit_and_is_in_the_rejection() {
    let by_path = |request: &Request<()>| request.uri().path().to_owned();
    let circuits = {
        let breaker = breaker();
        Keyed::new(KeyedLimits::default(), move |_: &String| breaker.fresh())
    };
    let permits = {
        let bulkhead = bulkhead(1);
        Keyed::new(KeyedLimits::default(), move |_: &String| bulkhead.fresh())
    };
    let service = ServiceBuilder::new()
        .layer(BodyBulkheadLayer::select(PerKey::new(permits, by_path)))
        .layer(
            BodyBreakerLayer::select(PerKey::new(circuits, by_path)).classifier(StatusClassifier),
        )
        .service(service(|path| {
            Ok(response(if path == "/bad" { 500 } else { 200 }, [Step::Data("a")]))
        }));
    let good = service.clone().oneshot(get("/good")).await.unwrap();
    drop(service.clone().oneshot(get("/bad")).await.unwrap());
    let open = service.clone().oneshot(get("/bad")).await.unwrap_err();
    let full = service.clone().oneshot(get("/good")).await.unwrap_err();
    assert_eq!(open.rejection().unwrap().key(), Some("/bad"));
    assert_eq!(full.rejection().unwrap().key(), Some("/good"));
    drop(good);
}

/// Drops the call, or its body, after k polls, for every k.
#[tokio::test(start_paused = true)]
async fn dropping_at_every_poll_releases_everything() {
    let mut ended = false;
    let mut polls = 0;
    while !ended {
        polls += 1;
        assert!(polls < 64, "never ended");
        let breaker = breaker();
        breaker.open();
        breaker.half_open().unwrap();
        let waits = Bulkhead::builder().max_concurrent(1).wait_at_most(Duration::from_secs(1));
        let bulkhead = waits.build().unwrap();
        let mut in_front = Some(bulkhead.try_acquire_owned(1).unwrap());
        let mut service = ServiceBuilder::new()
            .layer(BodyBulkheadLayer::new(bulkhead.clone()))
            .layer(BodyBreakerLayer::new(breaker.clone()))
            .service(service(|_| {
                Ok(response(200, [Step::Data("a"), Step::Waits, Step::Data("b")]))
            }));
        let mut call = Box::pin(service.call(get("/")));
        let mut body = None;
        let cx = &mut Context::from_waker(Waker::noop());
        for poll in 0..polls {
            if poll == 1 {
                in_front = None;
            }
            match &mut body {
                None => {
                    if let Poll::Ready(response) = call.as_mut().poll(cx) {
                        body = Some(Box::pin(response.unwrap().into_body()));
                    }
                }
                Some(body) => ended |= matches!(body.as_mut().poll_frame(cx), Poll::Ready(None)),
            }
        }
        drop((call, body, in_front));
        assert_eq!(bulkhead.snapshot().in_use, 0, "{polls}");
        // Either the probe is free, or its success has closed the circuit.
        assert!(breaker.try_admit().is_ok(), "{polls}");
        assert_eq!(breaker.state() == CircuitState::Closed, ended, "{polls}");
    }
    assert!(polls > 6, "nothing was tried");
}

#[tokio::test]
async fn calls_can_be_spawned() {
    let service = ServiceBuilder::new()
        .layer(BodyBulkheadLayer::new(bulkhead(1)))
        .layer(BodyBreakerLayer::new(breaker()))
        .service(service(|_| Ok(response(200, [Step::Data("a")]))));
    let task = tokio::spawn(async move {
        let response = service.oneshot(get("/")).await?;
        response.into_body().collect().await.map(|body| body.to_bytes())
    });
    assert_eq!(task.await.unwrap().unwrap(), "a");
}

#[test]
fn the_error_type_of_the_service_is_kept() {
    type Wrapped = resilience_core::Error<Infallible>;
    fn assert_error<S: Service<Request<()>, Error = Wrapped>>(_: &S) {}
    let inner = service_fn(|_: Request<()>| async { Ok::<_, Wrapped>(response(200, [])) });
    assert_error(&BodyBreakerLayer::new(breaker()).layer(inner));
    assert_error(&BodyBulkheadLayer::new(bulkhead(1)).layer(inner));
}

/// `count_rejections` applies to the rejections of inner layers.
#[tokio::test]
async fn a_full_bulkhead_opens_a_breaker_that_counts_it() {
    for (kinds, opens) in [(vec![RejectionKind::BulkheadFull], true), (Vec::new(), false)] {
        let breaker = CircuitBreaker::builder().consecutive_failures(1).count_rejections(kinds);
        let (breaker, full) = (breaker.build().unwrap(), bulkhead(1));
        let service = ServiceBuilder::new()
            .layer(BodyBreakerLayer::new(breaker.clone()))
            .layer(BodyBulkheadLayer::new(full.clone()))
            .service(service(|_| Ok(response(200, []))));
        let _permit = full.try_acquire(1).unwrap();
        service.oneshot(get("/")).await.unwrap_err();
        assert_eq!(breaker.state() == CircuitState::Open, opens);
    }
}
