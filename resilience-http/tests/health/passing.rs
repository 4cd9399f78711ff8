//! The effect of probes on the service behind them.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::routing::{get, post};
use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty, Full};
use resilience_core::testing::{Reply, Script, ServiceProbe};
use resilience_http::health::HealthLayer;
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::{assert_service, of, request};

type Inner = Response<Full<Bytes>>;

fn echo() -> impl Fn(usize, Request<Empty<Bytes>>) -> Reply<Inner, Infallible> + Clone {
    |_, request: Request<Empty<Bytes>>| {
        Reply::ok(Response::new(Full::from(request.uri().path().to_owned())))
            .after(Duration::from_millis(3))
            .yielding(2)
    }
}

#[tokio::test(start_paused = true)]
async fn other_requests_are_passed_on_and_probes_are_not() {
    let (probe, log) = ServiceProbe::new(Script::new(echo()));
    let mut service = assert_service(HealthLayer::new(of([])).layer(probe));
    for (path, calls) in [("/health", 0), ("/a", 1), ("/ready", 1), ("/startup", 1), ("/b", 2)] {
        let response =
            service.ready().await.unwrap().call(request(Method::GET, path)).await.unwrap();
        assert_eq!((response.status().as_u16(), log.calls()), (200, calls), "{path}");
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body == path, matches!(path, "/a" | "/b"), "{path}");
    }
    assert_eq!((log.called_unready(), log.engaged()), (0, 0));
}

/// Also while the service is never ready.
#[tokio::test(start_paused = true)]
async fn probes_do_not_wait_for_the_service() {
    #[derive(Clone)]
    struct NeverReady;
    impl Service<Request<Empty<Bytes>>> for NeverReady {
        type Response = Inner;
        type Error = Infallible;
        type Future = std::future::Pending<Result<Inner, Infallible>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> std::task::Poll<Result<(), Infallible>> {
            std::task::Poll::Pending
        }
        fn call(&mut self, _: Request<Empty<Bytes>>) -> Self::Future {
            panic!("called while it was not ready")
        }
    }
    let service = HealthLayer::new(of([])).layer(NeverReady);
    for path in ["/health", "/ready", "/startup"] {
        let response = service.clone().oneshot(request(Method::GET, path)).await.unwrap();
        assert_eq!(response.status(), 200);
    }
    let passed = service.oneshot(request(Method::GET, "/other"));
    assert!(tokio::time::timeout(Duration::from_secs(1), passed).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_poll_holds_nothing() {
    for path in ["/health", "/ready", "/other"] {
        for polls in 0..8 {
            let (probe, log) = ServiceProbe::new(Script::new(echo()));
            let mut service = HealthLayer::new(of([])).layer(probe);
            let mut call: Pin<Box<_>> = Box::pin(service.call(request(Method::GET, path)));
            for _ in 0..polls {
                let poll = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                if poll.is_ready() {
                    // Completed: the call holds nothing, and is never ready again.
                    assert_eq!((log.in_flight(), log.engaged()), (0, 0), "{path}");
                    assert!(
                        call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
                    );
                    break;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            drop(call);
            assert_eq!((log.in_flight(), log.engaged(), log.called_unready()), (0, 0, 0), "{path}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_error_type_is_that_of_the_service() {
    let service = service_fn(|_: Request<Empty<Bytes>>| async {
        Err::<Inner, _>(std::io::Error::other("broken"))
    });
    let service = HealthLayer::new(of([])).layer(service);
    let failed = service.clone().oneshot(request(Method::GET, "/other")).await;
    assert_eq!(failed.unwrap_err().to_string(), "broken");
    assert!(service.oneshot(request(Method::GET, "/ready")).await.is_ok());
}

/// As a layer of a router, and as routes in a router.
#[tokio::test(start_paused = true)]
async fn axum_accepts_the_layer() {
    let layer = HealthLayer::new(of([]));
    let routes = Router::new()
        .route("/predictions", get(async || "42").post(async || "43"))
        .route("/ready", post(async || "not reached"));
    let layered = routes.layer(layer.clone());
    let probes = assert_service::<_, Body>(layer.into_service());
    let routed = Router::new()
        .route("/predictions", get(async || "42").post(async || "43"))
        .route_service("/health", probes.clone())
        .route_service("/ready", probes);
    for app in [layered, routed] {
        let ask = async |method, path: &str| {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            app.clone().oneshot(request).await.unwrap().status().as_u16()
        };
        assert_eq!(ask(Method::GET, "/health").await, 200);
        assert_eq!(ask(Method::HEAD, "/ready").await, 200);
        assert_eq!(ask(Method::POST, "/ready").await, 405);
        assert_eq!(ask(Method::POST, "/predictions").await, 200);
        assert_eq!(ask(Method::GET, "/nothing").await, 404);
    }
}
