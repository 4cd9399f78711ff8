//! A call that is dropped leaves nothing behind, wherever it was.

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

/// Pending three times; 503 at first, if it is asked to retry.
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
async fn at_every_poll() {
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
            // One slot for all: this would wait for ever behind one that was not given back.
            let response = service.oneshot(request()).await.unwrap();
            assert_eq!(response.status().as_u16(), status);
        }
    }
}

/// The head, and then the body frame by frame: whatever was let in is out, and told of at most once.
#[tokio::test(start_paused = true)]
async fn at_every_poll_of_a_call_and_its_body() {
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
            let (mut over, mut good) = (false, false);
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
            let (bulkhead, breaker) = (state.bulkhead.unwrap(), state.circuit_breaker.unwrap());
            assert_eq!((bulkhead.in_use, bulkhead.queued), (0, 0), "{fails} after {polls} polls");
            // Left midway, it says nothing.
            let failed = u32::from(over && !good);
            assert_eq!(breaker.streak, failed, "{fails} after {polls} polls");
            assert!(!over || good != fails);
            service.oneshot(request()).await.unwrap();
        }
    }
}

/// Every other poll has a frame; the last of them may be an error.
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

/// R14: what a future holds is free when it is ready, not when it is dropped.
#[tokio::test(start_paused = true)]
async fn a_future_that_is_kept_holds_nothing() {
    let service = service(200);
    let mut call = pin!(Service::call(&mut service.clone(), request()));
    let response = std::future::poll_fn(|cx| call.as_mut().poll(cx)).await.unwrap();
    response.into_body().collect().await.unwrap();
    service.oneshot(request()).await.unwrap();
    let cx = &mut Context::from_waker(Waker::noop());
    assert!(matches!(call.as_mut().poll(cx), Poll::Pending));
}

#[test]
fn nothing_needs_a_runtime_until_it_is_polled() {
    let service = service(200);
    drop(Service::call(&mut service.clone(), request()));
}
