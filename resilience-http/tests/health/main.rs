//! Health routes: the responses to probes, and the effect on other requests.

#![cfg(feature = "layers")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

#[cfg(feature = "grpc")]
mod grpc;
mod passing;
mod routes;
mod sockets;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Empty};
use resilience_core::health::{Check, Criticality, Health};
use resilience_http::health::HealthLayer;
use serde_json::Value;
use tower::{Service, ServiceExt};

/// Returns a check, and the switch that makes it up or down.
fn check(name: &'static str, criticality: Criticality) -> (Arc<AtomicBool>, Check) {
    let up = Arc::new(AtomicBool::new(true));
    let seen = up.clone();
    let check = Check::new(name, criticality, move || {
        let up = seen.load(Ordering::Relaxed);
        async move { if up { Ok(()) } else { Err("refused by 10.0.0.7") } }
    });
    (up, check.ttl(Duration::ZERO))
}

fn down(name: &'static str, criticality: Criticality) -> Check {
    let (up, check) = check(name, criticality);
    up.store(false, Ordering::Relaxed);
    check
}

/// Returns a check that is up after this duration, and the number of its runs.
fn counting(takes: Duration) -> (Arc<AtomicUsize>, Check) {
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = runs.clone();
    let check = Check::critical("it", move || {
        counter.fetch_add(1, Ordering::Relaxed);
        async move {
            tokio::time::sleep(takes).await;
            Ok::<_, String>(())
        }
    });
    (runs, check)
}

fn of(checks: impl IntoIterator<Item = Check>) -> Health {
    checks.into_iter().fold(Health::builder(), |builder, it| builder.check(it)).build().unwrap()
}

fn request(method: Method, path: &str) -> Request<Empty<Bytes>> {
    Request::builder().method(method).uri(path).body(Empty::new()).unwrap()
}

/// Sends a probe, and returns the head and the body of the response.
async fn ask(layer: &HealthLayer, method: Method, path: &str) -> (Response<()>, Bytes) {
    let service = layer.clone().into_service();
    let (head, body) = service.oneshot(request(method, path)).await.unwrap().into_parts();
    (Response::from_parts(head, ()), body.collect().await.unwrap().to_bytes())
}

/// Sends a `GET`, and returns the status and the JSON body.
async fn get(layer: &HealthLayer, path: &str) -> (u16, Value) {
    let (head, body) = ask(layer, Method::GET, path).await;
    (head.status().as_u16(), serde_json::from_slice(&body).unwrap())
}

/// Asserts that the service accepts any request body.
fn assert_service<S, B>(service: S) -> S
where
    S: Service<Request<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    service
}
