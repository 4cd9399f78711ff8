//! A stack over a simulated network that is partitioned, healed, and slow.

#![cfg(feature = "layers")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use resilience_core::retry::{RetryLayer, RetryPolicy};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use resilience_http::StatusClassifier;
use resilience_http::body::{
    BodyBreakerLayer, BodyBulkheadLayer, ReplayBody, ReplayRequest, StallBody, StallTimeout,
};
use tokio::time::sleep;
use tower::{BoxError, ServiceBuilder, service_fn};
use turmoil::net::{TcpListener, TcpStream};

const FRAMES: usize = 20;
const DEADLINE: Duration = Duration::from_secs(3);
const STALL: Duration = Duration::from_secs(1);

/// Responds with a body that takes 200 ms to send.
async fn serve() -> turmoil::Result {
    let listener = TcpListener::bind(("0.0.0.0", 80)).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        let response = hyper::service::service_fn(async |request: Request<Incoming>| {
            let _request = request.into_body().collect().await?;
            let frames = futures_util::stream::unfold(0, async |frame| {
                sleep(Duration::from_millis(10)).await;
                let data = Frame::data(Bytes::from_static(&[b'a'; 1_000]));
                (frame < FRAMES).then_some((Ok::<_, Infallible>(data), frame + 1))
            });
            Ok::<_, hyper::Error>(Response::new(StreamBody::new(Box::pin(frames))))
        });
        tokio::spawn(
            hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), response),
        );
    }
}

/// Sends a request on a connection of its own.
async fn send(
    request: Request<ReplayBody<Full<Bytes>>>,
) -> Result<
    Response<
        StallBody<http_body_util::combinators::MapErr<Incoming, fn(hyper::Error) -> BoxError>>,
    >,
    BoxError,
> {
    let stream = TcpStream::connect(("server", 80)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let stall = StallTimeout::new(STALL)?;
    Ok(response.map(|body| StallBody::new(body.map_err(BoxError::from as fn(_) -> _), stall)))
}

/// Makes calls for this duration, four at a time. Returns the successes and failures before and
/// after `split`.
async fn calls(length: Duration, split: Duration) -> Result<[(u32, u32); 2], BoxError> {
    let bulkhead = Bulkhead::builder().max_concurrent(4).build()?;
    let breaker = CircuitBreaker::builder()
        .consecutive_failures(5)
        .probes(1)
        .growing_break(Duration::from_millis(500), 1.0, Duration::from_millis(500))
        .build()?;
    let policy = RetryPolicy::builder().max_attempts(3).classifier(StatusClassifier).build()?;
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(DEADLINE)?)
        .layer(RetryLayer::new(policy).replayed_by(ReplayRequest))
        .layer(BodyBulkheadLayer::new(bulkhead.clone()))
        .layer(BodyBreakerLayer::new(breaker.clone()))
        .layer(TimeoutLayer::new(Duration::from_millis(800))?)
        .service(service_fn(send));
    let began = clock::now();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let service = service.clone();
        callers.spawn(async move {
            let mut ended = [(0, 0); 2];
            while clock::now() - began < length {
                let started = clock::now();
                let body = ReplayBody::new(Full::new(Bytes::from_static(b"question")), 1_024);
                let call = async {
                    let response = service.clone().oneshot(Request::post("/").body(body)?).await?;
                    response.into_body().collect().await
                };
                let good = call.await.is_ok_and(|body| body.to_bytes().len() == FRAMES * 1_000);
                // The head arrives in time. Each frame after it must, too, or the body has stalled.
                let longest = DEADLINE + STALL * u32::try_from(FRAMES).unwrap();
                assert!(clock::now() - started <= longest);
                let count = &mut ended[usize::from(started - began >= split)];
                if good {
                    count.0 += 1
                } else {
                    count.1 += 1
                }
                sleep(Duration::from_millis(50)).await;
            }
            ended
        });
    }
    let mut sum = [(0, 0); 2];
    while let Some(ended) = callers.join_next().await {
        for (sum, ended) in sum.iter_mut().zip(ended?) {
            *sum = (sum.0 + ended.0, sum.1 + ended.1);
        }
    }
    let permits = bulkhead.snapshot();
    assert_eq!((permits.in_use, permits.queued), (0, 0), "a permit is missing");
    assert_eq!(breaker.state(), CircuitState::Closed, "it did not recover");
    Ok(sum)
}

fn simulation() -> turmoil::Sim<'static> {
    let mut simulation =
        turmoil::Builder::new().simulation_duration(Duration::from_secs(120)).rng_seed(7).build();
    simulation.host("server", serve);
    simulation
}

#[test]
fn a_partition_leaks_no_permit_and_heals() {
    let mut simulation = simulation();
    simulation.client("client", async {
        tokio::spawn(async {
            sleep(Duration::from_secs(2)).await;
            turmoil::partition("client", "server");
            sleep(Duration::from_secs(6)).await;
            turmoil::repair("client", "server");
        });
        // Every call that starts 5 s after the network has healed succeeds.
        let [during, after] =
            calls(Duration::from_secs(20), Duration::from_secs(13)).await.unwrap();
        assert!(during.0 > 10 && during.1 > 0, "{during:?}");
        assert!(after.0 > 20 && after.1 == 0, "{after:?}");
        Ok(())
    });
    simulation.run().unwrap();
}

#[test]
fn a_slow_link_causes_no_failure() {
    let mut simulation = simulation();
    simulation.client("client", async {
        let [calls, _] = calls(Duration::from_secs(10), Duration::MAX).await.unwrap();
        assert!(calls.0 > 10 && calls.1 == 0, "{calls:?}");
        Ok(())
    });
    simulation.set_link_latency("client", "server", Duration::from_millis(100));
    simulation.run().unwrap();
}
