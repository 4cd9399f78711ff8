//! A server on real sockets, its limits, and its shutdown.

#![cfg(feature = "server")]
#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "helpers of tests")]

mod client;
mod descriptors;
mod draining;
mod frames;
mod http2;
mod leaving;
mod limits;
mod lingering;
mod peers;
mod posts;
mod process;
mod slow;
mod unread;
mod upgraded;
mod upgrades;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Path;
use axum::routing::{any, get, post};
use http::StatusCode;
use http_body_util::BodyExt;
use resilience_core::shutdown::{Shutdown, ShutdownReport, ShutdownToken};
use resilience_http::serve::{Served, Server, bind};
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
/// Longest wait of a test, for a slow machine.
const LONG: Duration = Duration::from_secs(30);

/// A running server and its shutdown.
struct Rig {
    address: SocketAddr,
    token: ShutdownToken,
    server: JoinHandle<Served>,
    shutdown: JoinHandle<ShutdownReport>,
    /// Handlers of `/held`, which respond once they are released.
    held: Held,
}

#[derive(Clone)]
struct Held {
    entered: Arc<Semaphore>,
    may_respond: Arc<Notify>,
}

impl Held {
    fn new() -> Held {
        Held { entered: Arc::new(Semaphore::new(0)), may_respond: Arc::new(Notify::new()) }
    }

    /// Waits until one more handler has begun.
    async fn entered(&self) {
        self.entered.acquire().await.unwrap().forget();
    }
}

impl Rig {
    /// Starts a server without a grace and with a long time to drain.
    async fn new() -> Rig {
        Rig::with(Server::default(), Shutdown::builder().grace(Duration::ZERO).drain(LONG * 10))
            .await
    }

    async fn with(server: Server, shutdown: resilience_core::shutdown::ShutdownBuilder) -> Rig {
        let shutdown = shutdown.build().unwrap();
        let (token, held) = (shutdown.token(), Held::new());
        let listener = bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (router, stop) = (router(held.clone()), token.clone());
        let server = tokio::spawn(async move { server.serve(listener, router, &stop).await });
        let shutdown = tokio::spawn(shutdown.run());
        Rig { address, token, server, shutdown, held }
    }

    /// Waits until no connection is counted, only the server itself.
    async fn closes_all(&self) {
        let closed = async {
            while self.token.in_flight() > 1 {
                tokio::time::sleep(MS).await;
            }
        };
        tokio::time::timeout(LONG, closed).await.expect("a connection is kept");
    }

    async fn end(self) -> (ShutdownReport, Served) {
        let both = async { (self.shutdown.await.unwrap(), self.server.await.unwrap()) };
        tokio::time::timeout(LONG, both).await.expect("it does not end")
    }
}

fn router(held: Held) -> Router {
    let echo = |Path(word): Path<String>| async move { word };
    let wait = move || {
        let held = held.clone();
        async move {
            held.entered.add_permits(1);
            held.may_respond.notified().await;
            "at last"
        }
    };
    let read = wait.clone();
    let half = wait.clone();
    let reject = || async { (StatusCode::PAYLOAD_TOO_LARGE, "too much") };
    let length = |body: Bytes| async move { body.len().to_string() };
    Router::new()
        .route("/echo/{word}", get(echo))
        .route("/held", any(wait.clone()))
        .route("/read", any(async move |_: Bytes| read().await))
        .route(
            "/half",
            any(async move |mut body: Body| {
                drop(body.frame().await);
                drop(body);
                half().await
            }),
        )
        .route(
            "/kept",
            any(async move |request: axum::extract::Request| {
                let response = wait().await;
                drop(request);
                response
            }),
        )
        .route("/large", get(|| async { "x".repeat(1 << 20) }))
        .route("/reject", any(reject))
        .route("/length", post(length))
}

fn cut(report: &ShutdownReport, name: &str) -> u64 {
    report.work.iter().filter(|work| work.name.as_str() == name).map(|work| work.cut).sum()
}
