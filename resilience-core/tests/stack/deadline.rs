//! The end of a call's time, wherever it stands.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use parking_lot::Mutex;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::observe::Event;
use resilience_core::retry::{Backoff, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::testing::{Reply, Script, ServiceProbe};
use resilience_core::timeout::within;
use resilience_core::{CarriesRejection, Deadline, RejectionKind, clock};
use tower::{BoxError, Layer, Service};

use crate::SECOND;

/// An attempt that hangs, and a service that is never ready: late, not timed out, and not the
/// circuit's affair.
#[tokio::test(start_paused = true)]
async fn what_is_late_is_late_and_no_failure() {
    for ready in [true, false] {
        let told = Arc::new(Mutex::new(Vec::new()));
        let sink = told.clone();
        let stack = Stack::builder()
            .name("odds")
            .deadline(SECOND)
            .retry(RetryPolicy::builder().backoff(Backoff::none()))
            .circuit_breaker(CircuitBreaker::builder().consecutive_failures(1))
            .listen(move |event: &Event<'_>| sink.lock().push(event.name()))
            .build()
            .unwrap();
        let script = Script::new(|_, _: u64| Reply::<u64, BoxError>::never());
        let (probe, log) = ServiceProbe::new(script);
        if !ready {
            log.close();
        }
        let start = clock::now();
        let error = stack.layer(probe).oneshot(1).await.unwrap_err();
        let rejection = error.rejection().unwrap();
        assert_eq!(rejection.kind(), RejectionKind::DeadlineExceeded, "ready: {ready}");
        assert_eq!(clock::now() - start, SECOND);
        assert_eq!(log.calls(), usize::from(ready));
        assert_eq!(stack.circuit_breaker().unwrap().snapshot().opened, 0);
        assert_eq!(*told.lock(), ["rejected"]);
    }
}

/// The caller's deadline is the call's if it is nearer, also if another task polls the call
/// later.
#[tokio::test(start_paused = true)]
async fn the_nearer_of_two_deadlines_counts() {
    let stack = Stack::builder().deadline(SECOND * 10).build().unwrap();
    let script = Script::new(|_, _: u64| Reply::<u64, BoxError>::never());
    let mut service = stack.layer(script.clone());
    let start = clock::now();
    let second = Deadline::after(start, SECOND);
    let mut call = Box::pin(Service::call(&mut service, 1));
    let once = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending()));
    assert!(within(second, once).await.unwrap());
    call.await.unwrap_err();
    assert_eq!(clock::now() - start, SECOND);
    // Late already when it begins: nothing is sent.
    let late = async {
        tokio::time::sleep_until((start + SECOND * 2).into()).await;
        service.oneshot(1).await
    };
    let late = within(Deadline::after(start, SECOND * 2), late).await.unwrap().unwrap_err();
    assert_eq!(late.rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
    assert_eq!(script.arrivals().len(), 1);
}

/// A wait that would end too late is not begun, also after an attempt that ran out of time.
#[tokio::test(start_paused = true)]
async fn no_wait_that_does_not_fit_is_begun() {
    let stack = Stack::builder()
        .deadline(SECOND * 5 / 2)
        .retry(RetryPolicy::builder().max_attempts(2).backoff(Backoff::constant(SECOND * 2)))
        .attempt_timeout(SECOND)
        .build()
        .unwrap();
    let script = Script::new(|_, _: u64| Reply::<u64, BoxError>::never());
    let start = clock::now();
    let error = stack.layer(script).oneshot(1).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().kind(), RejectionKind::TimedOut);
    assert_eq!(clock::now() - start, SECOND);
}
