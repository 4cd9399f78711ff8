//! Limits for each key, with many keys and odd ones.

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use parking_lot::Mutex;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::observe::Event;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::select::PerKey;
use resilience_http::body::BodyBulkheadLayer;
use resilience_http::serve::Server;
use resilience_http::server::{
    AdmissionControlLayer, HttpRateLimitLayer, MapServiceError, RejectionResponseLayer,
};
use tower::{Layer, ServiceExt};

use crate::{Client, LONG, serve};

fn tenant(request: &axum::extract::Request) -> String {
    let tenant = request.headers().get("x-tenant");
    tenant.and_then(|tenant| tenant.to_str().ok()).unwrap_or("anonymous").to_owned()
}

/// Ten thousand keys: memory stays within its bound, and a key in use keeps its state.
#[tokio::test]
async fn ten_thousand_tenants_are_not_ten_thousand_states() {
    const MOST: usize = 1_000;
    let keys = KeyedLimits::new(MOST, 1 << 20, LONG * 100).unwrap();
    let admission = AdmissionControlLayer::builder()
        .rate_per_key(Quota::per(2, LONG * 100), keys, tenant)
        .concurrency_per_key(1, keys, tenant)
        .build()
        .unwrap();
    let limits = admission.get_ref();
    // No request uses the prototypes that the keys' limits are made from.
    assert!(limits.bulkhead().is_none() && limits.rate_limiter().is_none());
    let rates = limits.rate_layer().selector().store().clone();
    let permits = limits.concurrency_layer().selector().store().clone();
    let router = Router::new().route("/", get(|| async { crate::endless() }));
    let service = Router::new().fallback_service(admission.layer(router));
    let fetch = async |tenant: &str| {
        let request = http::Request::get("/").header("x-tenant", tenant);
        let request = request.body(axum::body::Body::empty()).unwrap();
        let Ok(response) = service.clone().oneshot(request).await;
        response
    };
    // Kept with its state, because it is in use.
    let slow = fetch("slow").await;
    assert_eq!(slow.status(), 200);
    for stranger in 0..10_000 {
        assert_eq!(fetch(&format!("stranger {stranger}")).await.status(), 200);
    }
    for store in [(rates.len(), rates.bytes()), (permits.len(), permits.bytes())] {
        assert!(store.0 <= MOST && store.1 <= 1 << 20, "{store:?}");
    }
    assert_eq!(fetch("slow").await.status(), 503, "its only place is still taken");
    drop(slow);
    assert_eq!(fetch("slow").await.status(), 200);
    for status in [200, 200, 429] {
        assert_eq!(fetch("regular").await.status(), status);
    }
}

#[tokio::test]
async fn odd_headers_share_one_key_and_break_nothing() {
    let admission = AdmissionControlLayer::builder()
        .rate_per_key(Quota::per_minute(10_000), KeyedLimits::default(), tenant)
        .concurrency_per_key(1, KeyedLimits::default(), tenant)
        .build()
        .unwrap();
    let router = Router::new().route("/", get(|| async { "here" })).layer(admission);
    let (address, _token) = serve(Server::default(), router).await;
    let long = "x".repeat(8 << 10);
    for tenant in ["", "\t", "a, b", "\u{e9}\u{ff}", "\"", "%00", "../..", &long] {
        for other in [
            "",
            "x-resilience-timeout-ms: -1\r\n",
            "x-resilience-attempt: 99999999999\r\n",
            "traceparent: 00-0-0\r\n",
            "ratelimit: \"x\";r=0;t=9\r\n",
            "retry-after: never\r\n",
        ] {
            let head = Client::connect(address)
                .await
                .get("/", &format!("x-tenant: {tenant}\r\n{other}"))
                .await;
            assert!(head.starts_with("HTTP/1.1 200 "), "{tenant:?} {other:?} {head}");
        }
    }
    for bad in ["x-tenant: a\0b\r\n", "x-tenant : a\r\n", " folded\r\n", ": nameless\r\n"] {
        let mut client = Client::connect(address).await;
        client.send(&format!("GET / HTTP/1.1\r\nhost: test\r\n{bad}\r\n")).await;
        let response = client.rest().await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{bad:?} {response}");
    }
    assert_eq!(crate::status(address, "/", "x-tenant: a\r\n").await, 200);
}

/// Events carry the key of the limit, and so do the metrics that are made from them.
#[tokio::test]
async fn events_of_rejections_carry_the_key() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let listener = |received: Arc<Mutex<Vec<_>>>| {
        move |event: &Event<'_>| {
            if let Event::Rejected(rejection) = event {
                received
                    .lock()
                    .push((rejection.layer().to_owned(), event.key().map(str::to_owned)));
            }
        }
    };
    let rate = RateLimiter::builder().name("rate").quota(Quota::per(1, LONG * 100)).reject();
    let rate = rate.listen(listener(received.clone())).build().unwrap();
    let permits = Bulkhead::builder().name("permits").max_concurrent(1).reject();
    let permits = permits.listen(listener(received.clone())).build().unwrap();
    let rates = Keyed::new(KeyedLimits::default(), move |_: &String| rate.fresh());
    let permits = Keyed::new(KeyedLimits::default(), move |_: &String| permits.fresh());
    let router = Router::new().route("/", get(|| async { crate::endless() }));
    let concurrency = BodyBulkheadLayer::select(Arc::new(PerKey::new(permits, tenant)));
    let inner = concurrency.layer(MapServiceError::new(router.clone()));
    let inner = RejectionResponseLayer::default().layer(inner);
    let outer = HttpRateLimitLayer::new("rate", Arc::new(PerKey::new(rates, tenant)));
    let outer = RejectionResponseLayer::default().layer(outer.layer(MapServiceError::new(router)));
    let fetch = |tenant: &str| {
        http::Request::get("/").header("x-tenant", tenant).body(axum::body::Body::empty()).unwrap()
    };
    let mut held = Vec::new();
    for (tenant, expected) in [("a", 200), ("a", 503), ("b", 200), ("b", 503)] {
        let Ok(response) = inner.clone().oneshot(fetch(tenant)).await;
        assert_eq!(response.status(), expected);
        held.push(response);
    }
    for (tenant, expected) in [("a", 200), ("a", 429), ("b", 200), ("b", 429)] {
        let Ok(response) = outer.clone().oneshot(fetch(tenant)).await;
        assert_eq!(response.status(), expected);
    }
    let of = |layer: &str, key: &str| (layer.to_owned(), Some(key.to_owned()));
    let expected = [of("permits", "a"), of("permits", "b"), of("rate", "a"), of("rate", "b")];
    assert_eq!(*received.lock(), expected);
}
