//! A request that may run only once.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::observe::Event;
use resilience_core::retry::{Backoff, Replay, RetryPolicy, StopReason};
use resilience_core::stack::Stack;
use resilience_core::{AsOutcome, Classify, Error, Outcome};
use tower::{ServiceBuilder, service_fn};

#[derive(Clone)]
struct CopiedOnce;

impl Replay<u32> for CopiedOnce {
    fn copy(&self, request: &u32) -> Option<u32> {
        Some(*request)
    }

    /// Odd ones must not.
    fn may_run_twice(&self, request: &u32) -> bool {
        request.is_multiple_of(2)
    }
}

#[derive(Clone)]
struct Refusals;

impl Classify<(), Error<io::Error>> for Refusals {
    fn classify(&self, result: Result<&(), &Error<io::Error>>) -> Outcome {
        result.map_or_else(AsOutcome::as_outcome, |()| Outcome::Success)
    }

    fn may_have_run(&self, result: Result<&(), &Error<io::Error>>) -> bool {
        !matches!(result, Err(Error::Service(error)) if error.kind() == io::ErrorKind::ConnectionRefused)
    }
}

/// Returns the attempts of a request whose attempts have these ends, and the reason of the
/// stop.
async fn attempts(request: u32, ends: Option<io::ErrorKind>) -> (u32, Option<StopReason>) {
    let (made, reason) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(None)));
    let heard = reason.clone();
    let stack = Stack::builder()
        .classifier(Refusals)
        .retry(
            RetryPolicy::builder()
                .backoff(Backoff::constant(Duration::from_millis(1)))
                .without_budget()
                .listen(move |event: &Event<'_>| {
                    if let Event::RetryStopped { reason, .. } = event {
                        *heard.lock() = Some(*reason);
                    }
                }),
        )
        .replayed_by(CopiedOnce)
        .circuit_breaker(CircuitBreaker::builder().consecutive_failures(100))
        .attempt_timeout(Duration::from_secs(1))
        .build()
        .unwrap();
    let count = made.clone();
    let service = ServiceBuilder::new().layer(stack).service(service_fn(move |_: u32| {
        *count.lock() += 1;
        async move {
            match ends {
                Some(kind) => Err(Error::Service(io::Error::from(kind))),
                None => std::future::pending().await,
            }
        }
    }));
    service.oneshot(request).await.unwrap_err();
    let made = *made.lock();
    (made, *reason.lock())
}

#[tokio::test(start_paused = true)]
async fn it_is_sent_again_only_if_it_certainly_did_not_run() {
    use io::ErrorKind::{ConnectionRefused, ConnectionReset};
    let exhausted = Some(StopReason::AttemptsExhausted);
    let may_have_run = Some(StopReason::MayHaveRun);
    assert_eq!(attempts(2, Some(ConnectionReset)).await, (3, exhausted));
    assert_eq!(attempts(1, Some(ConnectionRefused)).await, (3, exhausted));
    assert_eq!(attempts(1, Some(ConnectionReset)).await, (1, may_have_run));
    // The timeout is the stack's own, which the classifier never sees.
    assert_eq!(attempts(1, None).await, (1, may_have_run));
    assert_eq!(attempts(2, None).await, (3, exhausted));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_reported_as_such() {
    let missing = Some(io::ErrorKind::NotFound);
    assert_eq!(attempts(1, missing).await, (1, Some(StopReason::NotRetryable)));
}
