//! Rejections during a shutdown, and after a panic.

use std::time::Duration;

use axum::Router;
use axum::routing::{any, get};
use http::{Request, Version};
use http_body_util::BodyExt;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use resilience_core::shutdown::{Shutdown, ShutdownLayer};
use resilience_http::serve::{bind, serve_with_shutdown};
use resilience_http::server::{AdmissionControlLayer, Uploads};
use tokio::net::TcpStream;

use crate::{Client, LONG, until};

/// One route has its own token, and shuts down before the server.
#[tokio::test]
async fn a_shutdown_rejects_with_a_time_to_wait_and_close() {
    let builder = || Shutdown::builder().grace(Duration::ZERO).drain(LONG);
    let (whole, part) = (builder().build().unwrap(), builder().build().unwrap());
    let (stop, part_token) = (whole.token(), part.token());
    let admission = AdmissionControlLayer::new(ShutdownLayer::new(&part_token));
    let router = Router::new().route("/part", any(|| async { "here" })).layer(admission);
    let router = router.route("/rest", get(|| async { "here" }));
    let listener = bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(serve_with_shutdown(listener, router, stop.clone()));

    let mut client = Client::connect(address).await;
    assert!(client.get("/part", "").await.starts_with("HTTP/1.1 200 "));
    part_token.begin("it is replaced");
    assert!(part.run().await.is_clean());
    let mut client = Client::connect(address).await;
    client.send("GET /part HTTP/1.1\r\nhost: test\r\n\r\n").await;
    let rejected = client.rest().await;
    assert!(rejected.starts_with("HTTP/1.1 503 "), "{rejected}");
    assert!(rejected.contains("\r\nretry-after: 1\r\n"), "{rejected}");
    assert!(rejected.contains("\r\nconnection: close\r\n"), "{rejected}");
    let mut client = Client::connect(address).await;
    client
        .send("POST /part HTTP/1.1\r\nhost: test\r\ncontent-type: application/grpc\r\n\r\n")
        .await;
    let rejected = client.rest().await;
    assert!(rejected.contains("\r\ngrpc-status: 14\r\n"), "{rejected}");
    assert!(rejected.contains("\r\ngrpc-retry-pushback-ms: 1000\r\n"), "{rejected}");

    // HTTP/2 forbids the header, and the connection serves other streams.
    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let connection = tokio::spawn(connection);
    let mut fetch = async |path: &str| {
        let request = Request::get(format!("http://test{path}")).version(Version::HTTP_2);
        sender.send_request(request.body(String::new()).unwrap()).await.unwrap()
    };
    let rejected = fetch("/part").await;
    assert_eq!(
        (rejected.status().as_u16(), &rejected.headers()["retry-after"]),
        (503, &"1".parse().unwrap())
    );
    assert!(!rejected.headers().contains_key("connection"));
    let rest = fetch("/rest").await.into_body().collect().await.unwrap();
    assert_eq!(rest.to_bytes(), "here");

    stop.begin("test");
    assert!(whole.run().await.is_clean());
    assert_eq!(server.await.unwrap().cut, 0);
    connection.await.unwrap().unwrap();
}

/// The HTTP/1 connection is closed without a response; the HTTP/2 stream is reset, and its
/// connection goes on.
#[tokio::test]
async fn a_handler_that_panics_releases_its_permit() {
    async fn broken() -> &'static str {
        panic!("a bug");
    }
    let admission =
        AdmissionControlLayer::builder().concurrency(1).uploads(Uploads::new()).build().unwrap();
    let bulkhead = admission.get_ref().bulkhead().unwrap().clone();
    let router = Router::new().route("/panic", get(broken)).route("/", get(|| async { "here" }));
    let (address, _token) =
        crate::serve(resilience_http::serve::Server::default(), router.layer(admission)).await;
    let mut client = Client::connect(address).await;
    client.send("GET /panic HTTP/1.1\r\nhost: test\r\n\r\n").await;
    assert_eq!(client.rest().await, "");
    until(async || bulkhead.snapshot().in_use == 0).await;

    let io = TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
    let _connection = tokio::spawn(connection);
    let request =
        |path: &str| Request::get(format!("http://test{path}")).body(String::new()).unwrap();
    assert!(sender.send_request(request("/panic")).await.is_err());
    until(async || bulkhead.snapshot().in_use == 0).await;
    assert_eq!(sender.send_request(request("/")).await.unwrap().status(), 200);
}
