//! Real sockets that stall, reset and close halfway.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::{CarriesRejection, RejectionKind};
use resilience_http::body::{BodyBreakerLayer, BodyBulkheadLayer, StallBody, StallTimeout};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

/// What a server does once it has sent half of a body.
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
async fn a_response_that_does_not_end_is_an_error_and_gives_everything_back() {
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

/// A client that uploads a byte now and then, or closes its half midway, keeps nothing for long.
#[tokio::test]
async fn a_request_that_does_not_end_is_refused() {
    for closes in [false, true] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let (told, mut heard) = tokio::sync::mpsc::channel(1);
        let answer = hyper::service::service_fn(move |request: Request<Incoming>| {
            let told = told.clone();
            async move {
                let stall = StallTimeout::new(Duration::from_millis(50)).unwrap().at_least(1_000);
                let body = request.into_body().map_err(BoxError::from);
                let error = StallBody::new(body, stall).collect().await.unwrap_err();
                told.send(error.rejection().map(|why| why.kind())).await.unwrap();
                let answer = Response::builder().status(408);
                Ok::<_, Infallible>(answer.body(Empty::<Bytes>::new()).unwrap())
            }
        });
        let mut server = hyper::server::conn::http1::Builder::new();
        tokio::spawn(server.half_close(true).serve_connection(TokioIo::new(stream), answer));
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
            kind = heard.recv() => assert_eq!(kind, Some(expected), "{closes}"),
            () = trickle => {}
        }
    }
}
