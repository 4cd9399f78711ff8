//! Resources of a call are held no longer than it needs them.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Waker};

use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::retry::{Backoff, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::testing::{Ready, Reply, Script, ServiceProbe};
use resilience_core::{AnyError, CarriesRejection, RejectionKind};
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};

use crate::{MS, SECOND, down};

/// The permit is free when the result is there, not when the future is dropped.
#[tokio::test(start_paused = true)]
async fn a_permit_is_back_when_the_result_is() {
    let stack = Stack::builder().bulkhead(Bulkhead::builder().max_concurrent(1)).build().unwrap();
    let mut service = stack.layer(Ready::<BoxError>::new());
    let mut kept = pin!(Service::call(&mut service, 1));
    assert_eq!(kept.as_mut().await.unwrap(), 1);
    assert_eq!(stack.snapshot().bulkhead.unwrap().in_use, 0);
    assert_eq!(service.oneshot(2).await.unwrap(), 2);
    assert!(kept.poll(&mut Context::from_waker(Waker::noop())).is_pending(), "polled again");
}

/// An open circuit does not wait for a service that it will not call.
#[tokio::test(start_paused = true)]
async fn an_open_circuit_rejects_though_the_service_below_is_not_ready() {
    let stack = Stack::builder().circuit_breaker(CircuitBreaker::builder()).build().unwrap();
    let (probe, log) = ServiceProbe::new(Ready::<BoxError>::new());
    let mut service = stack.layer(probe);
    stack.circuit_breaker().unwrap().open();
    log.close();
    let mut call = pin!(Service::call(&mut service, 1));
    let refused = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
    let Poll::Ready(Err(refused)) = refused else { panic!("it waits: {refused:?}") };
    assert_eq!(refused.rejection().unwrap().kind(), RejectionKind::CircuitOpen);
    assert_eq!(log.engaged(), 0);
}

/// A place in a queue below is not kept through the wait before the next attempt.
#[tokio::test(start_paused = true)]
async fn a_retry_in_its_backoff_keeps_no_place_in_a_queue_below() {
    let script = Script::new(|_, request: u64| Reply::<_, BoxError>::ok(request).after(SECOND * 5));
    let limited = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(script);
    let stack = Stack::builder()
        .classifier(AnyError)
        .retry(RetryPolicy::builder().max_attempts(2).backoff(Backoff::constant(SECOND * 50)))
        .build()
        .unwrap();
    let retried = stack.layer(limited.clone());

    let holder = tokio::spawn(tower::ServiceExt::oneshot(limited.clone(), 1));
    tokio::task::yield_now().await;
    let waiting = tokio::spawn(retried.oneshot(2));
    tokio::time::sleep(SECOND * 6).await;
    holder.await.unwrap().unwrap();
    // The retry sleeps until second 50; meanwhile the one permit is free for everybody else.
    for request in 0..5 {
        let call = tower::ServiceExt::oneshot(limited.clone(), request);
        assert_eq!(call.await.unwrap(), request);
        tokio::time::sleep(MS).await;
    }
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
}

/// A permit is free when what it was for is over, and not before, also where a call is given up.
#[tokio::test(start_paused = true)]
async fn what_is_given_up_ends_before_its_permit_is_back() {
    struct Working(Bulkhead, Arc<AtomicU32>);
    impl Drop for Working {
        fn drop(&mut self) {
            self.1.store(self.0.snapshot().in_use, Ordering::Relaxed);
        }
    }
    let bulkhead = Bulkhead::builder().max_concurrent(1).build().unwrap();
    let stack = Stack::builder().bulkhead(bulkhead.clone()).build().unwrap();
    let in_use = Arc::new(AtomicU32::new(0));
    let seen = in_use.clone();
    let mut service = stack.layer(service_fn(move |_: u64| {
        let working = Working(bulkhead.clone(), seen.clone());
        async move {
            let _working = working;
            std::future::pending::<Result<u64, BoxError>>().await
        }
    }));
    let mut call = Box::pin(Service::call(&mut service, 1));
    assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
    drop(call);
    assert_eq!(in_use.load(Ordering::Relaxed), 1);
    assert_eq!(stack.snapshot().bulkhead.unwrap().in_use, 0);
}

/// Fails to become ready before the second call, and not again.
#[derive(Clone)]
struct Flaky {
    asked: Arc<AtomicU32>,
    sent: Arc<AtomicU32>,
}

impl Service<u64> for Flaky {
    type Response = u64;
    type Error = BoxError;
    type Future = std::future::Ready<Result<u64, BoxError>>;
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        let second = self.asked.fetch_add(1, Ordering::Relaxed) == 1;
        Poll::Ready(if second { Err(down()) } else { Ok(()) })
    }
    fn call(&mut self, request: u64) -> Self::Future {
        let first = self.sent.fetch_add(1, Ordering::Relaxed) == 0;
        std::future::ready(if first { Err(down()) } else { Ok(request) })
    }
}

/// There is one copy, and an attempt that was never sent has not used it up.
#[tokio::test(start_paused = true)]
async fn a_request_that_was_not_taken_is_sent_by_the_next_attempt() {
    let stack = Stack::builder()
        .retry(RetryPolicy::builder().backoff(Backoff::none()).max_attempts(3))
        .build()
        .unwrap();
    let service = Flaky { asked: Arc::default(), sent: Arc::default() };
    let call = tokio::time::timeout(SECOND, stack.layer(service.clone()).oneshot(7));
    assert_eq!(call.await.unwrap().unwrap(), 7);
    assert_eq!(service.sent.load(Ordering::Relaxed), 2);
}
