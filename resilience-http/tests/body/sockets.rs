//! Bodies on real sockets that stall, reset and close midway.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Empty, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use resilience_core::breaker::{AbandonedPolicy, CircuitBreaker, CircuitState};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::{CarriesRejection, Outcome, RejectionKind};
use resilience_http::body::{BodyBreakerLayer, BodyBulkheadLayer, StallBody, StallTimeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{BoxError, Layer, ServiceBuilder, ServiceExt, service_fn};

/// Behaviour of a server after it has sent half of a body.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Then {
    Ends,
    Stalls,
    Resets,
    ClosesItsHalf,
}

async fn server(then: Then) -> std::net::SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _head = stream.read(&mut [0; 1_024]).await.unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
        match then {
            Then::Ends => stream.write_all(b"half").await.unwrap(),
            Then::Stalls => std::future::pending().await,
            Then::Resets => stream.set_zero_linger().unwrap(),
            Then::ClosesItsHalf => {
                stream.shutdown().await.unwrap();
                std::future::pending().await
            }
        }
    });
    address
}

#[tokio::test]
async fn a_response_that_does_not_end_is_an_error_and_releases_everything() {
    for then in [Then::Ends, Then::Stalls, Then::Resets, Then::ClosesItsHalf] {
        let bulkhead = Bulkhead::builder().max_concurrent(1).build().unwrap();
        let breaker = CircuitBreaker::builder().consecutive_failures(1).build().unwrap();
        let address = server(then).await;
        let service = ServiceBuilder::new()
            .layer(BodyBulkheadLayer::new(bulkhead.clone()))
            .layer(BodyBreakerLayer::new(breaker.clone()))
            .service(service_fn(move |request: Request<Empty<Bytes>>| async move {
                let stream = TokioIo::new(TcpStream::connect(address).await?);
                let (mut sender, connection) =
                    hyper::client::conn::http1::handshake(stream).await?;
                tokio::spawn(connection);
                let response: Response<Incoming> = sender.send_request(request).await?;
                let stall = StallTimeout::new(Duration::from_millis(50))?;
                Ok::<_, BoxError>(
                    response.map(|body| StallBody::new(body.map_err(BoxError::from), stall)),
                )
            }));
        let mut body = service.oneshot(Request::new(Empty::new())).await.unwrap().into_body();
        let end = loop {
            match body.frame().await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break Some(error),
                None => break None,
            }
        };
        assert_eq!(end.is_none(), then == Then::Ends, "{then:?}");
        let kind = end.as_ref().and_then(CarriesRejection::rejection).map(|why| why.kind());
        let stalled = (then == Then::Stalls).then_some(RejectionKind::TimedOut);
        assert_eq!(kind, stalled, "{then:?}");
        assert_eq!(bulkhead.snapshot().in_use, 0, "{then:?}");
        assert_eq!(breaker.state() == CircuitState::Closed, then == Then::Ends, "{then:?}");
        drop(body);
    }
}

/// A client that uploads a byte now and then, or closes its half midway.
#[tokio::test]
async fn a_request_that_does_not_end_is_rejected() {
    for closes in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
        let response = hyper::service::service_fn(move |request: Request<Incoming>| {
            let sender = sender.clone();
            async move {
                let stall = StallTimeout::new(Duration::from_millis(50)).unwrap().at_least(1_000);
                let body = request.into_body().map_err(BoxError::from);
                let error = StallBody::new(body, stall).collect().await.unwrap_err();
                sender.send(error.rejection().map(|why| why.kind())).await.unwrap();
                let response = Response::builder().status(408);
                Ok::<_, Infallible>(response.body(Empty::<Bytes>::new()).unwrap())
            }
        });
        let mut server = hyper::server::conn::http1::Builder::new();
        tokio::spawn(server.half_close(true).serve_connection(TokioIo::new(stream), response));
        client
            .write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5000\r\n\r\n")
            .await
            .unwrap();
        if closes {
            client.shutdown().await.unwrap();
        }
        let expected = (!closes).then_some(RejectionKind::TimedOut);
        let trickle = async {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                if !closes && client.write_all(b"a").await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        tokio::select! {
            kind = receiver.recv() => assert_eq!(kind, Some(expected), "{closes}"),
            () = trickle => {}
        }
    }
}

/// Serves one HTTP/1 request with this response, and returns the state of a circuit that counts an
/// abandoned body as a failure.
async fn served(response: Response<Stepwise>) -> CircuitState {
    let breaker = CircuitBreaker::builder().consecutive_failures(1);
    let breaker = breaker.abandoned(AbandonedPolicy::Failure).build().unwrap();
    let response = std::sync::Arc::new(parking_lot::Mutex::new(Some(response)));
    let service =
        BodyBreakerLayer::new(breaker.clone()).layer(service_fn(move |_: Request<Incoming>| {
            let response = response.lock().take().unwrap();
            async move { Ok::<_, BoxError>(response) }
        }));
    let (server, mut client) = pair().await;
    let service = hyper_util::service::TowerToHyperService::new(service);
    let server = tokio::spawn(
        hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(server), service),
    );
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    client.read_to_end(&mut Vec::new()).await.unwrap();
    server.await.unwrap().unwrap();
    breaker.state()
}

async fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    (listener.accept().await.unwrap().0, client)
}

type Stepwise =
    StreamBody<futures_util::stream::Iter<std::vec::IntoIter<Result<Frame<Bytes>, BoxError>>>>;

/// hyper drops a body of known length with its last byte, and a body that is not to be sent without
/// a poll.
#[tokio::test]
async fn a_body_of_known_length_has_ended_when_its_server_drops_it() {
    let body = |texts: &[&'static str]| {
        let frames: Vec<_> =
            texts.iter().map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))).collect();
        StreamBody::new(futures_util::stream::iter(frames))
    };
    for (status, length, texts, expected) in [
        (200, Some("6"), ["abc", "def"], CircuitState::Closed),
        (206, Some("6"), ["abcde", "f"], CircuitState::Closed),
        (200, None, ["abc", "def"], CircuitState::Closed),
        (204, None, ["", ""], CircuitState::Closed),
    ] {
        let mut response = Response::builder().status(status);
        if let Some(length) = length {
            response = response.header("content-length", length);
        }
        let state = served(response.body(body(&texts)).unwrap()).await;
        assert_eq!(state, expected, "{status} {length:?}");
    }
}

/// Trailers that are announced may come after the last byte, and decide.
#[tokio::test]
async fn the_last_byte_is_not_the_end_if_trailers_may_follow() {
    let frames = || {
        let trailers = http::HeaderMap::from_iter([(
            http::HeaderName::from_static("grpc-status"),
            http::HeaderValue::from_static("14"),
        )]);
        vec![Ok(Frame::data(Bytes::from_static(b"abc"))), Ok(Frame::trailers(trailers))]
    };
    for (name, value) in [("content-type", "application/grpc+proto"), ("trailer", "grpc-status")] {
        let breaker = CircuitBreaker::builder().consecutive_failures(1).build().unwrap();
        let service = BodyBreakerLayer::new(breaker.clone())
            .body_classifier(|end: Result<&http::HeaderMap, &BoxError>| match end {
                Ok(trailers) if trailers.is_empty() => Outcome::Success,
                _ => Outcome::transient(),
            })
            .layer(service_fn(move |_: Request<()>| {
                let response = Response::builder().header("content-length", 3).header(name, value);
                let body: Stepwise = StreamBody::new(futures_util::stream::iter(frames()));
                async move { Ok::<_, BoxError>(response.body(body).unwrap()) }
            }));
        service.oneshot(Request::new(())).await.unwrap().into_body().collect().await.unwrap();
        assert_eq!(breaker.state(), CircuitState::Open, "{name}");
    }
}
