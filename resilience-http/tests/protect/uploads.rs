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
    /// Of `/`.
    calls: Arc<AtomicUsize>,
}

/// At most 8 bytes.
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
    let protect =
        AdmissionControlLayer::builder().name("api").concurrency(2).uploads(uploads.at_most(8));
    let protect = protect.build().unwrap();
    let bulkhead = protect.get_ref().bulkhead().unwrap().clone();
    let router = Router::new()
        .route("/", any(length))
        .route("/bytes", post(|body: Bytes| async move { body.len().to_string() }))
        .route("/echo", post(|body: Body| async move { body }))
        .route(
            "/brave",
            post(|body: Body| async move { format!("{}", body.collect().await.is_ok()) }),
        )
        .layer(protect);
    let (address, _) = serve(Server::default(), router).await;
    Rig { address, bulkhead, calls }
}

impl Rig {
    /// Sends a head and some of a body, and reads all that comes until the connection is closed.
    async fn ask(&self, path: &str, headers: &str, body: &str) -> String {
        let mut client = self.begin(path, headers, body).await;
        client.rest().await
    }

    async fn begin(&self, path: &str, headers: &str, body: &str) -> Client {
        let mut client = Client::connect(self.address).await;
        client.say(&format!("POST {path} HTTP/1.1\r\nhost: test\r\n{headers}\r\n{body}")).await;
        client
    }

    /// Nothing that went wrong keeps a place.
    async fn is_free(&self) {
        until(async || self.bulkhead.snapshot().in_use == 0).await;
        assert_eq!(status(self.address, "/", "").await, 200);
    }
}

const CHUNKED: &str = "transfer-encoding: chunked\r\n";

/// The problem that a response tells of, which has this status and closes the connection.
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
async fn what_says_that_it_is_too_large_is_not_read() {
    let rig = rig(Uploads::new()).await;
    // Nobody says that it should go on, either.
    for headers in ["content-length: 9\r\n", "content-length: 9\r\nexpect: 100-continue\r\n"] {
        let response = rig.ask("/", headers, "").await;
        let problem = problem(&response, 413);
        assert_eq!(problem["title"], "Content Too Large");
        assert_eq!(problem["limit"], 8);
        assert!(response.contains("\r\nx-resilience-retry: never"), "{response}");
    }
    assert_eq!(rig.calls.load(Ordering::Relaxed), 0);
    rig.is_free().await;
}

#[tokio::test]
async fn what_turns_out_too_large_is_413_whatever_the_handler_says() {
    let rig = rig(Uploads::new()).await;
    for path in ["/", "/bytes"] {
        for body in ["9\r\n123456789\r\n0\r\n\r\n", "5\r\n12345\r\n4\r\n6789\r\n0\r\n\r\n"] {
            problem(&rig.ask(path, CHUNKED, body).await, 413);
        }
    }
    assert_eq!(rig.calls.load(Ordering::Relaxed), 2);
    rig.is_free().await;
}

#[tokio::test]
async fn as_much_as_is_allowed_is_taken() {
    let rig = rig(Uploads::new()).await;
    let close = "connection: close\r\n";
    let response = rig.ask("/", &format!("{close}content-length: 8\r\n"), "12345678").await;
    assert!(response.ends_with("\r\n\r\n8"), "{response}");
    let chunks = "4\r\n1234\r\n4\r\n5678\r\n0\r\n\r\n";
    let response = rig.ask("/bytes", &format!("{close}{CHUNKED}"), chunks).await;
    assert!(response.ends_with("\r\n\r\n8"), "{response}");
}

/// Whoever can do without the rest of it may say so.
#[tokio::test]
async fn a_good_answer_stays() {
    let rig = rig(Uploads::new().stall(MS)).await;
    let response = rig.ask("/brave", CHUNKED, "9\r\n123456789\r\n").await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("false"), "{response}");
    let response = rig.ask("/brave", CHUNKED, "").await;
    assert!(response.starts_with("HTTP/1.1 200 ") && response.ends_with("false"), "{response}");
}

#[tokio::test]
async fn what_does_not_come_is_408() {
    let rig = rig(Uploads::new().stall(MS * 50)).await;
    for (headers, some) in
        [("content-length: 8\r\n", "123"), (CHUNKED, "3\r\n123\r\n"), (CHUNKED, "")]
    {
        let problem = problem(&rig.ask("/", headers, some).await, 408);
        assert_eq!(problem["title"], "Request Timeout");
        assert_eq!(problem["limit"], "50ms");
    }
    rig.is_free().await;
}

/// A byte now and then is not enough where more is asked for.
#[tokio::test]
async fn what_trickles_is_408() {
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
    let heard = tokio::io::AsyncReadExt::read_to_string(&mut reader, &mut response);
    let heard = async { drop(tokio::time::timeout(LONG, heard).await.unwrap()) };
    tokio::select! { () = heard => {}, () = trickle => {} }
    problem(&response, 408);
}

#[tokio::test]
async fn a_head_that_was_sent_is_not_taken_back() {
    let rig = rig(Uploads::new().stall(MS * 50)).await;
    let response = rig.ask("/echo", CHUNKED, "3\r\n123\r\n").await;
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
    assert!(response.contains("\r\n123\r\n") && !response.ends_with("0\r\n\r\n"), "{response}");
    rig.is_free().await;
}

#[tokio::test]
async fn grpc_is_told_in_its_head() {
    let rig = rig(Uploads::new().stall(MS * 50)).await;
    let grpc = "content-type: application/grpc\r\ncontent-length:";
    let response = rig.ask("/", &format!("{grpc} 9\r\n"), "").await;
    assert!(
        response.starts_with("HTTP/1.1 200 ") && response.contains("\r\ngrpc-status: 8"),
        "{response}"
    );
    assert!(response.contains("\r\ngrpc-retry-pushback-ms: -1"), "{response}");
    let response = rig.ask("/", &format!("{grpc} 8\r\n"), "123").await;
    assert!(response.contains("\r\ngrpc-status: 4"), "{response}");
}

#[tokio::test]
async fn a_length_that_is_none_reaches_nobody() {
    let rig = rig(Uploads::new()).await;
    for length in ["-1", "nine", "18446744073709551616", "3\r\ncontent-length: 4", "+3", "3, 4"] {
        let response = rig.ask("/", &format!("content-length: {length}\r\n"), "123").await;
        assert!(response.starts_with("HTTP/1.1 400 "), "{length}: {response}");
    }
    let response = rig.ask("/", &format!("{CHUNKED}x: y\r\n"), "xyz\r\n").await;
    assert!(response.starts_with("HTTP/1.1 500 "), "{response}");
    assert_eq!(rig.calls.load(Ordering::Relaxed), 1);
    rig.is_free().await;
}

/// Who has closed his side in the middle has broken his request off; who has closed it after is answered.
#[tokio::test]
async fn half_closed() {
    let rig = rig(Uploads::new()).await;
    let mut answers = Vec::new();
    for body in ["12345678", "123"] {
        let mut client = rig.begin("/", "content-length: 8\r\n", body).await;
        client.0.shutdown().await.unwrap();
        answers.push(client.rest().await);
    }
    assert!(answers[0].starts_with("HTTP/1.1 200 "), "{answers:?}");
    assert!(answers[1].starts_with("HTTP/1.1 500 "), "what the handler made of it: {answers:?}");
    rig.is_free().await;
}

#[test]
fn what_is_out_of_bounds_is_named() {
    for stall in [Duration::ZERO, Duration::MAX] {
        let error = UploadsLayer::new("uploads", Uploads::new().stall(stall)).unwrap_err();
        assert_eq!(error.field(), "stall");
        assert!(
            AdmissionControlLayer::builder().uploads(Uploads::new().stall(stall)).build().is_err()
        );
    }
}
