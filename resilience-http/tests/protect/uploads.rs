//! Requests with bodies that are too large, too slow, or broken.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::routing::{any, post};
use http::StatusCode;
use http_body_util::BodyExt;
use resilience_core::bulkhead::Bulkhead;
use resilience_http::serve::Server;
use resilience_http::server::{AdmissionControlLayer, Uploads, UploadsLayer};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::{Client, LONG, MS, serve, status, until};

struct Rig {
    address: std::net::SocketAddr,
    bulkhead: Bulkhead,
    /// Calls of the handler of `/`.
    calls: Arc<AtomicUsize>,
}

/// Starts a server with a limit of 8 bytes.
async fn rig(uploads: Uploads) -> Rig {
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let length = move |body: Body| async move {
        counted.fetch_add(1, Ordering::Relaxed);
        match body.collect().await {
            Ok(body) => Ok(body.to_bytes().len().to_string()),
            Err(error) => Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())),
        }
    };
    let admission =
        AdmissionControlLayer::builder().name("api").concurrency(2).uploads(uploads.at_most(8));
    let admission = admission.build().unwrap();
    let bulkhead = admission.get_ref().bulkhead().unwrap().clone();
    let router = Router::new()
        .route("/", any(length))
        .route("/bytes", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/echo", post(|body: Body| async move { body }))
        .route(
            "/brave",
            post(|body: Body| async move { format!("{}", body.collect().await.is_ok()) }),
        )
        .layer(admission);
    let (address, _) = serve(Server::default(), router).await;
    Rig { address, bulkhead, calls }
}

impl Rig {
    /// Sends a head and part of a body, and reads until the connection is closed.
    async fn fetch(&self, path: &str, headers: &str, body: &str) -> String {
        let mut client = self.begin(path, headers, body).await;
        client.rest().await
    }

    async fn begin(&self, path: &str, headers: &str, body: &str) -> Client {
        let mut client = Client::connect(self.address).await;
        client.send(&format!("POST {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n{body}")).await;
        client
    }

    /// Asserts that no failed request holds a permit.
    async fn is_free(&self) {
        until(async || self.bulkhead.snapshot().in_use == 0).await;
        assert_eq!(status(self.address, "/", "").await, 200);
    }
}

const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// Returns the problem in a response, and asserts its status and `connection: close`.
fn problem(response: &str, status: u16) -> Value {
    let (head, body) = response.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
    assert!(head.contains("\r\ncontent-type: application/problem+json"), "{response}");
    assert!(head.contains("\r\nconnection: close"), "{response}");
    let problem: Value = serde_json::from_str(body).unwrap();
    assert_eq!(problem["status"], status);
    assert_eq!(problem["layer"], "api.uploads");
    problem
}

#[tokio::test]
async fn a_request_with_too_large_a_length_is_not_read() {
    let rig = rig(Uploads::new()).await;
    // Without a `100 Continue`.
    for headers in ["content-length: 9\r\n", "content-length: 9\r\nexpect: 100-continue\r\n"] {
        let response = rig.fetch("/", headers, "").await;
        let problem = problem(&response, 413);
        assert_eq!(problem["title"], "Content Too Large");
        assert_eq!(problem["limit"], 8);
        assert!(response.contains("\r\nx-resilience-retry: never"), "{response}");
    }
    assert_eq!(rig.calls.load(Ordering::Relaxed), 0);
    rig.is_free().await;
}

#[tokio::test]
async fn a_body_that_turns_out_too_large_is_413_instead_of_the_handlers_error() {
    let rig = rig(Uploads::new()).await;
    for path in ["/", "/bytes"] {
        for body in ["9\r\n123456789\r\n0\r\n\r\n", "5\r\n12345\r\n4\r\n6789\r\n0\r\n\r\n"] {
            problem(&rig.fetch(path, CHUNKED, body).await, 413);
        }
    }
    assert_eq!(rig.calls.load(Ordering::Relaxed), 2);
    rig.is_free().await;
}

#[tokio::test]
async fn a_body_at_the_limit_is_accepted() {
    let rig = rig(Uploads::new()).await;
    let close = "connection: close\r\n";
    let response = rig.fetch("/", &format!("{close}content-length: 8\r\n"), "12345678").await;
    assert!(response.ends_with("\r\n\r\n8"), "{response}");
    let chunks = "4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n";
    let response = rig.fetch("/bytes", &format!("{close}{CHUNKED}"), chunks).await;
    assert!(response.ends_with("\r\n\r\n8"), "{response}");
}

/// A handler that does not need the rest of a body may succeed.
#[tokio::test]
async fn a_successful_response_is_passed_on() {
    let rig = rig(Uploads::new().stall(MS)).await;
    let response = rig.fetch("/brave", CHUNKED, "9\r\n123456789\r\n").await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("false"), "{response}");
    let response = rig.fetch("/brave", CHUNKED, "").await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("false"), "{response}");
}

#[tokio::test]
async fn a_body_that_stalls_is_408() {
    let rig = rig(Uploads::new().stall(MS * 50)).await;
    for (headers, some) in
        [("content-length: 8\r\n", "123"), (CHUNKED, "3\r\n123\r\n"), (CHUNKED, "")]
    {
        let problem = problem(&rig.fetch("/", headers, some).await, 408);
        assert_eq!(problem["title"], "Request Timeout");
        assert_eq!(problem["limit"], "50ms");
    }
    rig.is_free().await;
}

/// Bytes below `at_least`.
#[tokio::test]
async fn a_body_that_trickles_is_408() {
    let rig = rig(Uploads::new().stall(MS * 50).at_least(1 << 10)).await;
    let mut client = rig.begin("/", "content-length: 8\r\n", "").await;
    let (mut reader, mut writer) = client.0.split();
    let trickle = async {
        for byte in 0..7 {
            tokio::time::sleep(MS * 20).await;
            let _closed = writer.write_all(&[b'0' + byte]).await;
        }
        std::future::pending::<()>().await;
    };
    let mut response = String::new();
    let received = tokio::io::AsyncReadExt::read_to_string(&mut reader, &mut response);
    let received = async { drop(tokio::time::timeout(LONG, received).await.unwrap()) };
    tokio::select! { () = received => {}, () = trickle => {} }
    problem(&response, 408);
}

#[tokio::test]
async fn a_response_that_has_begun_ends_in_an_error() {
    let rig = rig(Uploads::new().stall(MS * 50)).await;
    let response = rig.fetch("/echo", CHUNKED, "3\r\n123\r\n").await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.contains("\r\n123\r\n") && !response.ends_with("0\r\n\r\n"), "{response}");
    rig.is_free().await;
}

#[tokio::test]
async fn grpc_gets_the_status_in_the_head() {
    let rig = rig(Uploads::new().stall(MS * 50)).await;
    let grpc = "content-type: application/grpc\r\ncontent-length:";
    let response = rig.fetch("/", &format!("{grpc} 9\r\n"), "").await;
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains("\r\ngrpc-status: 8"),
        "{response}"
    );
    assert!(response.contains("\r\ngrpc-retry-pushback-ms: -1"), "{response}");
    let response = rig.fetch("/", &format!("{grpc} 8\r\n"), "123").await;
    assert!(response.contains("\r\ngrpc-status: 4"), "{response}");
}

#[tokio::test]
async fn an_invalid_length_does_not_reach_the_handler() {
    let rig = rig(Uploads::new()).await;
    for length in ["-1", "nine", "18446744073709551616", "3\r\ncontent-length: 4", "+3", "3, 4"] {
        let response = rig.fetch("/", &format!("content-length: {length}\r\n"), "123").await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{length}: {response}");
    }
    let response = rig.fetch("/", &format!("{CHUNKED}x: y\r\n"), "xyz\r\n").await;
    assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    assert_eq!(rig.calls.load(Ordering::Relaxed), 1);
    rig.is_free().await;
}

/// A half-close within the body breaks the request off; after the body, the client gets its
/// response.
#[tokio::test]
async fn half_closed() {
    let rig = rig(Uploads::new()).await;
    let mut responses = Vec::new();
    for body in ["12345678", "123"] {
        let mut client = rig.begin("/", "content-length: 8\r\n", body).await;
        client.0.shutdown().await.unwrap();
        responses.push(client.rest().await);
    }
    assert!(responses[0].starts_with("HTTP/1.1 200 "), "{responses:?}");
    assert!(
        responses[1].starts_with("HTTP/1.1 500 "),
        "what the handler made of it: {responses:?}"
    );
    rig.is_free().await;
}

#[test]
fn the_error_names_the_field_out_of_bounds() {
    for stall in [Duration::ZERO, Duration::MAX] {
        let error = UploadsLayer::new("uploads", Uploads::new().stall(stall)).unwrap_err();
        assert_eq!(error.field(), "stall");
        assert!(
            AdmissionControlLayer::builder().uploads(Uploads::new().stall(stall)).build().is_err()
        );
    }
}
