//! Headers between services, without a network.

#![cfg(feature = "layers")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::task::{Context as TaskContext, Poll, Waker};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use proptest::prelude::*;
use resilience_core::clock::{self, MAX_WAIT};
use resilience_core::rate::Quota;
use resilience_core::retry::{Backoff, RetryLayer, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer, within};
use resilience_core::{Deadline, Error};
use resilience_http::StatusClassifier;
use resilience_http::propagate::{
    CallEnd, Context, ExtractContextLayer, InjectContextLayer, Trace, attempt, timeout,
};
use resilience_http::server::{
    AdmissionControlLayer, MapServiceError, RejectionResponseLayer, UploadBody, Uploads,
};
use tower::util::BoxCloneSyncService;
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};

const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn request(pairs: &[(&str, &str)]) -> Request<()> {
    let builder = pairs.iter().fold(Request::builder(), |b, (name, value)| b.header(*name, *value));
    builder.body(()).unwrap()
}

type Failed = Error<Infallible>;

/// Returns the headers that a call below the layer sends.
async fn sent(layer: InjectContextLayer, call: Request<()>) -> HeaderMap {
    let echo = service_fn(|call: Request<()>| async move {
        let mut response = Response::new(());
        *response.headers_mut() = call.headers().clone();
        Ok::<_, Infallible>(response)
    });
    let Ok(response) = layer.layer(echo).oneshot(call).await;
    response.headers().clone()
}

/// The shorter of the two limits the wait for the response.
#[tokio::test(start_paused = true)]
async fn under_a_stack_the_shorter_of_deadline_and_attempt_limit_is_sent() {
    let milliseconds = Duration::from_millis;
    let (seen, heads) = mpsc::channel();
    let below = InjectContextLayer::new().layer(service_fn(move |call: Request<()>| {
        seen.send(timeout::parse(call.headers())).unwrap();
        std::future::ready(Ok::<_, Failed>(Response::new(())))
    }));
    let stack = Stack::builder().deadline(milliseconds(2_000)).attempt_timeout(milliseconds(800));
    let service = stack.build().unwrap().layer(below);
    service.clone().oneshot(request(&[])).await.unwrap();
    assert_eq!(heads.try_recv(), Ok(Some(milliseconds(800))));
    let soon = Deadline::after(clock::now(), milliseconds(500));
    within(soon, service.oneshot(request(&[]))).await.unwrap().unwrap();
    assert_eq!(heads.try_recv(), Ok(Some(milliseconds(500))));
}

/// Each attempt has its own time left, less its waits before the call. The same for a stand-alone
/// timeout, whose limit is not exceeded.
#[tokio::test(start_paused = true)]
async fn the_time_left_of_an_attempt_is_sent() {
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let heads = seen.clone();
    let echo = service_fn(move |call: Request<()>| {
        heads.lock().push(timeout::parse(call.headers()));
        std::future::ready(Ok::<_, Failed>(Response::new(())))
    });
    let below = InjectContextLayer::new().layer(echo);
    let late = service_fn(move |call: Request<()>| {
        let below = below.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(300)).await;
            below.oneshot(call).await
        }
    });
    let limit = TimeoutLayer::new(Duration::from_millis(800)).unwrap();
    limit.layer(late.clone()).oneshot(request(&[])).await.unwrap();
    late.oneshot(request(&[])).await.unwrap();
    assert_eq!(*seen.lock(), [Some(Duration::from_millis(500)), None]);
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap())
}

/// Returns the headers that a handler's call sends for a request with these headers.
async fn forwarded(accept: ExtractContextLayer, incoming: &[(&str, &str)]) -> HeaderMap {
    let handler = service_fn(|_: Request<()>| async {
        let headers = sent(InjectContextLayer::new(), request(&[])).await;
        let mut response = Response::new(());
        *response.headers_mut() = headers;
        Ok::<_, Infallible>(response)
    });
    let Ok(response) = accept.layer(handler).oneshot(request(incoming)).await;
    response.headers().clone()
}

#[tokio::test(start_paused = true)]
async fn outside_of_a_request_nothing_is_added() {
    assert_eq!(sent(InjectContextLayer::new(), request(&[])).await, HeaderMap::new());
}

#[tokio::test(start_paused = true)]
async fn the_time_left_is_sent_on() {
    let headers =
        forwarded(ExtractContextLayer::new(), &[("x-resilience-timeout-ms", "250")]).await;
    assert_eq!(text(&headers, &timeout::TIMEOUT), Some("250"));
    let short = ExtractContextLayer::new().longest(Duration::from_millis(100)).unwrap();
    let headers = forwarded(short, &[("x-resilience-timeout-ms", "250")]).await;
    assert_eq!(text(&headers, &timeout::TIMEOUT), Some("100"));
    let headers = forwarded(short, &[]).await;
    assert_eq!(text(&headers, &timeout::TIMEOUT), Some("100"));
    assert_eq!(forwarded(ExtractContextLayer::new(), &[]).await, HeaderMap::new());
}

#[tokio::test(start_paused = true)]
async fn the_shorter_of_two_limits_ends_a_response() {
    let longest = |ms| ExtractContextLayer::new().longest(Duration::from_millis(ms)).unwrap();
    for (outer, inner) in [(100, 900), (900, 100)] {
        let handler = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(())));
        let service = longest(outer).layer(longest(inner).layer(handler));
        let begun = clock::now();
        let Ok(response) = service.oneshot(request(&[])).await;
        let end = response.extensions().get::<CallEnd>().unwrap().at();
        assert_eq!(end - begun, Duration::from_millis(100), "{outer} around {inner}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_shorter_timeout_of_the_call_is_kept() {
    let deadline = Deadline::after(clock::now(), Duration::from_millis(100));
    for (own, expected) in [("50", "50"), ("150", "100"), ("soon", "100")] {
        let call = request(&[("x-resilience-timeout-ms", own)]);
        let headers = within(deadline, sent(InjectContextLayer::new(), call)).await.unwrap();
        assert_eq!(text(&headers, &timeout::TIMEOUT), Some(expected), "{own}");
    }
}

#[tokio::test(start_paused = true)]
async fn grpc_has_its_own_headers() {
    let deadline = Deadline::after(clock::now(), Duration::from_millis(100));
    let call = request(&[("content-type", "application/grpc")]);
    let headers = within(deadline, sent(InjectContextLayer::new(), call)).await.unwrap();
    assert_eq!(text(&headers, &timeout::GRPC_TIMEOUT), Some("100000u"));
    assert_eq!(text(&headers, &timeout::TIMEOUT), None);
}

/// `grpc-timeout` would end a stream, while the limit of an attempt ends with the head of the
/// response.
#[tokio::test(start_paused = true)]
async fn the_limit_of_an_attempt_is_no_grpc_timeout() {
    let milliseconds = Duration::from_millis;
    for (deadline, attempt, own, expected) in [
        (None, Some(800), &[][..], (None, Some("800"))),
        (Some(2_000), Some(800), &[], (Some("2000000u"), Some("800"))),
        (Some(500), Some(800), &[], (Some("500000u"), None)),
        (Some(500), None, &[], (Some("500000u"), None)),
        // A shorter timeout of the request is kept.
        (None, Some(800), &[("grpc-timeout", "1S")], (Some("1S"), Some("800"))),
        (None, Some(800), &[("grpc-timeout", "300m")], (Some("300m"), Some("300"))),
        (Some(2_000), Some(800), &[("grpc-timeout", "1S")], (Some("1000000u"), Some("800"))),
        (Some(2_000), None, &[("x-resilience-timeout-ms", "300")], (Some("2000000u"), Some("300"))),
        (
            Some(2_000),
            Some(800),
            &[("x-resilience-timeout-ms", "300")],
            (Some("2000000u"), Some("300")),
        ),
    ] {
        let mut call = request(own);
        call.headers_mut().insert("content-type", "application/grpc+proto".parse().unwrap());
        let sent = service_fn(async |call: Request<()>| {
            let mut response = Response::new(());
            *response.headers_mut() = sent(InjectContextLayer::new(), call).await;
            Ok::<_, Failed>(response)
        });
        let within_attempt = async |call| match attempt {
            Some(limit) => {
                TimeoutLayer::new(milliseconds(limit)).unwrap().layer(sent).oneshot(call).await
            }
            None => sent.oneshot(call).await,
        };
        let response = match deadline {
            Some(limit) => {
                let deadline = Deadline::after(clock::now(), milliseconds(limit));
                within(deadline, within_attempt(call)).await.unwrap()
            }
            None => within_attempt(call).await,
        };
        let headers = response.unwrap().into_parts().0.headers;
        let found = (text(&headers, &timeout::GRPC_TIMEOUT), text(&headers, &timeout::TIMEOUT));
        assert_eq!(found, expected, "{deadline:?} {attempt:?} {own:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_trace_is_passed_on_unchanged() {
    let trace = [("traceparent", PARENT), ("tracestate", "a=1"), ("baggage", "user=7")];
    let headers = forwarded(ExtractContextLayer::new(), &trace).await;
    assert_eq!(&headers, request(&trace).headers());
    let strange = ExtractContextLayer::new().distrust_headers();
    assert_eq!(forwarded(strange, &trace).await, HeaderMap::new());
    let alone = Context::read(request(&trace).headers());
    let headers = alone.scope(sent(InjectContextLayer::new().without_trace(), request(&[]))).await;
    assert_eq!(headers, HeaderMap::new());
}

#[tokio::test(start_paused = true)]
async fn within_a_retry_every_tier_makes_one_attempt() {
    for (name, value) in [
        ("x-resilience-attempt", "1"),
        ("grpc-previous-rpc-attempts", "1"),
        ("x-resilience-retry", "never"),
    ] {
        let headers = forwarded(ExtractContextLayer::new(), &[(name, value)]).await;
        assert_eq!(text(&headers, &attempt::RETRY), Some("never"), "{name}");
        assert_eq!(text(&headers, &attempt::ATTEMPT), None, "its own first attempt");
    }
}

/// A service that responds with this status and headers, and counts its calls.
fn failing(
    calls: &Arc<AtomicUsize>,
    never: bool,
) -> impl Service<Request<()>, Response = Response<()>, Error = Failed, Future: Send> + Clone + use<>
{
    let calls = calls.clone();
    service_fn(move |call: Request<()>| {
        let made = calls.fetch_add(1, Ordering::Relaxed);
        assert_eq!(attempt::previous(call.headers()) as usize, made);
        let mut response = Response::new(());
        *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
        if never {
            response.headers_mut().insert(attempt::RETRY, attempt::NEVER);
        }
        async move { Ok::<_, Failed>(response) }
    })
}

/// Returns the attempts at a call that fails, and `true` if the response to the outer request is
/// final.
async fn attempts(incoming: &[(&str, &str)], never: bool, retried: bool) -> (usize, bool) {
    let calls = Arc::new(AtomicUsize::new(0));
    let backoff = Backoff::decorrelated_jitter(Duration::from_millis(1), Duration::from_millis(2));
    let policy = RetryPolicy::builder()
        .max_attempts(if retried { 3 } else { 1 })
        .backoff(backoff.unwrap())
        .classifier(StatusClassifier)
        .build()
        .unwrap();
    let below = ServiceBuilder::new()
        .layer(RetryLayer::new(policy))
        .layer(InjectContextLayer::new())
        .service(failing(&calls, never));
    // A response of its own, without the headers of the failed call.
    let handler = service_fn(move |_: Request<()>| {
        let call = below.clone().oneshot(request(&[]));
        async move {
            let status = call.await?.status();
            Ok::<_, Failed>(Response::builder().status(status).body(()).unwrap())
        }
    });
    let response =
        ExtractContextLayer::new().layer(handler).oneshot(request(incoming)).await.unwrap();
    (calls.load(Ordering::Relaxed), attempt::is_final(response.headers()))
}

#[tokio::test(start_paused = true)]
async fn exactly_one_tier_retries() {
    assert_eq!(
        attempts(&[], false, true).await,
        (3, true),
        "next to the failure: gives up after its attempts"
    );
    assert_eq!(
        attempts(&[], true, true).await,
        (1, true),
        "further up: `never` is received and passed on"
    );
    let retry = [("x-resilience-attempt", "1")];
    assert_eq!(
        attempts(&retry, false, true).await,
        (1, false),
        "further down: the retrying tier continues"
    );
    assert_eq!(attempts(&retry, true, true).await, (1, true), "unless a tier below gave up");
}

#[tokio::test(start_paused = true)]
async fn a_tier_without_retries_passes_never_on() {
    assert_eq!(attempts(&[], false, false).await, (1, false));
    for never in [false, true] {
        let below = InjectContextLayer::new().layer(failing(&Arc::default(), never));
        let handler = service_fn(move |_: Request<()>| {
            let call = below.clone().oneshot(request(&[]));
            async move {
                let status = call.await?.status();
                Ok::<_, Failed>(Response::builder().status(status).body(()).unwrap())
            }
        });
        let response =
            ExtractContextLayer::new().layer(handler).oneshot(request(&[])).await.unwrap();
        assert_eq!(attempt::is_final(response.headers()), never);
    }
}

#[tokio::test(start_paused = true)]
async fn an_attempt_number_from_outside_is_not_passed_on() {
    let headers = sent(InjectContextLayer::new(), request(&[("x-resilience-attempt", "7")])).await;
    assert_eq!(headers, HeaderMap::new());
}

#[tokio::test(start_paused = true)]
async fn a_successful_fallback_is_not_final() {
    let handler = service_fn(|_: Request<()>| async {
        Context::current().unwrap().retries().give_up();
        Ok::<_, Infallible>(Response::new(()))
    });
    let Ok(response) = ExtractContextLayer::new().layer(handler).oneshot(request(&[])).await;
    assert_eq!(response.headers().len(), 0);
}

/// The whole attempt is limited, waits included, and each call sends the time left at that point.
#[tokio::test(start_paused = true)]
async fn each_call_sends_the_time_left_at_that_point() {
    let seen = Arc::new(std::sync::OnceLock::new());
    let note = seen.clone();
    let second = Arc::new(AtomicUsize::new(0));
    let policy = RetryPolicy::builder()
        .backoff(
            Backoff::decorrelated_jitter(Duration::from_secs(1), Duration::from_secs(1)).unwrap(),
        )
        .classifier(StatusClassifier)
        .build()
        .unwrap();
    let service = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(10)).unwrap())
        .layer(RetryLayer::new(policy))
        .layer(InjectContextLayer::new())
        .service(service_fn(move |call: Request<()>| {
            let mut response = Response::new(());
            if second.fetch_add(1, Ordering::Relaxed) == 0 {
                *response.status_mut() = http::StatusCode::SERVICE_UNAVAILABLE;
            } else {
                note.set(call.headers().clone()).unwrap();
            }
            async move { Ok::<_, Failed>(response) }
        }));
    assert_eq!(service.oneshot(request(&[])).await.unwrap().status(), 200);
    let headers = seen.get().unwrap();
    assert_eq!(timeout::parse(headers), Some(Duration::from_secs(9)));
    assert_eq!(attempt::previous(headers), 1);
}

#[tokio::test(start_paused = true)]
async fn a_spawned_task_can_keep_the_context() {
    let handler = service_fn(|_: Request<()>| async {
        let lost = tokio::spawn(async { Context::current().is_none() });
        let context = Context::current().unwrap();
        let kept = tokio::spawn(context.scope(sent(InjectContextLayer::new(), request(&[]))));
        assert!(lost.await.unwrap());
        let mut response = Response::new(());
        *response.headers_mut() = kept.await.unwrap();
        Ok::<_, Infallible>(response)
    });
    let incoming = request(&[("baggage", "user=7"), ("x-resilience-retry", "never")]);
    let Ok(response) = ExtractContextLayer::new().layer(handler).oneshot(incoming).await;
    assert_eq!(text(response.headers(), &HeaderName::from_static("baggage")), Some("user=7"));
    assert_eq!(text(response.headers(), &attempt::RETRY), Some("never"));
    assert!(Context::current().is_none());
}

/// Counts the live values.
struct Alive(Arc<AtomicUsize>);

impl Alive {
    fn new(count: &Arc<AtomicUsize>) -> Alive {
        count.fetch_add(1, Ordering::Relaxed);
        Alive(count.clone())
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A response after `polls` polls, which counts as alive until it is dropped.
struct CountedResponse {
    _alive: Alive,
    polls: u32,
}

impl Future for CountedResponse {
    type Output = Result<Response<String>, Failed>;

    fn poll(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Self::Output> {
        if self.polls == 0 {
            return Poll::Ready(Ok(Response::new(String::new())));
        }
        self.polls -= 1;
        Poll::Pending
    }
}

/// Drops the call after any number of polls, and keeps it after completion: in both cases nothing
/// stays alive.
fn nothing_stays_alive<L>(layer: &L)
where
    L: Layer<BoxCloneSyncService<Request<()>, Response<String>, Failed>>,
    L::Service: Service<Request<()>, Error: std::fmt::Debug>,
{
    for polls in 0..6 {
        let alive = Arc::new(AtomicUsize::new(0));
        let count = alive.clone();
        let inner = service_fn(move |_: Request<()>| CountedResponse {
            _alive: Alive::new(&count),
            polls: 3,
        });
        let mut service = layer.layer(BoxCloneSyncService::new(inner));
        let mut cx = TaskContext::from_waker(Waker::noop());
        assert!(service.poll_ready(&mut cx).is_ready());
        let mut call = pin!(Some(service.call(request(&[]))));
        let mut poll = || call.as_mut().as_pin_mut().unwrap().poll(&mut cx).is_ready();
        let ready = (0..polls).any(|_| poll());
        assert_eq!(ready, polls > 3, "{polls}");
        if ready {
            assert!(!poll(), "never ready again");
        } else {
            call.set(None);
        }
        assert_eq!(alive.load(Ordering::Relaxed), 0, "{polls}");
        assert!(Context::current().is_none() && Deadline::current().is_none());
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_stays_alive_whenever_the_call_is_dropped() {
    let protect = AdmissionControlLayer::builder().concurrency(1).build().unwrap();
    nothing_stays_alive(&protect);
    assert_eq!(protect.get_ref().bulkhead().unwrap().snapshot().in_use, 0);
    let protect = AdmissionControlLayer::builder().rate(Quota::per_minute(100)).concurrency(1);
    nothing_stays_alive(&protect.longest(Duration::from_secs(9)).build().unwrap());
    nothing_stays_alive(&ExtractContextLayer::new());
    nothing_stays_alive(&ExtractContextLayer::new().longest(Duration::from_secs(9)).unwrap());
    nothing_stays_alive(&RejectionResponseLayer::default());
    nothing_stays_alive(&InjectContextLayer::new());
    nothing_stays_alive(&tower::layer::layer_fn(MapServiceError::new));
}

/// A service that is never ready.
#[derive(Clone)]
struct Unready;

impl Service<Request<UploadBody<String>>> for Unready {
    type Response = Response<String>;
    type Error = Failed;
    type Future = std::future::Pending<Result<Response<String>, Failed>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Failed>> {
        Poll::Pending
    }

    fn call(&mut self, _: Request<UploadBody<String>>) -> Self::Future {
        std::future::pending()
    }
}

/// A dropped call gives back its permit but not its token: otherwise a client could evade the limit
/// by hanging up.
#[tokio::test(start_paused = true)]
async fn nothing_is_taken_before_the_first_poll_and_no_permit_is_kept() {
    let protect = AdmissionControlLayer::builder().rate(Quota::per_minute(5)).concurrency(1);
    let protect = protect.uploads(Uploads::new()).build().unwrap();
    let limits = protect.get_ref();
    let limiter = limits.rate_limiter().unwrap();
    let bulkhead = limits.bulkhead().unwrap();
    let mut service = protect.layer(Unready);
    let mut cx = TaskContext::from_waker(Waker::noop());
    assert!(service.poll_ready(&mut cx).is_ready());
    let taken = || (limiter.snapshot().available, bulkhead.snapshot().in_use);
    for (polls, left) in [(0, 5), (1, 4), (2, 3)] {
        let mut call = Box::pin(service.call(Request::new(String::from("body"))));
        assert_eq!(taken().1, 0, "nothing happens before the first poll");
        for _ in 0..polls {
            assert!(call.as_mut().poll(&mut cx).is_pending());
            assert_eq!(taken(), (left, 1));
        }
        drop(call);
        assert_eq!(taken(), (left, 0), "{polls}");
    }
}

/// A gRPC stream that fails after its head reports in the trailers that a call was given up.
#[tokio::test]
async fn trailers_forbid_a_retry_after_a_call_was_given_up() {
    let ask = async |content: &'static str, status: &'static str, gives_up: bool| {
        let handler = service_fn(move |_: Request<()>| async move {
            let messages = stream::once(async move {
                // Calls made while the body is polled belong to the same request.
                if gives_up {
                    Context::current().inspect(|context| context.retries().give_up());
                }
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"one")))
            });
            let trailers = HeaderMap::from_iter([(
                HeaderName::from_static("grpc-status"),
                HeaderValue::from_static(status),
            )]);
            let trailers = stream::once(async move { Ok(Frame::trailers(trailers)) });
            Ok::<_, Infallible>(Response::new(StreamBody::new(messages.chain(trailers))))
        });
        let request = request(&[("content-type", content)]);
        let Ok(response) = ExtractContextLayer::new().layer(handler).oneshot(request).await;
        let Ok(body) = Box::pin(response.into_body()).collect().await;
        let trailers = body.trailers().cloned().unwrap();
        assert_eq!(body.to_bytes(), "one");
        assert_eq!(trailers["grpc-status"], status);
        attempt::is_final(&trailers)
    };
    assert!(ask("application/grpc", "14", true).await);
    assert!(!ask("application/grpc", "14", false).await, "another attempt may help");
    assert!(!ask("application/grpc", "0", true).await, "the handler succeeded all the same");
    assert!(!ask("text/plain", "14", true).await, "trailers of other content are not changed");
}

#[tokio::test]
async fn a_handler_reads_the_attempt_number() {
    let handler = service_fn(|_: Request<()>| async {
        let previous = Context::current().unwrap().previous_attempts();
        Ok::<_, Infallible>(Response::builder().header("previous", previous).body(()).unwrap())
    });
    for (headers, expected) in [
        (&[][..], 0),
        (&[("x-resilience-attempt", "2")], 2),
        (&[("grpc-previous-rpc-attempts", "1")], 1),
        (&[("x-resilience-attempt", "-2")], 0),
    ] {
        let ask = |accept: ExtractContextLayer| accept.layer(handler).oneshot(request(headers));
        let Ok(response) = ask(ExtractContextLayer::new()).await;
        assert_eq!(response.headers()["previous"], expected.to_string());
        let Ok(response) = ask(ExtractContextLayer::new().distrust_headers()).await;
        assert_eq!(response.headers()["previous"], "0", "distrusted");
    }
    assert_eq!(Context::default().previous_attempts(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_response_at_the_deadline_counts_and_a_later_one_does_not() {
    for (takes, status) in [(100, 200), (101, 504)] {
        let handler = service_fn(move |_: Request<()>| async move {
            tokio::time::sleep(Duration::from_millis(takes)).await;
            Ok::<_, Infallible>(Response::new(()))
        });
        let incoming = request(&[("x-resilience-timeout-ms", "100")]);
        let Ok(response) = ExtractContextLayer::new().layer(handler).oneshot(incoming).await;
        assert_eq!(response.status(), status, "{takes}");
    }
}

/// A service that rejects in `poll_ready` responds with the rejection once, and continues.
#[tokio::test(start_paused = true)]
async fn a_rejection_in_readiness_is_a_response() {
    /// A service must not be polled again after an error in `poll_ready`.
    struct Rejecting {
        polled: bool,
    }
    impl Service<Request<()>> for Rejecting {
        type Response = Response<()>;
        type Error = resilience_core::Rejection;
        type Future = std::future::Ready<Result<Response<()>, Self::Error>>;

        fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
            assert!(!std::mem::replace(&mut self.polled, true));
            let kind = resilience_core::RejectionKind::Shed;
            Poll::Ready(Err(resilience_core::Rejection::new(kind, "shed")))
        }

        fn call(&mut self, _: Request<()>) -> Self::Future {
            unreachable!("called though it was not ready")
        }
    }
    let mut service = RejectionResponseLayer::default().layer(Rejecting { polled: false });
    for _ in 0..2 {
        let Ok(()) = std::future::poll_fn(|cx| service.poll_ready(cx)).await;
    }
    let Ok(response) = service.call(request(&[])).await;
    assert_eq!(response.status(), 503);
}

/// The layer also accepts reqwest's types.
#[cfg(feature = "reqwest")]
#[tokio::test(start_paused = true)]
async fn the_layer_accepts_reqwest_types() {
    let echo = service_fn(|call: reqwest::Request| async move {
        let mut response = Response::new(String::new());
        *response.headers_mut() = call.headers().clone();
        Ok::<_, Infallible>(reqwest::Response::from(response))
    });
    let deadline = Deadline::after(clock::now(), Duration::from_millis(100));
    let call = reqwest::Request::new(http::Method::GET, "http://localhost".parse().unwrap());
    let response =
        within(deadline, InjectContextLayer::new().layer(echo).oneshot(call)).await.unwrap();
    let Ok(response) = response;
    assert_eq!(text(response.headers(), &timeout::TIMEOUT), Some("100"));
}

#[test]
fn the_layers_satisfy_the_bounds_of_axum_and_reqwest() {
    fn good<T: Clone + Send + Sync + 'static>(_: &T) {}
    fn sent<T: Send + 'static>(_: &T) {}
    let inner =
        || service_fn(|_: Request<()>| async { Ok::<_, Infallible>(Response::new(String::new())) });
    let protect = AdmissionControlLayer::builder().concurrency(1).build().unwrap();
    good(&protect);
    let mut service = protect.layer(inner());
    good(&service);
    sent(&service.call(request(&[])));
    let mut service = InjectContextLayer::new().layer(inner());
    good(&service);
    sent(&service.call(request(&[])));
    good(&Context::default());
}

proptest! {
    #[test]
    fn no_header_panics_or_lasts_for_ever(
        pairs in prop::collection::vec((0..9_usize, prop::collection::vec(any::<u8>(), 0..80)), 0..6),
    ) {
        let names = [
            timeout::TIMEOUT, timeout::GRPC_TIMEOUT, timeout::ENVOY_TIMEOUT, attempt::ATTEMPT,
            attempt::GRPC_ATTEMPT, attempt::RETRY, HeaderName::from_static("traceparent"),
            HeaderName::from_static("tracestate"), HeaderName::from_static("baggage"),
        ];
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                headers.append(&names[name], value);
            }
        }
        prop_assert!(timeout::parse(&headers).is_none_or(|left| left <= MAX_WAIT));
        let _ = (attempt::previous(&headers), attempt::is_final(&headers));
        let mut call = HeaderMap::new();
        Trace::read(&headers).write(&mut call);
        prop_assert!(call.iter().all(|(name, value)| headers.get_all(name).iter().any(|v| v == value)));
    }

    #[test]
    fn a_written_timeout_is_read_back_and_never_longer(nanos in any::<u64>()) {
        let left = Duration::from_nanos(nanos);
        let read = |name: HeaderName, value| timeout::parse(&HeaderMap::from_iter([(name, value)]));
        let ours = read(timeout::TIMEOUT, timeout::milliseconds(left)).unwrap();
        prop_assert!(ours <= left && left.min(MAX_WAIT) - ours < Duration::from_millis(1));
        let grpc = read(timeout::GRPC_TIMEOUT, timeout::grpc(left)).unwrap();
        prop_assert!(grpc <= left.max(Duration::from_nanos(1)));
        prop_assert!(left.min(MAX_WAIT) - grpc.min(left) <= left / 10_000, "{:?} {:?}", left, grpc);
    }
}
