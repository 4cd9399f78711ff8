//! A call ends with its body, for the circuit and for the permits of the profile.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use resilience_core::breaker::{CircuitSnapshot, CircuitState};
use resilience_core::{CarriesRejection, RejectionKind};
use resilience_http::classify::{TransportError, TransportFailure};
use resilience_http::client::{
    Authority, ResilientClient, ResilientClientBuilder, ResilientLayer, ResilientService,
};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::profile;
use crate::server::{Reply, Respond, serve, status};

const TEXT: &str = r#"
deadline = "20s"
retry = { max_attempts = 3, backoff = { base = "1ms", cap = "2ms" }, budget = { ratio = "100%", reserve = 10 } }
circuit_breaker = { consecutive_failures = 3, failure_rate = "100%", window = { count = 100 }, minimum_calls = 100, break_for = "1m" }
bulkhead = { max_concurrent = 1 }
"#;

/// A good head, and half a body.
const BREAKS: Respond =
    |_, _| Reply::SendAndClose("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into());

fn reqwest_client() -> ResilientClient {
    builder().build().unwrap()
}

fn builder() -> ResilientClientBuilder {
    let builder = ResilientClient::builder(&profile(TEXT));
    builder.reqwest(reqwest::Client::builder().no_proxy())
}

fn hyper_client() -> ResilientService<Client<HttpConnector, Empty<Bytes>>> {
    let layer = ResilientLayer::new(&profile(TEXT)).unwrap();
    layer.layer(Client::builder(TokioExecutor::new()).build_http())
}

fn request(address: SocketAddr) -> http::Request<Empty<Bytes>> {
    http::Request::get(format!("http://{address}/")).body(Empty::new()).unwrap()
}

fn circuit(layer: &ResilientLayer, address: SocketAddr) -> CircuitSnapshot {
    let authority = Authority::new("http", &address.ip().to_string(), Some(address.port()));
    layer.snapshot(&authority.unwrap()).unwrap().circuit_breaker.unwrap()
}

fn in_use(layer: &ResilientLayer, address: SocketAddr) -> u32 {
    let authority = Authority::new("http", &address.ip().to_string(), Some(address.port()));
    layer.snapshot(&authority.unwrap()).unwrap().bulkhead.unwrap().in_use
}

#[tokio::test]
async fn a_server_that_breaks_every_body_opens_its_circuit_over_reqwest() {
    let (address, seen) = serve(BREAKS).await;
    let client = reqwest_client();
    for _ in 0..3 {
        let response = client.get(format!("http://{address}/")).await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let error = TransportError::from(response.bytes().await.unwrap_err());
        assert_eq!(error.failure(), TransportFailure::Body);
    }
    let rejected = client.get(format!("http://{address}/")).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    let seen_of = circuit(client.layer(), address);
    assert_eq!((seen_of.state, seen.requests()), (CircuitState::Open, 3));
}

#[tokio::test]
async fn a_server_that_breaks_every_body_opens_its_circuit_over_hyper() {
    let (address, seen) = serve(BREAKS).await;
    let client = hyper_client();
    for _ in 0..3 {
        let response = client.clone().oneshot(request(address)).await.unwrap();
        let error = response.into_body().collect().await.unwrap_err();
        assert_eq!(TransportError::new(error).failure(), TransportFailure::ResetAfterSent);
    }
    let rejected = client.clone().oneshot(request(address)).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    assert_eq!(seen.requests(), 3);
}

#[tokio::test]
async fn each_call_is_counted_once_by_its_end() {
    let (address, _) = serve(|number, _| match number {
        0 | 2 => status(200),
        1 => BREAKS(number, ""),
        3 => Reply::Send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".into()),
        4 => status(404),
        _ => Reply::Send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into()),
    })
    .await;
    let client = reqwest_client();
    let counted = || {
        let seen = circuit(client.layer(), address);
        (seen.calls, seen.failures)
    };
    let get = async || client.get(format!("http://{address}/")).await.unwrap();
    let good = get().await;
    assert_eq!(counted(), (0, 0));
    good.bytes().await.unwrap();
    assert_eq!(counted(), (1, 0));
    get().await.bytes().await.unwrap_err();
    assert_eq!(counted(), (2, 1));
    // An unread body: the head was good, and only the head was needed.
    drop(get().await);
    assert_eq!(counted(), (3, 1));
    let empty = get().await;
    assert_eq!(counted(), (4, 1));
    empty.bytes().await.unwrap();
    assert_eq!(counted(), (4, 1));
    // Classified by its head, whatever the circuit is configured for.
    let at_the_head = {
        get().await;
        counted()
    };
    let mut left = get().await;
    assert_eq!(left.chunk().await.unwrap().unwrap(), "half");
    drop(left);
    assert_eq!(counted(), at_the_head);
    assert_eq!(in_use(client.layer(), address), 0);
}

#[tokio::test]
async fn the_bulkhead_permit_is_held_until_the_body_ends() {
    let (address, _) = serve(|_, _| status(200)).await;
    let client = hyper_client();
    let unread = client.clone().oneshot(request(address)).await.unwrap();
    assert_eq!(in_use(client.layer(), address), 1);
    let rejected = client.clone().oneshot(request(address)).await.unwrap_err();
    assert_eq!(rejected.rejection().unwrap().kind(), RejectionKind::BulkheadFull);
    unread.into_body().collect().await.unwrap();
    assert_eq!(in_use(client.layer(), address), 0);
    // Holds for a failure response, too.
    let (address, _) = serve(|_, _| status(404)).await;
    let unread = client.clone().oneshot(request(address)).await.unwrap();
    assert_eq!(in_use(client.layer(), address), 1);
    drop(unread);
    assert_eq!(in_use(client.layer(), address), 0);
}

/// The body of an attempt that is retried is dropped.
#[tokio::test]
async fn retried_attempts_hold_no_permit() {
    let (address, seen) = serve(|number, _| status(if number < 2 { 503 } else { 200 })).await;
    let client = reqwest_client();
    let response = client.get(format!("http://{address}/")).await.unwrap();
    assert_eq!((seen.requests(), in_use(client.layer(), address)), (3, 1));
    assert_eq!(circuit(client.layer(), address).calls, 2);
    response.bytes().await.unwrap();
    assert_eq!(circuit(client.layer(), address).calls, 3);
    assert_eq!(in_use(client.layer(), address), 0);
}

/// The circuit opened while the body was in flight, so the end of the body has no effect.
#[tokio::test]
async fn a_body_that_ends_late_does_not_close_the_circuit() {
    let (address, _) = serve(|_, _| status(200)).await;
    let client = hyper_client();
    let late = client.clone().oneshot(request(address)).await.unwrap();
    let authority = Authority::new("http", "127.0.0.1", Some(address.port())).unwrap();
    client.layer().profile(&authority).unwrap().circuit_breaker().unwrap().open();
    late.into_body().collect().await.unwrap();
    assert_eq!(circuit(client.layer(), address).state, CircuitState::Open);
}

#[tokio::test]
async fn a_stalled_body_is_ended_and_counted() {
    let (address, _) =
        serve(|_, _| Reply::Send("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf".into())).await;
    let client = builder().body_stall(Duration::from_millis(20)).build().unwrap();
    for _ in 0..3 {
        let response = client.get(format!("http://{address}/")).await.unwrap();
        let error = TransportError::from(response.bytes().await.unwrap_err());
        assert_eq!(error.failure(), TransportFailure::Timeout);
    }
    let seen = circuit(client.layer(), address);
    assert_eq!((seen.state, in_use(client.layer(), address)), (CircuitState::Open, 0));
}

#[test]
fn a_stall_timeout_of_zero_is_rejected() {
    for limit in [Duration::ZERO, Duration::MAX] {
        let layer = ResilientLayer::builder(&profile(TEXT)).body_stall(limit);
        assert_eq!(layer.build().unwrap_err().field(), "body_stall");
    }
}

type Scripted = http::Response<http_body_util::combinators::UnsyncBoxBody<Bytes, tower::BoxError>>;

/// gRPC responses with these trailers, if there are any.
fn grpc(
    trailers: Option<&'static str>,
) -> ResilientService<
    impl Service<http::Request<()>, Response = Scripted, Error = std::io::Error, Future: Send> + Clone,
> {
    let layer = ResilientLayer::new(&profile(TEXT)).unwrap();
    layer.layer(service_fn(move |_: http::Request<()>| async move {
        let trailers = trailers.map(|code| {
            let pair = ("grpc-status".parse().unwrap(), code.parse().unwrap());
            Ok(http_body::Frame::trailers(http::HeaderMap::from_iter([pair])))
        });
        let data = Ok(http_body::Frame::data(Bytes::from_static(b"message")));
        let frames = futures_util::stream::iter([data].into_iter().chain(trailers));
        let mut response =
            http::Response::new(http_body_util::StreamBody::new(frames).boxed_unsync());
        let grpc = http::HeaderValue::from_static("application/grpc");
        response.headers_mut().insert(http::header::CONTENT_TYPE, grpc);
        Ok(response)
    }))
}

#[tokio::test]
async fn a_grpc_call_is_classified_by_its_trailers() {
    for (trailers, calls, failures) in [
        (Some("0"), 1, 0),
        (Some("14"), 1, 1),
        (Some("5"), 1, 0),
        (Some("1"), 0, 0),
        (Some("junk"), 1, 1),
        // A gRPC body that broke off.
        (None, 1, 1),
    ] {
        let service = grpc(trailers);
        let request = http::Request::post("http://a.example/").body(()).unwrap();
        let call = service.clone().oneshot(request);
        // A spawned call must be `Send` with a boxed error, too.
        let read = tokio::spawn(async move { call.await.unwrap().into_body().collect().await });
        read.await.unwrap().unwrap();
        let authority = Authority::new("http", "a.example", None).unwrap();
        let seen = service.layer().snapshot(&authority).unwrap().circuit_breaker.unwrap();
        assert_eq!((seen.calls, seen.failures), (calls, failures), "{trailers:?}");
    }
}
