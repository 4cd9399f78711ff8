//! Which attempts are retried, and which are not.

use std::time::Duration;

use http::Method;
use parking_lot::Mutex;
use reqwest::{Body, Request, Response};
use resilience_core::{CarriesRejection, Error, RejectionKind};
use resilience_http::classify::{TransportError, TransportFailure};
use resilience_http::client::{ConnectionLimits, RequestWithIdempotency, ResilientClient};
use resilience_http::idempotency::{Idempotency, IdempotencyKey};
use tokio::net::TcpListener;

use crate::profile;
use crate::server::{Reply, Respond, serve, status};

const TEXT: &str = r#"
deadline = "20s"
retry = { max_attempts = 3, backoff = { base = "1ms", cap = "2ms" }, budget = { ratio = "100%", reserve = 10 } }
attempt_timeout = "2s"
"#;

fn client() -> ResilientClient {
    let builder = ResilientClient::builder(&profile(TEXT));
    builder.reqwest(reqwest::Client::builder().no_proxy()).build().unwrap()
}

fn request(method: Method, address: std::net::SocketAddr) -> Request {
    Request::new(method, format!("http://{address}/").parse().unwrap())
}

/// Returns the number of requests of a call with this response, and the result of the call.
async fn attempts(
    response: Respond,
    method: Method,
    change: impl FnOnce(RequestWithIdempotency<Request>) -> RequestWithIdempotency<Request>,
) -> (usize, Result<Response, Error<TransportError>>) {
    let (address, seen) = serve(response).await;
    let call = change(RequestWithIdempotency::new(request(method, address)));
    let result = client().execute(call).await;
    (seen.requests(), result)
}

#[tokio::test]
async fn retries_depend_on_the_method_and_the_response() {
    let keyed = |call: RequestWithIdempotency<Request>| {
        call.declared(Idempotency::Keyed(IdempotencyKey::random()))
    };
    for (response, get, post) in [
        ((|_, _| status(503)) as Respond, 3, 1),
        (|_, _| status(429), 3, 1),
        (|_, _| status(408), 3, 1),
        (|_, _| status(500), 3, 1),
        (|_, _| status(425), 3, 3),
        (|_, _| status(421), 1, 1),
        (|_, _| status(404), 1, 1),
        (|_, _| Reply::Reset, 3, 1),
        (|_, _| Reply::SendAndClose(String::new()), 3, 1),
        (|_, _| Reply::SendAndClose("HTTP/1.1 200 OK\r\ncontent-le".into()), 3, 1),
    ] {
        let (made, result) = attempts(response, Method::GET, |call| call).await;
        assert_eq!(made, get, "GET {result:?}");
        let (made, result) = attempts(response, Method::DELETE, |call| call).await;
        assert_eq!(made, get, "DELETE {result:?}");
        let (made, result) = attempts(response, Method::POST, |call| call).await;
        assert_eq!(made, post, "POST {result:?}");
        let (made, result) = attempts(response, Method::POST, keyed).await;
        assert_eq!(made, get, "POST with a key {result:?}");
        let never =
            |call: RequestWithIdempotency<Request>| call.declared(Idempotency::NotIdempotent);
        let (made, result) = attempts(response, Method::GET, never).await;
        assert_eq!(made, post, "GET that must not {result:?}");
    }
}

/// The attempt timeout is part of the profile.
#[tokio::test]
async fn a_post_that_timed_out_is_not_retried() {
    let hangs: Respond = |_, _| Reply::Hang;
    let (made, result) = attempts(hangs, Method::POST, |call| call).await;
    let error = result.unwrap_err();
    assert_eq!((made, error.rejection().unwrap().kind()), (1, RejectionKind::TimedOut));
}

#[tokio::test]
async fn a_post_without_a_connection_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let events = std::sync::Arc::new(Mutex::new(Vec::new()));
    let sink = events.clone();
    let profiles = resilience_core::profiles::Profiles::builder()
        .listen(move |event: &resilience_core::observe::Event<'_>| {
            sink.lock().push(event.name().to_owned());
        })
        .from_toml(&format!("[api]\n{TEXT}"))
        .unwrap();
    let client = ResilientClient::new(&profiles.profile("api").unwrap()).unwrap();
    let error = client.execute(request(Method::POST, address)).await.unwrap_err();
    assert_eq!(error.into_service().unwrap().failure(), TransportFailure::Connect);
    let scheduled = events.lock().iter().filter(|name| name.contains("scheduled")).count();
    assert_eq!(scheduled, 2, "{:?}", events.lock());
}

static KEYS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[tokio::test]
async fn a_generated_key_is_shared_by_the_attempts_of_a_call() {
    let (address, _) = serve(|_, head| {
        let line = head.lines().find(|line| line.starts_with("idempotency-key: "));
        KEYS.lock().push(line.unwrap_or("none").to_owned());
        status(503)
    })
    .await;
    let client = ResilientClient::builder(&profile(TEXT)).generate_keys().build().unwrap();
    let taken = || std::mem::take(&mut *KEYS.lock());
    client.execute(request(Method::POST, address)).await.unwrap();
    let first = taken();
    client.execute(request(Method::POST, address)).await.unwrap();
    let second = taken();
    assert_eq!((first.len(), second.len()), (3, 3));
    assert!(first.iter().all(|key| key == &first[0]) && first[0].len() == 17 + 34, "{first:?}");
    assert!(second.iter().all(|key| key == &second[0]) && second[0] != first[0]);

    let mut own = request(Method::POST, address);
    own.headers_mut().insert("idempotency-key", "\"mine\"".parse().unwrap());
    client.execute(own).await.unwrap();
    assert_eq!(taken(), ["idempotency-key: \"mine\""; 3]);
    client.execute(request(Method::GET, address)).await.unwrap();
    assert_eq!(taken(), ["none"; 3]);
}

#[tokio::test]
async fn a_streaming_body_is_sent_once() {
    let (address, seen) = serve(|_, _| status(503)).await;
    let mut streamed = request(Method::PUT, address);
    let body = http_body_util::Full::new(bytes::Bytes::from_static(b"x"));
    *streamed.body_mut() = Some(Body::wrap(body));
    let response = client().execute(streamed).await.unwrap();
    assert_eq!((response.status().as_u16(), seen.requests()), (503, 1));
}

#[tokio::test]
async fn nothing_is_retried_after_the_head_of_a_response() {
    let half: Respond =
        |_, _| Reply::SendAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into());
    let (made, response) = attempts(half, Method::GET, |call| call).await;
    let error = response.unwrap().bytes().await.unwrap_err();
    assert_eq!(TransportError::from(error).failure(), TransportFailure::Body);
    assert_eq!(made, 1);
}

#[tokio::test]
async fn a_redirect_is_returned() {
    let elsewhere: Respond = |_, _| {
        Reply::Send("HTTP/1.1 302 Found\r\nlocation: /x\r\ncontent-length: 0\r\n\r\n".into())
    };
    let (made, response) = attempts(elsewhere, Method::GET, |call| call).await;
    assert_eq!((made, response.unwrap().status().as_u16()), (1, 302));
}

#[tokio::test]
async fn a_failure_names_the_step_that_broke() {
    for (response, failure) in [
        ((|_, _| Reply::Reset) as Respond, TransportFailure::ResetAfterSent),
        (|_, _| Reply::SendAndClose(String::new()), TransportFailure::ResetAfterSent),
        (|_, _| Reply::SendAndClose("junk\r\n\r\n".into()), TransportFailure::Protocol),
    ] {
        let (_, result) = attempts(response, Method::POST, |call| call).await;
        let error = result.unwrap_err().into_service().unwrap();
        assert_eq!(error.failure(), failure, "{error:?}");
    }
    let hangs: Respond = |_, _| Reply::Hang;
    let (address, _) = serve(hangs).await;
    let mut late = request(Method::POST, address);
    *late.timeout_mut() = Some(Duration::from_millis(50));
    let error = client().execute(late).await.unwrap_err().into_service().unwrap();
    assert_eq!(error.failure(), TransportFailure::Timeout);
}

/// Whether the client notices the closed connection in time is chance; the request runs at most
/// once.
#[tokio::test]
async fn a_post_on_a_connection_that_dies_in_the_pool_runs_at_most_once() {
    let (address, seen) = serve(|_, _| status(200)).await;
    let client = client();
    for calls in 1..=20 {
        let before = seen.requests();
        let result = client.execute(request(Method::POST, address)).await;
        match result.map_err(|error| error.into_service().unwrap().failure()) {
            Ok(response) => assert_eq!(response.text().await.unwrap(), "ok"),
            Err(failure) => assert_eq!(failure, TransportFailure::ResetAfterSent, "{calls}"),
        }
        assert!(seen.requests() <= before + 1);
        seen.close_all();
    }
}

/// hyper reports that nothing of the request was written.
#[tokio::test]
async fn a_connection_that_was_closed_before_the_request_is_reset_before_sent() {
    use tokio::net::TcpStream;
    let (address, _) = serve(|_, _| status(200)).await;
    let io = hyper_util::rt::TokioIo::new(TcpStream::connect(address).await.unwrap());
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    drop(connection);
    let request = http::Request::new(http_body_util::Empty::<bytes::Bytes>::new());
    let error = TransportError::new(sender.send_request(request).await.unwrap_err());
    assert_eq!(error.failure(), TransportFailure::ResetBeforeSent, "{error:?}");
}

/// RFC 9113 §8.7: a refused stream was not processed, so even a POST is retried.
#[tokio::test]
async fn a_refused_http2_stream_is_retried() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut streams = 0;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            streams += 1;
            if streams < 3 {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                respond.send_response(http::Response::new(()), true).unwrap();
            }
        }
        streams
    });
    let reqwest = reqwest::Client::builder().no_proxy().http2_prior_knowledge();
    let client = ResilientClient::builder(&profile(TEXT)).reqwest(reqwest).build().unwrap();
    let response = client.execute(request(Method::POST, address)).await.unwrap();
    assert_eq!(response.status().as_u16(), 200);
    drop((response, client));
    assert_eq!(server.await.unwrap(), 3);
}

#[tokio::test]
async fn a_slowly_read_body_keeps_its_permit_and_a_dropped_one_returns_it() {
    let (address, _) = serve(|_, _| status(200)).await;
    let limits = ConnectionLimits::default().per_authority(1);
    let limits = limits.wait_at_most(Duration::from_millis(20));
    let client =
        ResilientClient::builder(&profile("deadline = \"9s\"")).connections(limits).build();
    let client = client.unwrap();
    let unread = client.execute(request(Method::GET, address)).await.unwrap();
    let error = client.execute(request(Method::GET, address)).await.unwrap_err();
    let rejection = error.rejection().unwrap();
    assert_eq!((rejection.kind(), rejection.layer()), (RejectionKind::BulkheadFull, "connections"));
    drop(unread);
    client.execute(request(Method::GET, address)).await.unwrap().text().await.unwrap();
    client.execute(request(Method::GET, address)).await.unwrap();
}
