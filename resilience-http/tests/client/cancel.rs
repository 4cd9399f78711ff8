//! A dropped call gives back all it holds, wherever it is dropped.

use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use resilience_http::client::{Authority, ConnectionLimits, ResilientLayer, ResilientService};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::profile;

const TEXT: &str = r#"
deadline = "1m"
bulkhead = { max_concurrent = 1, wait_at_most = "5s" }
retry = { max_attempts = 3, backoff = { base = "1ms", cap = "1ms" }, budget = { ratio = "10%", reserve = 10 } }
circuit_breaker = { consecutive_failures = 100 }
attempt_timeout = "10s"
"#;

type Request = http::Request<Full<Bytes>>;
type Response = http::Response<Full<Bytes>>;

/// Pending three times, then a 503 first if the call should retry.
fn service(
    status: u16,
) -> ResilientService<
    impl Service<Request, Response = Response, Error = std::io::Error, Future: Send> + Clone,
> {
    let limits = ConnectionLimits::default().per_authority(1).total(1);
    let layer = ResilientLayer::builder(&profile(TEXT)).connections(limits).build().unwrap();
    layer.layer(service_fn(move |_: Request| async move {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
        let mut response = http::Response::new(Full::from("ok"));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        Ok(response)
    }))
}

fn request() -> Request {
    http::Request::get("http://a.example/").body(Full::default()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_call_can_be_dropped_at_every_poll() {
    for status in [200, 503] {
        for polls in 0..20 {
            let service = service(status);
            {
                let mut call = pin!(Service::call(&mut service.clone(), request()));
                let cx = &mut Context::from_waker(Waker::noop());
                for _ in 0..polls {
                    if call.as_mut().poll(cx).is_ready() {
                        break;
                    }
                    tokio::time::advance(Duration::from_millis(1)).await;
                }
            }
            let authority = Authority::new("http", "a.example", None).unwrap();
            let state = service.layer().snapshot(&authority).unwrap();
            assert_eq!(state.bulkhead.unwrap().in_use, 0, "{status} after {polls} polls");
            // With one permit for all, this call would wait for ever for a permit that was not
            // given back.
            let response = service.oneshot(request()).await.unwrap();
            assert_eq!(response.status().as_u16(), status);
        }
    }
}

/// The head, and then the body frame by frame: each admission ends, with at most one outcome.
#[tokio::test(start_paused = true)]
async fn a_call_and_its_body_can_be_dropped_at_every_poll() {
    const FRAMES: usize = 3;
    for fails in [false, true] {
        for polls in 0..16 {
            let layer = ResilientLayer::builder(&profile(TEXT))
                .connections(ConnectionLimits::default().per_authority(1).total(1))
                .body_stall(Duration::from_secs(1));
            let service = layer.build().unwrap().layer(service_fn(move |_: Request| async move {
                tokio::task::yield_now().await;
                Ok::<_, std::io::Error>(http::Response::new(Frames { left: 2 * FRAMES, fails }))
            }));
            let mut over = false;
            let mut good = false;
            {
                let call = Service::call(&mut service.clone(), request());
                let mut whole =
                    pin!(async move { call.await.unwrap().into_body().collect().await });
                let cx = &mut Context::from_waker(Waker::noop());
                for _ in 0..polls {
                    if let Poll::Ready(end) = whole.as_mut().poll(cx) {
                        (over, good) = (true, end.is_ok());
                        break;
                    }
                }
            }
            let authority = Authority::new("http", "a.example", None).unwrap();
            let state = service.layer().snapshot(&authority).unwrap();
            let bulkhead = state.bulkhead.unwrap();
            let breaker = state.circuit_breaker.unwrap();
            assert_eq!((bulkhead.in_use, bulkhead.queued), (0, 0), "{fails} after {polls} polls");
            // Dropped midway, it records no outcome.
            let failed = u32::from(over && !good);
            assert_eq!(breaker.streak, failed, "{fails} after {polls} polls");
            assert!(!over || good != fails);
            service.oneshot(request()).await.unwrap();
        }
    }
}

/// A body with a frame at every other poll; the last frame may be an error.
struct Frames {
    left: usize,
    fails: bool,
}

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, std::io::Error>>> {
        if self.left == 0 {
            let broke = self.fails.then(|| Err(std::io::ErrorKind::ConnectionReset.into()));
            return Poll::Ready(broke);
        }
        self.left -= 1;
        if self.left.is_multiple_of(2) {
            Poll::Ready(Some(Ok(http_body::Frame::data(Bytes::from_static(b"frame")))))
        } else {
            Poll::Pending
        }
    }
}

/// A future drops what it holds when it is ready, and not when it is dropped.
#[tokio::test(start_paused = true)]
async fn a_completed_future_holds_no_permit() {
    let service = service(200);
    let mut call = pin!(Service::call(&mut service.clone(), request()));
    let response = std::future::poll_fn(|cx| call.as_mut().poll(cx)).await.unwrap();
    response.into_body().collect().await.unwrap();
    service.oneshot(request()).await.unwrap();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(call.as_mut().poll(cx), Poll::Pending));
}

#[test]
fn no_runtime_is_needed_before_the_first_poll() {
    let service = service(200);
    drop(Service::call(&mut service.clone(), request()));
}
