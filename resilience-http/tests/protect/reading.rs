//! Who does not read what he asked for.

use std::io;
use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::routing::get;
use futures_util::stream::pending;
use http::Request;
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::keyed::KeyedLimits;
use resilience_http::serve::Server;
use resilience_http::server::ProtectLayer;
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::{Client, LONG, MS, endless, serve, status, until};

fn routes() -> Router {
    Router::new()
        .route("/endless", get(|| async { endless() }))
        .route("/silent", get(|| async { Body::from_stream(pending::<io::Result<&str>>()) }))
        .route("/", get(|| async { "here" }))
}

fn at_once(most: u32) -> (Router, Bulkhead) {
    let protect = ProtectLayer::builder().concurrency(most).build().unwrap();
    let bulkhead = protect.get_ref().bulkhead().unwrap().clone();
    (routes().layer(protect), bulkhead)
}

#[tokio::test]
async fn a_permit_is_held_until_the_body_is_read_or_its_reader_has_gone() {
    let (router, bulkhead) = at_once(1);
    let (address, _token) = serve(Server::default(), router).await;
    let mut slow = Client::connect(address).await;
    assert!(slow.get("/endless", "").await.starts_with("HTTP/1.1 200"));
    assert_eq!(bulkhead.snapshot().in_use, 1);
    assert_eq!(status(address, "/", "").await, 503);
    drop(slow);
    until(async || status(address, "/", "").await == 200).await;
    until(async || bulkhead.snapshot().in_use == 0).await;
}

#[tokio::test]
async fn who_stops_reading_is_cut() {
    let (router, bulkhead) = at_once(1);
    let server = Server::builder().write_timeout(MS * 50).build().unwrap();
    let (address, _token) = serve(server, router).await;
    let mut slow = Client::connect(address).await;
    slow.get("/endless", "").await;
    until(async || bulkhead.snapshot().in_use == 0).await;
    assert_eq!(status(address, "/", "").await, 200);
    // To the end of what the operating system had for him.
    slow.rest().await;
}

/// Who has to wait for the handler is not slow.
#[tokio::test]
async fn who_waits_for_a_silent_handler_is_not_cut() {
    let (router, bulkhead) = at_once(2);
    let server = Server::builder().write_timeout(MS).build().unwrap();
    let (address, _token) = serve(server, router).await;
    let mut patient = Client::connect(address).await;
    patient.get("/silent", "").await;
    let (mut sender, _connection) = http2_client(address).await;
    let silent = sender.send_request(request("/silent")).await.unwrap();
    assert_eq!(silent.status(), 200);
    tokio::time::sleep(MS * 50).await;
    assert_eq!(bulkhead.snapshot().in_use, 2);
}

type H2 = http2::SendRequest<Body>;

/// With a small window for each stream.
async fn http2_client(address: SocketAddr) -> (H2, JoinHandle<()>) {
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder.initial_stream_window_size(1 << 10).initial_connection_window_size(1 << 20);
    let (sender, connection) = builder.handshake(io).await.unwrap();
    (sender, tokio::spawn(async move { connection.await.unwrap_or_default() }))
}

fn request(path: &str) -> Request<Body> {
    Request::get(format!("http://test{path}")).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn a_stream_that_is_not_read_is_reset_and_the_others_go_on() {
    let (router, bulkhead) = at_once(1);
    let server = Server::builder().write_timeout(MS * 50).build().unwrap();
    let (address, _token) = serve(server, router).await;
    let (mut sender, connection) = http2_client(address).await;
    let slow = sender.send_request(request("/endless")).await.unwrap();
    assert_eq!(slow.status(), 200);
    until(async || bulkhead.snapshot().in_use == 0).await;
    let answer = sender.send_request(request("/")).await.unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "here");
    let mut slow = slow.into_body();
    let ended = async { while slow.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    tokio::time::timeout(LONG, ended).await.expect("it was not reset");
    assert!(!connection.is_finished());
}

/// One tenant's slow readers are in nobody else's way.
#[tokio::test]
async fn a_slow_tenant_has_used_up_his_own_places() {
    let tenant = |request: &axum::extract::Request| {
        request.headers().get("x-tenant").map_or_else(String::new, |name| format!("{name:?}"))
    };
    let limits = KeyedLimits::default();
    let protect = ProtectLayer::builder().concurrency_per_key(1, limits, tenant).build().unwrap();
    let (address, _token) = serve(Server::default(), routes().layer(protect)).await;
    let mut slow = Client::connect(address).await;
    slow.get("/endless", "x-tenant: a\r\n").await;
    assert_eq!(status(address, "/", "x-tenant: a\r\n").await, 503);
    assert_eq!(status(address, "/", "x-tenant: b\r\n").await, 200);
    drop(slow);
    until(async || status(address, "/", "x-tenant: a\r\n").await == 200).await;
}
