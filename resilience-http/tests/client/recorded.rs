//! Streaming bodies of reqwest requests that are recorded while they are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::routing::any;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method, StatusCode};
use parking_lot::Mutex;
use reqwest::{Body, Request};
use resilience_http::client::{RecordedRequest, RequestWithIdempotency, ResilientClient};
use resilience_http::idempotency::{Idempotency, IdempotencyKey};
use tower::ServiceExt;

use crate::profile;

const TEXT: &str = r#"
deadline = "20s"
retry = { max_attempts = 3, backoff = { base = "1ms", cap = "1ms" }, budget = { ratio = "100%", reserve = 10 } }
"#;

type Seen = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// A server that reads each request, or not, and responds 503, and the requests that it has
/// received.
async fn serve(reads: bool) -> (String, Seen) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let seen = Seen::default();
    let received = seen.clone();
    let response = async move |headers: HeaderMap, body: axum::body::Body| {
        let most = if reads { usize::MAX } else { 0 };
        let body = axum::body::to_bytes(body, most).await.unwrap_or_default();
        received.lock().push((headers, body));
        StatusCode::SERVICE_UNAVAILABLE
    };
    let router = Router::new().route("/", any(response));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, seen)
}

fn client() -> ResilientClient {
    let builder = ResilientClient::builder(&profile(TEXT));
    builder.reqwest(reqwest::Client::builder().no_proxy()).build().unwrap()
}

/// Returns a request whose body is created as it is read, and the counter of creations.
fn upload(method: Method, url: &str) -> (Request, Arc<AtomicUsize>) {
    let made = Arc::new(AtomicUsize::new(0));
    let pieces = {
        let made = made.clone();
        stream::iter(["a ", "stream"]).map(move |piece| {
            made.fetch_add(1, Ordering::Relaxed);
            Ok::<_, std::io::Error>(piece)
        })
    };
    let mut request = Request::new(method, url.parse().unwrap());
    request.headers_mut().insert("x-own", "kept".parse().unwrap());
    *request.body_mut() = Some(Body::wrap_stream(pieces));
    (request, made)
}

fn bodies(seen: &Seen) -> Vec<Bytes> {
    assert!(seen.lock().iter().all(|(headers, _)| headers["x-own"] == "kept"), "{seen:?}");
    std::mem::take(&mut *seen.lock()).into_iter().map(|(_, body)| body).collect()
}

#[tokio::test]
async fn a_stream_within_the_cap_is_retried_whole() {
    let (url, seen) = serve(true).await;
    let (request, made) = upload(Method::PUT, &url);
    let response = client().execute(RecordedRequest::new(request, 8)).await.unwrap();
    assert_eq!(response.status(), 503);
    assert_eq!(bodies(&seen), ["a stream"; 3]);
    assert_eq!(made.load(Ordering::Relaxed), 2);
    // The client is a service, too.
    let (request, _) = upload(Method::PUT, &url);
    client().oneshot(RecordedRequest::new(request, 8)).await.unwrap();
    assert_eq!(bodies(&seen), ["a stream"; 3]);
}

#[tokio::test]
async fn a_stream_above_the_cap_or_unrecorded_is_sent_once() {
    let (url, seen) = serve(true).await;
    let (request, _) = upload(Method::PUT, &url);
    let response = client().execute(RecordedRequest::new(request, 7)).await.unwrap();
    assert_eq!((response.status().as_u16(), bodies(&seen)), (503, vec!["a stream".into()]));
    let (request, _) = upload(Method::PUT, &url);
    let response = client().execute(request).await.unwrap();
    assert_eq!((response.status().as_u16(), bodies(&seen)), (503, vec!["a stream".into()]));
}

/// The part that the server has read is not known.
#[tokio::test]
async fn a_response_before_the_end_of_the_body_is_not_retried() {
    let (url, seen) = serve(false).await;
    let endless = stream::repeat_with(|| Ok::<_, std::io::Error>(Bytes::from(vec![b'x'; 1_000])));
    let (mut request, _) = upload(Method::PUT, &url);
    *request.body_mut() = Some(Body::wrap_stream(endless));
    let result = client().execute(RecordedRequest::new(request, usize::MAX)).await;
    assert!(result.is_ok_and(|response| response.status() == 503));
    assert_eq!(bodies(&seen), [""]);
}

/// Like every other request.
#[tokio::test]
async fn a_recorded_post_is_sent_once() {
    let (url, seen) = serve(true).await;
    let (request, _) = upload(Method::POST, &url);
    client().execute(RecordedRequest::new(request, 8)).await.unwrap();
    assert_eq!(bodies(&seen).len(), 1);
    let (request, _) = upload(Method::POST, &url);
    let key = Idempotency::Keyed(IdempotencyKey::random());
    client()
        .execute(RequestWithIdempotency::new(RecordedRequest::new(request, 8)).declared(key))
        .await
        .unwrap();
    let keys: Vec<_> =
        seen.lock().iter().map(|(headers, _)| headers["idempotency-key"].clone()).collect();
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(bodies(&seen).len(), 3);
}

/// A body in memory is not recorded, and has no cap.
#[tokio::test]
async fn a_body_in_memory_is_copied() {
    let (url, seen) = serve(true).await;
    for body in [None, Some("in memory")] {
        let (mut request, _) = upload(Method::PUT, &url);
        *request.body_mut() = body.map(Body::from);
        client().execute(RecordedRequest::new(request, 0)).await.unwrap();
        assert_eq!(bodies(&seen), [body.unwrap_or_default(); 3]);
    }
}
