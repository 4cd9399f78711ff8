//! Clients that do not read their responses.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::get;
use futures_util::stream::pending;
use http::{HeaderMap, HeaderName, HeaderValue, Request};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use resilience_core::keyed::KeyedLimits;
use resilience_http::serve::Server;
use resilience_http::server::AdmissionControlLayer;
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
    let admission = AdmissionControlLayer::builder().concurrency(most).build().unwrap();
    let bulkhead = admission.get_ref().bulkhead().unwrap().clone();
    (routes().layer(admission), bulkhead)
}

#[tokio::test]
async fn a_permit_is_held_until_the_body_is_read_or_its_client_disconnects() {
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
async fn a_client_that_stops_reading_is_cut() {
    let (router, bulkhead) = at_once(1);
    let server = Server::builder().write_timeout(MS * 50).build().unwrap();
    let (address, _token) = serve(server, router).await;
    let mut slow = Client::connect(address).await;
    slow.get("/endless", "").await;
    until(async || bulkhead.snapshot().in_use == 0).await;
    assert_eq!(status(address, "/", "").await, 200);
    // To the end of the bytes in the operating system's buffers.
    slow.rest().await;
}

/// Waiting for the handler does not count.
#[tokio::test]
async fn a_client_of_a_silent_handler_is_not_cut() {
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

/// Connects with a small window for each stream.
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
    let response = sender.send_request(request("/")).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "here");
    let mut slow = slow.into_body();
    let ended = async { while slow.frame().await.is_some_and(|frame| frame.is_ok()) {} };
    tokio::time::timeout(LONG, ended).await.expect("it was not reset");
    assert!(!connection.is_finished());
}

/// Bytes that count until they are dropped.
struct Counted(Vec<u8>, Arc<AtomicUsize>);

impl Counted {
    fn body(length: usize, left: &Arc<AtomicUsize>) -> Bytes {
        left.fetch_add(1, Ordering::Relaxed);
        Bytes::from_owner(Counted(vec![b'x'; length], left.clone()))
    }
}

impl AsRef<[u8]> for Counted {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Responses that are available at once: of known length, of unknown length, and with trailers.
fn tails(left: &Arc<AtomicUsize>) -> Router {
    let at_once = |frames: fn(Bytes) -> Vec<Frame<Bytes>>| {
        let left = left.clone();
        get(async move || {
            let frames = frames(Counted::body(LARGE, &left)).into_iter().map(io::Result::Ok);
            Body::new(StreamBody::new(futures_util::stream::iter(frames)))
        })
    };
    let known = left.clone();
    routes()
        .route("/known", get(async move || Body::from(Counted::body(LARGE, &known))))
        .route("/found", at_once(|bytes| vec![Frame::data(bytes)]))
        .route(
            "/trailers",
            at_once(|bytes| {
                let trailer = (HeaderName::from_static("x-tail"), HeaderValue::from_static("end"));
                vec![Frame::data(bytes), Frame::trailers(HeaderMap::from_iter([trailer]))]
            }),
        )
}

const LARGE: usize = 64 << 10;
const TAILS: [&str; 3] = ["/known", "/found", "/trailers"];

/// The handler has ended with the whole response yielded: it is kept for a slow reader, but not
/// without a limit.
#[tokio::test]
async fn the_end_of_a_response_is_dropped_if_its_client_does_not_read() {
    for path in TAILS {
        let left = Arc::new(AtomicUsize::new(0));
        let server = Server::builder().write_timeout(MS * 50).build().unwrap();
        let (address, token) = serve(server, tails(&left)).await;
        let (mut sender, connection) = http2_client(address).await;
        let slow = sender.send_request(request(path)).await.unwrap();
        assert_eq!((slow.status().as_u16(), left.load(Ordering::Relaxed)), (200, 1), "{path}");
        // The connection never becomes idle.
        until(async || {
            let response = sender.send_request(request("/")).await.unwrap();
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "here");
            left.load(Ordering::Relaxed) == 0
        })
        .await;
        let mut slow = slow.into_body();
        let ended = async { while slow.frame().await.is_some_and(|frame| frame.is_ok()) {} };
        tokio::time::timeout(LONG, ended).await.expect("it was not reset");
        assert!(!connection.is_finished());
        // The server and its connection count, the request does not.
        until(async || token.in_flight() == 2).await;
    }
}

/// The end follows the last piece at once, without a timer.
#[tokio::test]
async fn a_quick_reader_gets_the_end_at_once() {
    let left = Arc::new(AtomicUsize::new(0));
    let server = Server::builder().write_timeout(LONG * 10).build().unwrap();
    let (address, _token) = serve(server, tails(&left)).await;
    let (mut sender, _connection) = http2_client(address).await;
    for path in TAILS {
        let quick = sender.send_request(request(path)).await.unwrap().into_body();
        let all = tokio::time::timeout(LONG, quick.collect()).await.expect("no end comes");
        assert_eq!(all.unwrap().to_bytes().len(), LARGE, "{path}");
    }
}

/// A reader with progress within each timeout gets the whole response.
#[tokio::test]
async fn a_slow_reader_with_progress_gets_the_end() {
    for path in TAILS {
        let left = Arc::new(AtomicUsize::new(0));
        let server = Server::builder().write_timeout(MS * 400).build().unwrap();
        let (address, _token) = serve(server, tails(&left)).await;
        let (mut sender, _connection) = http2_client(address).await;
        let mut slow = sender.send_request(request(path)).await.unwrap().into_body();
        let (mut read, mut trailers) = (0, None);
        while let Some(frame) = slow.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => read += data.len(),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
            tokio::time::sleep(MS * 10).await;
        }
        assert_eq!((read, trailers.is_some()), (LARGE, path == "/trailers"), "{path}");
    }
}

/// Responses of one piece: the kernel does not take all of it, and the handler ends at once.
fn in_one_piece(most: u32) -> (Router, Bulkhead) {
    let admission = AdmissionControlLayer::builder().concurrency(most).build().unwrap();
    let bulkhead = admission.get_ref().bulkhead().unwrap().clone();
    let router = routes()
        .route("/string", get(|| async { "x".repeat(32 << 20) }))
        .route("/bytes", get(|| async { vec![b'x'; 32 << 20] }))
        .route("/small", get(|| async { "x".repeat(8 << 10) }))
        .route(
            "/halves",
            get(|| async {
                let half = || Ok::<_, io::Error>(Bytes::from(vec![b'x'; 16 << 20]));
                Body::from_stream(futures_util::stream::iter([half(), half()]))
            }),
        );
    (router.layer(admission), bulkhead)
}

#[tokio::test]
async fn a_permit_is_held_until_the_last_byte_is_written() {
    for path in ["/string", "/bytes", "/halves"] {
        let (router, bulkhead) = in_one_piece(1);
        let server = Server::builder().write_timeout(MS * 700).build().unwrap();
        let (address, _token) = serve(server, router).await;
        let mut slow = Client::connect(address).await;
        slow.get(path, "").await;
        tokio::time::sleep(MS * 100).await;
        assert_eq!(bulkhead.snapshot().in_use, 1, "{path}");
        assert_eq!(status(address, "/", "").await, 503, "{path}");
        // Its client is cut in time, or has read everything.
        until(async || bulkhead.snapshot().in_use == 0).await;
        let mut quick = Client::connect(address).await;
        quick.send(&format!("GET {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")).await;
        assert!(quick.rest().await.len() > 32 << 20, "{path}");
        until(async || bulkhead.snapshot().in_use == 0).await;
    }
}

/// Also for a response that is one frame of HTTP/2.
#[tokio::test]
async fn a_stream_holds_its_permit_until_its_last_byte_is_written() {
    for path in ["/string", "/halves", "/small"] {
        let (router, bulkhead) = in_one_piece(1);
        let server = Server::builder().write_timeout(MS * 700).build().unwrap();
        let (address, _token) = serve(server, router).await;
        let (mut sender, connection) = http2_client(address).await;
        let slow = sender.send_request(request(path)).await.unwrap();
        tokio::time::sleep(MS * 100).await;
        assert_eq!(bulkhead.snapshot().in_use, 1, "{path}");
        let rejected = sender.send_request(request("/")).await.unwrap();
        assert_eq!(rejected.status(), 503, "{path}");
        until(async || bulkhead.snapshot().in_use == 0).await;
        let read = sender.send_request(request("/")).await.unwrap().into_body();
        assert_eq!(read.collect().await.unwrap().to_bytes(), "here");
        until(async || bulkhead.snapshot().in_use == 0).await;
        assert!(!connection.is_finished());
        drop(slow);
    }
}

/// Two nested limits hold their permits together.
#[tokio::test]
async fn nested_limits_hold_their_permits_until_the_last_byte() {
    let (router, inner) = in_one_piece(5);
    let outer = AdmissionControlLayer::builder().concurrency(5).build().unwrap();
    let places = [inner, outer.get_ref().bulkhead().unwrap().clone()];
    let server = Server::builder().write_timeout(MS * 700).build().unwrap();
    let (address, _token) = serve(server, router.layer(outer)).await;
    let mut slow = Client::connect(address).await;
    slow.get("/string", "").await;
    tokio::time::sleep(MS * 100).await;
    assert_eq!(places.each_ref().map(|places| places.snapshot().in_use), [1, 1]);
    until(async || places.iter().all(|places| places.snapshot().in_use == 0)).await;
}

/// Two handlers of endless streams: one sends now and then, the other always has bytes.
fn streaming() -> Router {
    let drips = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(MS * 10).await;
        Some((Ok::<_, io::Error>("drip"), ()))
    });
    let drips = parking_lot::Mutex::new(Some(Body::from_stream(drips)));
    let drips = Arc::new(drips);
    routes().route("/drips", get(async move || drips.lock().take().unwrap()))
}

/// Returns how long the body took, and whether it ended in an error.
async fn ended(
    admission: AdmissionControlLayer<resilience_http::server::Limits>,
    path: &str,
    header: &str,
) -> (std::time::Duration, bool) {
    let (address, _token) = serve(Server::default(), streaming().layer(admission)).await;
    let begun = clock::now();
    let url = format!("http://{address}{path}");
    let (name, value) = header.split_once(": ").unwrap();
    let mut response = reqwest::Client::new().get(url).header(name, value).send().await.unwrap();
    assert_eq!(response.status(), 200);
    let end = loop {
        match response.chunk().await {
            Ok(Some(_)) if (clock::now() - begun) < MS * 2_000 => {}
            Ok(_) => break false,
            Err(_) => break true,
        }
    };
    (clock::now() - begun, end)
}

#[tokio::test]
async fn the_longest_time_includes_the_body() {
    for path in ["/drips", "/endless"] {
        let whole = AdmissionControlLayer::builder().longest(MS * 300).build().unwrap();
        let (took, broke) = ended(whole, path, "x-any: 1").await;
        assert!(broke && took >= MS * 300 && took < MS * 2_000, "{path}: {took:?}");
    }
    // The limit on the head does not end a body, and a body does not prolong it.
    let head = || AdmissionControlLayer::builder().longest_head(MS * 300).build().unwrap();
    let none = || AdmissionControlLayer::builder().build().unwrap();
    for (admission, header) in [(head(), "x-any: 1"), (none(), "x-resilience-timeout-ms: 300")] {
        assert!(!ended(admission, "/drips", header).await.1, "{header}");
    }
    let (took, broke) = ended(none(), "/drips", "grpc-timeout: 300m").await;
    assert!(broke && took >= MS * 300, "{took:?}");
}

/// A gRPC call ends with a status in its trailers.
#[tokio::test]
async fn the_time_of_a_grpc_call_ends_in_its_status() {
    let admission = AdmissionControlLayer::builder().build().unwrap();
    let (address, _token) = serve(Server::default(), streaming().layer(admission)).await;
    let (mut sender, _connection) = http2_client(address).await;
    let mut call = request("/drips");
    for (name, value) in [("content-type", "application/grpc"), ("grpc-timeout", "300m")] {
        call.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    let response = sender.send_request(call).await.unwrap().into_body();
    let all = tokio::time::timeout(LONG, response.collect()).await.expect("no end").unwrap();
    assert_eq!(all.trailers().unwrap()["grpc-status"], "4");
}

/// Both limits end a handler that never responds.
#[tokio::test]
async fn a_head_that_does_not_come_is_504_by_both() {
    let hangs = || Router::new().route("/", get(std::future::pending::<&str>));
    let builder = AdmissionControlLayer::builder;
    for admission in [builder().longest_head(MS * 20), builder().longest(MS * 20)] {
        let router = hangs().layer(admission.build().unwrap());
        let (address, _token) = serve(Server::default(), router).await;
        assert_eq!(status(address, "/", "").await, 504);
    }
    assert!(builder().longest_head(std::time::Duration::ZERO).build().is_err());
}

/// Slow readers of one tenant do not affect the others.
#[tokio::test]
async fn a_slow_tenant_uses_up_its_own_permits_only() {
    let tenant = |request: &axum::extract::Request| {
        request.headers().get("x-tenant").map_or_else(String::new, |name| format!("{name:?}"))
    };
    let limits = KeyedLimits::default();
    let admission =
        AdmissionControlLayer::builder().concurrency_per_key(1, limits, tenant).build().unwrap();
    let (address, _token) = serve(Server::default(), routes().layer(admission)).await;
    let mut slow = Client::connect(address).await;
    slow.get("/endless", "x-tenant: a\r\n").await;
    assert_eq!(status(address, "/", "x-tenant: a\r\n").await, 503);
    assert_eq!(status(address, "/", "x-tenant: b\r\n").await, 200);
    drop(slow);
    until(async || status(address, "/", "x-tenant: a\r\n").await == 200).await;
}
