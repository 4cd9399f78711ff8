//! tonic's clients above our layers, and its channel below them, over real sockets.

#![cfg(feature = "grpc")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::dns::Name;
use hyper_util::rt::TokioIo;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::{RetryPolicy, retry};
use resilience_core::stack::Stack;
use resilience_core::{
    AsOutcome, CarriesRejection, Classify, Error, Outcome, Rejection, RejectionKind, RetryHint,
};
use resilience_http::classify::{
    GrpcClassifier, HttpClassifier, TransportError, TransportFailure, to_status,
};
use resilience_http::propagate::{CallEnd, ExtractContextLayer, InjectContextLayer, LimitedBody};
use resilience_http::server::{AdmissionControlLayer, RejectionFormat};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Response, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tower::{ServiceBuilder, ServiceExt as _, service_fn};

const LONG: Duration = Duration::from_secs(30);
const PUSHBACK: &str = "grpc-retry-pushback-ms";

type Kind = RejectionKind;

fn of(status: &Status) -> Outcome {
    GrpcClassifier.classify(Err::<&Response<()>, _>(status))
}

fn ran(status: &Status) -> bool {
    GrpcClassifier.may_have_run(Err::<&Response<()>, _>(status))
}

/// Returns an address at which no server listens.
async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Channel::from_shared(format!("http://{address}")).unwrap()
}

/// Calls through a tonic client whose channel is below `stack`, up to three times, and returns the
/// last status and the number of attempts.
macro_rules! called {
    ($stack:expr, $address:expr, $map:expr) => {{
        let channel = endpoint($address).connect_lazy();
        let channel = channel.map_err(|error| Error::Service(TransportError::new(error)));
        let service = ServiceBuilder::new().layer_fn($map).layer($stack).service(channel);
        let client = HealthClient::new(service);
        let attempts = AtomicU64::new(0);
        let policy = RetryPolicy::builder().build().unwrap().with_classifier(GrpcClassifier);
        let result = retry(&policy, || {
            attempts.fetch_add(1, Ordering::Relaxed);
            let mut client = client.clone();
            async move { client.check(HealthCheckRequest::default()).await }
        })
        .await;
        (result.map(drop), attempts.into_inner())
    }};
}

macro_rules! rejected {
    ($stack:expr, $code:expr, $kind:expr) => {{
        let address = closed_port().await;
        let stack = $stack.name("inner").classifier(GrpcClassifier).build().unwrap();
        let (result, attempts) = called!(stack.clone(), address, |service| ServiceBuilder::new()
            .map_err(to_status)
            .service(service));
        let status = result.unwrap_err();
        assert_eq!((status.code(), attempts), ($code, 1), "{status:?}");
        assert!(!status.message().contains("inner"), "{status:?}");
        assert_eq!(Rejection::find(&status).map(Rejection::kind), Some($kind));
        assert!(matches!(of(&status), Outcome::NotReady(_)) && !ran(&status), "{status:?}");
        let after = Rejection::find(&status).and_then(Rejection::retry_after);
        let pushback = status.metadata().get(PUSHBACK).map(|value| value.to_str().unwrap());
        let expected = after.map(|after| after.as_nanos().div_ceil(1_000_000).to_string());
        assert_eq!(pushback, expected.as_deref(), "{status:?}");

        let (result, attempts) = called!(stack, address, |service| service);
        let status = result.unwrap_err();
        assert_eq!((status.code(), attempts), (Code::Unknown, 1), "{status:?}");
        assert!(matches!(of(&status), Outcome::NotReady(_)), "{status:?}");
        assert_eq!(to_status(status).code(), $code, "converted later");
    }};
}

/// An open breaker, a full bulkhead and an exhausted limit: with the layer that converts their
/// rejections to statuses, and without it, as tonic converts them.
#[tokio::test]
async fn a_rejection_by_a_stack_is_not_retried() {
    let open = CircuitBreaker::builder().name("inner.circuit").build().unwrap();
    open.force_open();
    let full =
        Bulkhead::builder().name("inner.bulkhead").max_concurrent(1).reject().build().unwrap();
    let _taken = full.try_acquire(1).unwrap();
    let spent = RateLimiter::builder()
        .name("inner.limit")
        .quota(Quota::per(1, LONG * 120))
        .reject()
        .build()
        .unwrap();
    spent.check(1).unwrap();
    rejected!(Stack::builder().circuit_breaker(open.clone()), Code::Unavailable, Kind::CircuitOpen);
    rejected!(Stack::builder().bulkhead(full.clone()), Code::ResourceExhausted, Kind::BulkheadFull);
    rejected!(
        Stack::builder().rate_limit(spent.clone()),
        Code::ResourceExhausted,
        Kind::RateLimited
    );
}

#[test]
fn every_kind_of_rejection_is_converted_to_a_status() {
    let second = Duration::from_secs(1);
    for (kind, code, after, pushback) in [
        (Kind::CircuitOpen, Code::Unavailable, Some(second), Some("1000")),
        (Kind::BulkheadFull, Code::ResourceExhausted, None, None),
        (Kind::RateLimited, Code::ResourceExhausted, Some(second), Some("1000")),
        (Kind::Shed, Code::ResourceExhausted, None, None),
        (Kind::TimedOut, Code::DeadlineExceeded, None, None),
        (Kind::DeadlineExceeded, Code::DeadlineExceeded, None, None),
        (Kind::ShuttingDown, Code::Unavailable, None, Some("1000")),
    ] {
        let rejection = Rejection::new(kind, "inner.layer").with_key("tenant").with_limit(77);
        let rejection = match after {
            Some(after) => rejection.with_retry_after(after),
            None => rejection,
        };
        let boxed: Box<dyn std::error::Error + Send + Sync> = rejection.clone().into();
        let nested = io::Error::other(io::Error::other(rejection.clone()));
        let typed = Error::<TransportError>::Rejected(rejection.clone());
        let wrapped = Error::Service(TransportError::new(rejection.clone()));
        let again = to_status(to_status(rejection.clone()));
        let by_tonic = to_status(Status::from_error(rejection.clone().into()));
        for status in [
            to_status(boxed),
            to_status(nested),
            to_status(typed),
            to_status(wrapped),
            again,
            by_tonic,
        ] {
            assert_eq!(status.code(), code, "{kind:?} {status:?}");
            let said = status.metadata().get(PUSHBACK).map(|value| value.to_str().unwrap());
            assert_eq!(said, pushback, "{kind:?}");
            for name in ["inner", "tenant", "77"] {
                assert!(!status.message().contains(name), "{kind:?} {status:?}");
            }
            assert_eq!(Rejection::find(&status), Some(&rejection), "{kind:?}");
            assert_eq!(of(&status), rejection.as_outcome(), "{kind:?}");
            assert_eq!(ran(&status), rejection.may_have_run(), "{kind:?}");
            let carried: Box<dyn std::error::Error + Send + Sync> = status.into();
            assert_eq!(carried.rejection(), Some(&rejection), "{kind:?}");
        }
    }
    let named = RejectionFormat::new().status(&Rejection::new(Kind::Shed, "api"));
    assert_eq!(named.message(), "api: overloaded");
}

/// The status of a server, with its hints, whatever its message.
#[test]
fn a_received_status_is_classified_by_its_code() {
    for (code, pushback, expected) in [
        (Code::Ok, None, Outcome::Success),
        (Code::Unavailable, None, Outcome::transient()),
        (
            Code::Unavailable,
            Some("250"),
            Outcome::Transient(RetryHint::After(Duration::from_millis(250))),
        ),
        (Code::Unavailable, Some("-1"), Outcome::Transient(RetryHint::Never)),
        (Code::ResourceExhausted, Some("250"), Outcome::throttled(Duration::from_millis(250))),
        (Code::NotFound, Some("250"), Outcome::Permanent),
        (Code::DeadlineExceeded, None, Outcome::TimedOut),
        (Code::Cancelled, None, Outcome::Abandoned),
    ] {
        let mut status = Status::new(code, "circuit open, deadline exceeded");
        if let Some(pushback) = pushback {
            status.metadata_mut().insert(PUSHBACK, pushback.parse().unwrap());
        }
        assert_eq!(of(&status), expected, "{status:?}");
        assert!(ran(&status), "{status:?}");
        assert_eq!(to_status(status.clone()).code(), code);
        let error = Error::Service(status);
        assert_eq!(GrpcClassifier.classify(Err::<&Response<()>, _>(&error)), expected);
    }
}

/// `RetryInfo` in the details, which tonic has decoded already.
#[test]
fn the_details_of_a_received_status_are_read() {
    let delay = [0x0a, 2, 0x08, 3];
    let url = b"type.googleapis.com/google.rpc.RetryInfo";
    let any = [&[0x0a, 40][..], url, &[0x12, 4], &delay].concat();
    let details = [&[0x1a, 48][..], &any].concat();
    let status = Status::with_details(Code::Unavailable, "", details.into());
    assert_eq!(of(&status), Outcome::Transient(RetryHint::After(Duration::from_secs(3))));
}

/// A rejection by this crate's server is read by a tonic client.
#[tokio::test]
async fn the_rejection_of_a_server_is_a_status_with_pushback() {
    let (_reporter, health) = tonic_health::server::health_reporter();
    let protect = AdmissionControlLayer::builder().rate(Quota::per(1, LONG * 120)).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::builder().layer(protect).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let mut client = HealthClient::new(endpoint(address).connect_lazy());
    client.check(HealthCheckRequest::default()).await.unwrap();
    let status = client.check(HealthCheckRequest::default()).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    let Outcome::Throttled(RetryHint::After(wait)) = of(&status) else { panic!("{status:?}") };
    assert!(wait > Duration::from_secs(3_500), "{wait:?}");
}

async fn failure(channel: Channel) -> (TransportError, Status) {
    let request = http::Request::post("/x/Y").body(tonic::body::Body::empty()).unwrap();
    let mut failing = channel.clone();
    let called = async move {
        let ready = tower::ServiceExt::ready(&mut failing).await?;
        tower::Service::call(ready, request).await
    };
    let error = tokio::time::timeout(LONG, called).await.unwrap().unwrap_err();
    let error = TransportError::new(error);
    let mut client = HealthClient::new(channel.map_err(to_status));
    let checked = client.check(HealthCheckRequest::default());
    let status = tokio::time::timeout(LONG, checked).await.unwrap().unwrap_err();
    (error, status)
}

/// Returns a listener with a full queue: the operating system drops further connects, which then
/// never end.
async fn full_queue() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut waiting = Vec::new();
    for _ in 0..64 {
        let connecting =
            tokio::time::timeout(Duration::from_millis(200), TcpStream::connect(address));
        match connecting.await {
            Ok(connected) => waiting.push(connected.unwrap()),
            Err(_) => return (listener, waiting, address),
        }
    }
    panic!("the queue never fills up");
}

/// All causes of a missing connection, over tonic's connector and over others.
#[tokio::test]
async fn a_channel_without_a_connection_has_sent_nothing() {
    let soon = Duration::from_millis(100);
    let (_listener, _waiting, full) = full_queue().await;
    let somewhere = Endpoint::from_static("http://nowhere.invalid:1");
    let no_name = HttpConnector::new_with_resolver(service_fn(|_: Name| async {
        Err::<std::vec::IntoIter<SocketAddr>, _>(io::Error::other("no such name"))
    }));
    let hangs = service_fn(|_: Uri| async {
        std::future::pending::<()>().await;
        Err::<TokioIo<TcpStream>, _>(io::Error::other("never"))
    });
    let unreachable = service_fn(|_: Uri| async {
        Err::<TokioIo<TcpStream>, _>(io::Error::from(io::ErrorKind::HostUnreachable))
    });
    for (what, channel) in [
        ("refused", endpoint(closed_port().await).connect_lazy()),
        ("a name that does not resolve", somewhere.connect_lazy()),
        ("by another resolver", somewhere.connect_with_connector_lazy(no_name)),
        ("slow", endpoint(full).connect_timeout(soon).connect_lazy()),
        (
            "slow, another connector",
            somewhere.clone().connect_timeout(soon).connect_with_connector_lazy(hangs),
        ),
        ("unreachable", somewhere.connect_with_connector_lazy(unreachable)),
        ("no file", Endpoint::from_static("unix:///nowhere/at/all").connect_lazy()),
    ] {
        let (error, status) = failure(channel).await;
        assert_eq!(error.failure(), TransportFailure::Connect, "{what}: {error:?}");
        assert_eq!(
            (error.as_outcome(), error.may_have_run()),
            (Outcome::transient(), false),
            "{what}"
        );
        let error = Error::Service(error);
        let result = Err::<&http::Response<()>, _>(&error);
        assert!(
            !GrpcClassifier.may_have_run(result) && !HttpClassifier::new().may_have_run(result)
        );
        assert_eq!(status.code(), Code::Unavailable, "{what}: {status:?}");
        assert_eq!((of(&status), ran(&status)), (Outcome::transient(), false), "{what}");
    }
}

/// With a connection, the call may have been processed before the timeout.
#[tokio::test]
async fn a_call_that_times_out_may_have_run() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let count = calls.clone();
    tokio::spawn(async move {
        let service = service_fn(move |_: axum::extract::Request| {
            count.fetch_add(1, Ordering::Relaxed);
            async {
                std::future::pending::<()>().await;
                Ok::<_, Infallible>(http::Response::new(axum::body::Body::empty()))
            }
        });
        let routes = tonic::service::Routes::from(axum::Router::new().fallback_service(service));
        Server::builder().add_routes(routes).serve_with_incoming(TcpIncoming::from(listener)).await
    });
    let (error, status) =
        failure(endpoint(address).timeout(Duration::from_millis(300)).connect_lazy()).await;
    assert_eq!(error.failure(), TransportFailure::Timeout, "{error:?}");
    assert_eq!((error.as_outcome(), error.may_have_run()), (Outcome::TimedOut, true));
    assert_eq!(status.code(), Code::DeadlineExceeded, "{status:?}");
    assert_eq!((of(&status), ran(&status)), (Outcome::TimedOut, true));
    assert_eq!(calls.load(Ordering::Relaxed), 2);
}

/// Ends a body at the deadline of its call, like `serve`.
fn limited<B>(mut response: http::Response<B>) -> http::Response<LimitedBody<B>> {
    let end = response.extensions_mut().remove::<CallEnd>();
    response.map(|body| LimitedBody::new(body, end))
}

/// The limit of an attempt ends with the head, at the server as at the client.
#[tokio::test]
async fn a_stream_outlives_the_limit_of_its_attempt() {
    let limit = Duration::from_secs(1);
    let (reporter, health) = tonic_health::server::health_reporter();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let layers = ServiceBuilder::new().map_response(limited).layer(ExtractContextLayer::new());
    let server = Server::builder().layer(layers).add_service(health);
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    let channel = endpoint(address).connect_lazy();
    let service = ServiceBuilder::new()
        .map_err(to_status)
        .layer(Stack::builder().attempt_timeout(limit).classifier(GrpcClassifier).build().unwrap())
        .layer(InjectContextLayer::new())
        .service(channel.map_err(|error| Error::Service(TransportError::new(error))));
    let mut client = HealthClient::new(service);
    let watched = client.watch(HealthCheckRequest::default()).await.unwrap();
    let mut statuses = watched.into_inner();
    let mut next = async || {
        let next = tokio::time::timeout(LONG, statuses.message());
        next.await.unwrap().unwrap().map(|it| it.status())
    };
    assert_eq!(next().await, Some(ServingStatus::Serving));
    tokio::time::sleep(limit + limit / 2).await;
    reporter.set_service_status("", tonic_health::ServingStatus::NotServing).await;
    assert_eq!(next().await, Some(ServingStatus::NotServing));
}
