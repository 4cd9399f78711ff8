//! Rejections over real sockets, as a client sees them.

#![cfg(feature = "layers")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request};
use axum::routing::{any, get, post};
use axum::{Json, Router};
use reqwest::{Client, Response};
use resilience_core::keyed::KeyedLimits;
use resilience_core::rate::Quota;
use resilience_core::{Error, Rejection, RejectionKind};
use resilience_http::propagate::timeout::TIMEOUT;
use resilience_http::propagate::{ExtractContextLayer, attempt};
use resilience_http::server::{
    AdmissionControlBuilder, AdmissionControlLayer, RejectionFormat, RejectionResponseLayer,
    SplitRejection,
};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

async fn serve(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

fn client() -> Client {
    Client::builder().no_proxy().retry(reqwest::retry::never()).build().unwrap()
}

async fn get_from(base: &str, path: &str) -> Response {
    client().get(format!("{base}{path}")).send().await.unwrap()
}

fn builder() -> AdmissionControlBuilder {
    AdmissionControlLayer::builder().name("api")
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

async fn problem(response: Response) -> Value {
    assert_eq!(header(&response, "content-type"), "application/problem+json");
    response.json().await.unwrap()
}

#[tokio::test]
async fn a_request_over_the_rate_is_429_and_names_its_limit() {
    let admission = builder().rate(Quota::per_minute(1)).build().unwrap();
    let base = serve(Router::new().route("/", get(|| async { "ok" })).layer(admission)).await;
    assert_eq!(get_from(&base, "/").await.text().await.unwrap(), "ok");
    let rejected = get_from(&base, "/").await;
    assert_eq!(rejected.status(), 429);
    let after: u64 = header(&rejected, "retry-after").parse().unwrap();
    assert!((1..=60).contains(&after), "{after}");
    let problem = problem(rejected).await;
    assert_eq!(problem["status"], 429);
    assert_eq!(problem["layer"], "api.rate_limit");
    assert_eq!(problem["violated-policies"][0], "api.rate_limit");
    assert_eq!(problem["limit"], 1);
    assert_eq!(problem["retry_after"], after);
}

#[tokio::test]
async fn a_full_server_is_503_at_once_and_serves_afterwards() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Semaphore::new(0)));
    let (entering, leaving) = (entered.clone(), leave.clone());
    let slow = get(move || async move {
        entering.notify_one();
        let _left = leaving.acquire().await;
        "done"
    });
    let admission = builder().concurrency(1).build().unwrap();
    let bulkhead = admission.get_ref().bulkhead().unwrap().clone();
    let base = serve(Router::new().route("/", slow).layer(admission)).await;
    let first = tokio::spawn({
        let base = base.clone();
        async move { get_from(&base, "/").await.text().await.unwrap() }
    });
    entered.notified().await;
    let rejected = get_from(&base, "/").await;
    assert_eq!(rejected.status(), 503);
    assert_eq!(problem(rejected).await["layer"], "api.bulkhead");
    leave.add_permits(2);
    assert_eq!(first.await.unwrap(), "done");
    assert_eq!(bulkhead.snapshot().in_use, 0);
    assert_eq!(get_from(&base, "/").await.status(), 200);
}

/// The handler of a client that disconnects is dropped with its permit.
#[tokio::test]
async fn a_disconnect_releases_the_permit() {
    let entered = Arc::new(Notify::new());
    let entering = entered.clone();
    let hanging = get(move || async move {
        entering.notify_one();
        std::future::pending::<&str>().await
    });
    let admission = builder().concurrency(1).build().unwrap();
    let router = Router::new().route("/hang", hanging).route("/", get(|| async { "ok" }));
    let base = serve(router.layer(admission)).await;
    let hung = tokio::spawn({
        let base = base.clone();
        async move { get_from(&base, "/hang").await }
    });
    entered.notified().await;
    assert_eq!(get_from(&base, "/").await.status(), 503);
    hung.abort();
    while get_from(&base, "/").await.status() != 200 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn each_tenant_has_its_own_rate_limit() {
    let tenant = |request: &Request| {
        let tenant = request.headers().get("x-tenant");
        tenant.and_then(|tenant| tenant.to_str().ok()).unwrap_or("").to_owned()
    };
    let limits = KeyedLimits::default;
    let admission = builder().rate_per_key(Quota::per_minute(1), limits(), tenant).build().unwrap();
    let base = serve(Router::new().route("/", get(|| async {})).layer(admission)).await;
    let fetch =
        async |tenant: &str| client().get(&base).header("x-tenant", tenant).send().await.unwrap();
    assert_eq!(fetch("acme").await.status(), 200);
    assert_eq!(fetch("umbrella").await.status(), 200);
    let rejected = fetch("acme").await;
    assert_eq!(rejected.status(), 429);
    assert!(!rejected.text().await.unwrap().contains("acme"));
}

#[tokio::test]
async fn each_route_has_its_own_rate_limit() {
    let route = |request: &Request| {
        let path = request.extensions().get::<MatchedPath>();
        path.map_or("", MatchedPath::as_str).to_owned()
    };
    let limits = KeyedLimits::default;
    let admission = builder()
        .rate_per_key(Quota::per_minute(1), limits(), route)
        .rejections(RejectionFormat::new().with_keys())
        .build()
        .unwrap();
    let router = Router::new().route("/a/{id}", get(|| async {})).route("/b", get(|| async {}));
    let base = serve(router.layer(admission)).await;
    assert_eq!(get_from(&base, "/a/1").await.status(), 200);
    assert_eq!(get_from(&base, "/b").await.status(), 200);
    let rejected = get_from(&base, "/a/2").await;
    assert_eq!(rejected.status(), 429);
    assert_eq!(problem(rejected).await["key"], "/a/{id}");
}

#[tokio::test]
async fn a_request_after_its_deadline_does_not_run() {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let handler = get(move || async move {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let admission = builder().build().unwrap();
    let base = serve(Router::new().route("/", handler).layer(admission)).await;
    let fetch = async |left: &str| client().get(&base).header(TIMEOUT, left).send().await.unwrap();
    let late = fetch("0").await;
    assert_eq!(late.status(), 504);
    assert_eq!(header(&late, attempt::RETRY.as_str()), "never");
    assert_eq!(problem(late).await["type"], "about:blank");
    assert_eq!(calls.load(Ordering::Relaxed), 0);
    for hostile in ["-1", "soon", "1e9", "99999999999999999999999", "\u{e9}"] {
        assert_eq!(fetch(hostile).await.status(), 200, "{hostile}");
    }
    assert_eq!(calls.load(Ordering::Relaxed), 5);
}

#[tokio::test]
async fn the_longest_time_ends_a_request_without_a_deadline() {
    let admission = builder().longest(Duration::from_millis(20)).build().unwrap();
    let hanging = get(|| async { std::future::pending::<&str>().await });
    let base = serve(Router::new().route("/", hanging).layer(admission)).await;
    let late = get_from(&base, "/").await;
    assert_eq!(late.status(), 504);
    assert_eq!(header(&late, attempt::RETRY.as_str()), "", "another server may be quicker");
}

/// The limit of the framework is enforced by the framework, and its response is passed on.
#[tokio::test]
async fn a_body_over_the_frameworks_limit_is_413() {
    let admission = builder().concurrency(10).build().unwrap();
    let router = Router::new()
        .route("/", post(|body: Bytes| async move { body.len().to_string() }))
        .layer(DefaultBodyLimit::max(8))
        .layer(admission);
    let base = serve(router).await;
    let send = async |body: &'static str| client().post(&base).body(body).send().await.unwrap();
    assert_eq!(send("12345678").await.text().await.unwrap(), "8");
    assert_eq!(send("123456789").await.status(), 413);
}

#[tokio::test]
async fn a_route_without_the_layer_always_responds() {
    let admission = builder().rate(Quota::per_minute(1)).build().unwrap();
    let router = Router::new()
        .route("/", any(|| async { Json(Value::Null) }))
        .layer(admission)
        .route("/healthz", get(|| async {}));
    let base = serve(router).await;
    assert_eq!(get_from(&base, "/").await.status(), 200);
    assert_eq!(get_from(&base, "/").await.status(), 429);
    assert_eq!(get_from(&base, "/healthz").await.status(), 200);
}

#[tokio::test]
async fn a_grpc_rejection_has_a_grpc_status() {
    let admission = builder().rate(Quota::per_minute(1)).build().unwrap();
    let base = serve(Router::new().route("/", any(|| async {})).layer(admission)).await;
    let fetch = async || {
        let request = client().post(&base).header("content-type", "application/grpc+proto");
        request.send().await.unwrap()
    };
    assert_eq!(fetch().await.status(), 200);
    let rejected = fetch().await;
    assert_eq!(
        (rejected.status(), header(&rejected, "grpc-status")),
        (reqwest::StatusCode::OK, "8")
    );
    let pushback: u64 = header(&rejected, "grpc-retry-pushback-ms").parse().unwrap();
    assert!((1..=60_000).contains(&pushback));
    assert_eq!(header(&rejected, "retry-after"), "");
    assert_eq!(rejected.text().await.unwrap(), "");
}

/// Foreign errors are unchanged in every error type.
#[tokio::test]
async fn an_error_that_is_no_rejection_passes_through() {
    let fetch = async |error: fn() -> BoxError| {
        let service = ServiceBuilder::new().layer(RejectionResponseLayer::default()).service(
            service_fn(move |_: http::Request<()>| async move {
                Err::<http::Response<()>, BoxError>(error())
            }),
        );
        service.oneshot(http::Request::new(())).await
    };
    let passed = fetch(|| "broken".into()).await.unwrap_err();
    assert_eq!(passed.to_string(), "broken");
    let nested = || {
        let shed = Rejection::new(RejectionKind::Shed, "shed");
        io::Error::other(Error::<Infallible>::Rejected(shed)).into()
    };
    assert_eq!(fetch(nested).await.unwrap().status(), 503);
    let foreign = Error::Service(io::Error::other("broken")).split().unwrap_err();
    assert_eq!(foreign.to_string(), "broken");
}

#[test]
fn the_error_names_the_field_out_of_bounds() {
    for longest in [Duration::ZERO, Duration::MAX] {
        let error = ExtractContextLayer::new().longest(longest).unwrap_err();
        assert_eq!(error.field(), "longest");
        assert!(AdmissionControlLayer::builder().longest(longest).build().is_err());
    }
    assert!(AdmissionControlLayer::builder().concurrency(0).build().is_err());
    assert!(AdmissionControlLayer::builder().rate(Quota::per_second(0)).build().is_err());
}
