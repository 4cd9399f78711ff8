//! Health routes: what is answered to probes, and what everything else notices.

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

/// A check that is up or down, as it is told.
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

/// A check that is up, after so long, and how often it ran.
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

/// A probe's response: its head, and its body.
async fn ask(layer: &HealthLayer, method: Method, path: &str) -> (Response<()>, Bytes) {
    let service = layer.clone().into_service();
    let (head, body) = service.oneshot(request(method, path)).await.unwrap().into_parts();
    (Response::from_parts(head, ()), body.collect().await.unwrap().to_bytes())
}

/// The status and the JSON body of a `GET`.
async fn get(layer: &HealthLayer, path: &str) -> (u16, Value) {
    let (head, body) = ask(layer, Method::GET, path).await;
    (head.status().as_u16(), serde_json::from_slice(&body).unwrap())
}

/// That these are services of whatever body is sent to them.
fn assert_service<S, B>(service: S) -> S
where
    S: Service<Request<B>> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    service
}
