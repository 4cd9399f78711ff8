//! The layer: readiness, cancellation, and the state after calls that are dropped.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use resilience_core::bulkhead::BulkheadLayer;
use resilience_core::retry::{Backoff, RetryLayer, RetryPolicy};
use resilience_core::testing::{ProbeLog, Ready, Reply, Script, ServiceProbe};
use resilience_core::{CarriesRejection, Outcome, clock};
use tower::{BoxError, Layer, Service, ServiceBuilder, service_fn};

use crate::*;

type Boxed = tower::util::BoxCloneSyncService<u64, u64, BoxError>;

const SECOND: Duration = Duration::from_secs(1);

/// A service that takes a second, under the bulkhead.
fn slow(bulkhead: &Bulkhead) -> (Boxed, ProbeLog) {
    let (probe, log) = ServiceProbe::new(Script::new(|_, n: u64| Reply::ok(n).after(SECOND)));
    (Boxed::new(BulkheadLayer::new(bulkhead.clone()).layer(probe)), log)
}

async fn call(service: &Boxed, request: u64) -> Result<u64, BoxError> {
    tower::ServiceExt::oneshot(service.clone(), request).await
}

async fn ready(service: &Boxed) -> Boxed {
    let mut handle = service.clone();
    tower::ServiceExt::ready(&mut handle).await.unwrap();
    handle
}

/// Handles that are ready, were ready while it was full, or gave up, hold nothing.
#[tokio::test(start_paused = true)]
async fn an_idle_handle_strands_no_permit() {
    for bulkhead in [rejecting(1), waiting(1)] {
        let (service, log) = slow(&bulkhead);
        let early = ready(&service).await;
        let in_flight = tokio::spawn({
            let service = service.clone();
            async move { call(&service, 1).await }
        });
        tokio::task::yield_now().await;
        assert_eq!(bulkhead.snapshot().in_use, 1);
        let late = ready(&service).await;
        let mut made = late.clone();
        let never_polled = made.call(7);
        assert_eq!(in_flight.await.unwrap().unwrap(), 1);
        assert_eq!(call(&service, 2).await.unwrap(), 2);
        assert_eq!((log.calls(), log.called_unready(), log.engaged()), (2, 0, 0));
        drop((early, late, never_polled));
        assert_at_rest(&bulkhead);
    }
}

/// A retry that backs off outside of the bulkhead holds neither a permit nor a place.
#[tokio::test(start_paused = true)]
async fn a_retry_in_its_backoff_holds_nothing() {
    let bulkhead = rejecting(1);
    let held = bulkhead.try_acquire_owned(1).unwrap();
    let (probe, log) = ServiceProbe::new(Script::new(|_, n: u64| Reply::ok(n)));
    let layer = BulkheadLayer::new(bulkhead.clone());
    let policy = RetryPolicy::builder()
        .backoff(Backoff::constant(SECOND * 30))
        .classify(|result: Result<&u64, &BoxError>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::transient(),
        })
        .wait_when_not_ready()
        .build()
        .unwrap();
    let inner = Boxed::new(layer.layer(probe));
    let overload = service_fn({
        let inner = inner.clone();
        move |n: u64| {
            let inner = inner.clone();
            // An error of its own, which the policy retries.
            async move { call(&inner, n).await.map_err(|_| BoxError::from("overloaded")) }
        }
    });
    let retrying =
        Boxed::new(ServiceBuilder::new().layer(RetryLayer::new(policy)).service(overload));
    let patient = tokio::spawn(async move { call(&retrying, 1).await });
    tokio::time::sleep(SECOND).await;
    drop(held);
    tokio::time::sleep(SECOND).await;
    for n in 0..100 {
        assert_eq!(call(&inner, n).await.unwrap(), n, "while the other backs off");
    }
    assert_eq!((bulkhead.snapshot().queued, log.engaged()), (0, 0));
    assert_eq!(patient.await.unwrap().unwrap(), 1);
    assert_at_rest(&bulkhead);
}

/// A task that does not yield uses up its share of the executor. That is not overload.
#[tokio::test(start_paused = true)]
async fn a_thousand_calls_in_one_poll_are_all_admitted() {
    for bulkhead in [rejecting(1), waiting(1)] {
        let layer = BulkheadLayer::new(bulkhead.clone());
        let service = layer.layer(Ready::<BoxError>::new());
        for n in 0..1_000 {
            let mut call = std::pin::pin!(service.clone().oneshot(n));
            let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            assert!(matches!(polled, Poll::Ready(Ok(m)) if m == n), "call {n}");
        }
        let many = rejecting(1_000);
        let held: Vec<_> = (0..1_000).map(|_| many.try_acquire(1).unwrap()).collect();
        assert_eq!(many.snapshot().rejected, 0);
        drop(held);
        assert_eq!(bulkhead.snapshot().rejected, 0);
        assert_at_rest(&bulkhead);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_back_when_the_result_is() {
    let bulkhead = rejecting(1);
    let (mut service, _) = slow(&bulkhead);
    let mut call = std::pin::pin!(service.call(1));
    call.as_mut().await.unwrap();
    assert_at_rest(&bulkhead);
    let again = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(again.is_pending(), "it stays silent");
}

#[tokio::test(start_paused = true)]
async fn a_panic_gives_the_permit_back() {
    let bulkhead = waiting(1);
    let bomb = service_fn(async |_: u64| -> Result<u64, BoxError> { panic!("on purpose") });
    let service = BulkheadLayer::new(bulkhead.clone()).layer(bomb);
    assert!(tokio::spawn(service.oneshot(1)).await.unwrap_err().is_panic());
    assert_at_rest(&bulkhead);
}

/// R7.
#[tokio::test(start_paused = true)]
async fn a_layer_that_is_applied_many_times_shares_its_permits() {
    let bulkhead = rejecting(3);
    let layer = BulkheadLayer::new(bulkhead.clone());
    let calls = (0..10).map(|n| {
        let inner = Script::new(|_, n: u64| Reply::<_, BoxError>::ok(n).after(SECOND));
        tokio::spawn(layer.clone().layer(inner).oneshot(n))
    });
    let calls: Vec<_> = calls.collect();
    let mut admitted = 0;
    for call in calls {
        match call.await.unwrap() {
            Ok(_) => admitted += 1,
            Err(error) => {
                assert_eq!(error.rejection().unwrap().kind(), RejectionKind::BulkheadFull);
            }
        }
    }
    assert_eq!((admitted, bulkhead.snapshot().peak, bulkhead.snapshot().rejected), (3, 3, 7));
    assert_at_rest(&bulkhead);
}

/// D-BH3: a call that is cancelled is no longer under way, nor in the queue.
#[tokio::test(start_paused = true)]
async fn a_cancelled_call_leaves_nothing_behind() {
    let bulkhead = waiting(2);
    let (service, log) = slow(&bulkhead);
    let calls: Vec<_> = (0..10)
        .map(|n| {
            let service = service.clone();
            tokio::spawn(async move { call(&service, n).await })
        })
        .collect();
    tokio::task::yield_now().await;
    let seen = bulkhead.snapshot();
    assert_eq!((seen.in_use, seen.queued, log.in_flight()), (2, 8, 2));
    calls.iter().for_each(tokio::task::JoinHandle::abort);
    for call in calls {
        assert!(call.await.unwrap_err().is_cancelled());
    }
    assert_eq!(log.in_flight(), 0);
    assert_at_rest(&bulkhead);
}

/// A call dropped after k polls, for every k, whatever it was doing.
#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_at_any_poll_leaves_nothing_behind() {
    for bulkhead in [waiting(1), builder(1).wait_at_most(SECOND).build().unwrap()] {
        for polls in 0.. {
            let (probe, log) = ServiceProbe::new(Script::new(|_, n: u64| {
                Reply::<_, BoxError>::ok(n).after(Duration::from_millis(3)).yielding(2)
            }));
            let mut service = BulkheadLayer::new(bulkhead.clone()).layer(probe);
            let mut held = Some(bulkhead.try_acquire(1).unwrap());
            let mut call = Box::pin(service.call(1));
            let mut ended = false;
            for poll in 0..polls {
                match poll {
                    2 => drop(held.take()),
                    4 => log.open(),
                    3 => {}
                    _ if poll < 2 => log.close(),
                    _ => {}
                }
                let polled = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
                ended = polled.is_ready();
                if ended {
                    break;
                }
                tokio::time::advance(Duration::from_millis(1)).await;
            }
            drop((call, held, service));
            assert_eq!((log.in_flight(), log.engaged(), log.called_unready()), (0, 0, 0));
            assert_at_rest(&bulkhead);
            if ended {
                assert!(polls > 7, "it ended after {polls} polls: nothing was tried");
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn calls_have_the_weight_of_their_closure() {
    let bulkhead = rejecting(10);
    let inner = Script::new(|_, n: u32| Reply::<_, BoxError>::ok(n).after(SECOND));
    let service = BulkheadLayer::new(bulkhead.clone()).weigh(|n: &u32| *n).layer(inner);
    let big = tokio::spawn(service.clone().oneshot(7));
    tokio::task::yield_now().await;
    assert!(service.clone().oneshot(4).await.is_err());
    assert_eq!(service.clone().oneshot(3).await.unwrap(), 3);
    assert_eq!(big.await.unwrap().unwrap(), 7);
    assert_eq!(bulkhead.snapshot().peak, 10);
    assert_at_rest(&bulkhead);
}

/// Also one that has to wait. The closure is its user's, and may be dear.
#[tokio::test(start_paused = true)]
async fn a_call_is_weighed_once() {
    static WEIGHED: AtomicU32 = AtomicU32::new(0);
    let weigh = |n: &u32| {
        WEIGHED.fetch_add(1, Ordering::Relaxed);
        *n
    };
    let bulkhead = waiting(1);
    let inner = Script::new(|_, n: u32| Reply::<_, BoxError>::ok(n).after(SECOND));
    let service = BulkheadLayer::new(bulkhead.clone()).weigh(weigh).layer(inner);
    let first = tokio::spawn(service.clone().oneshot(1));
    tokio::task::yield_now().await;
    assert_eq!(service.oneshot(1).await.unwrap(), 1);
    first.await.unwrap().unwrap();
    assert_eq!(WEIGHED.load(Ordering::Relaxed), 2);
    assert_at_rest(&bulkhead);
}

/// The service below is readied for the call that was admitted, on a handle of its own (R4).
#[tokio::test(start_paused = true)]
async fn no_waiting_call_keeps_the_service_below_ready() {
    let bulkhead = waiting(1);
    let (service, log) = slow(&bulkhead);
    let held = bulkhead.try_acquire_owned(1).unwrap();
    let waiting = tokio::spawn(async move { call(&service, 1).await });
    let start = clock::now();
    tokio::time::sleep(SECOND).await;
    assert_eq!((bulkhead.snapshot().queued, log.engaged()), (1, 0));
    drop(held);
    assert_eq!(waiting.await.unwrap().unwrap(), 1);
    assert_eq!((clock::now() - start, log.called_unready()), (SECOND * 2, 0));
    assert_at_rest(&bulkhead);
}

#[test]
fn what_users_hold_can_be_shared_and_moved() {
    fn shared<T: Send + Sync + Unpin + 'static>() {}
    shared::<(Bulkhead, BulkheadLayer, BulkheadBuilder, BulkheadPermit, Acquire)>();
    type Layered =
        <BulkheadLayer as Layer<tower::util::BoxCloneSyncService<u64, u64, BoxError>>>::Service;
    shared::<Layered>();
    fn movable<T: Send + 'static>() {}
    movable::<<Layered as Service<u64>>::Future>();
    assert!(size_of::<BulkheadPermit>() <= 16);
}
