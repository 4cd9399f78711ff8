//! The contract of each layer with the service below and the caller above.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::every::{
    Boxed, LATE_BINDING, LAYERS, Rig, TIGHT, WIDE, budget, has_retry, layered, reset,
};
use resilience_core::retry::{RetryLayer, RetryPolicy};
use resilience_core::testing::{ProbeLog, Reply, Script, ServiceProbe};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use resilience_core::{CarriesRejection, Deadline, RejectionKind};
use tower::limit::ConcurrencyLimitLayer;
use tower::load_shed::LoadShedLayer;
use tower::{BoxError, Layer, Service, ServiceBuilder, ServiceExt, service_fn};

/// Fails its first two calls, after a while each; then answers at once.
fn flaky() -> (
    ServiceProbe<
        impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + Sync,
    >,
    ProbeLog,
) {
    ServiceProbe::new(Script::new(|call, request| {
        if call < 2 {
            Reply::err(reset()).after(Duration::from_millis(5))
        } else {
            Reply::ok(request)
        }
    }))
}

fn ok() -> (
    ServiceProbe<
        impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + Sync,
    >,
    ProbeLog,
) {
    ServiceProbe::new(Script::new(|_, request| Reply::ok(request).yielding(1)))
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Wakes {
    fn count(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test(start_paused = true)]
async fn never_called_unready() {
    for name in LAYERS {
        let (probe, log) = flaky();
        let mut service = layered(name, &budget(), probe);
        for request in 0..5 {
            let _ = service.ready().await.unwrap().call(request).await;
        }
        assert!(log.calls() >= 5, "{name}");
        assert_eq!(log.called_unready(), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_of_a_ready_handle_is_readied_again() {
    for name in LAYERS {
        let (probe, log) = ok();
        let mut service = layered(name, &budget(), probe);
        let clone = service.ready().await.unwrap().clone();
        assert_eq!(clone.oneshot(1).await.unwrap(), 1);
        assert_eq!(service.call(2).await.unwrap(), 2);
        assert_eq!(log.called_unready(), 0, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_handle_polled_twice_and_never_called_holds_nothing() {
    for name in LATE_BINDING {
        let (probe, log) = ok();
        let mut service = layered(name, &budget(), probe);
        service.ready().await.unwrap();
        service.ready().await.unwrap();
        assert_eq!(log.engaged(), 0, "{name}");
        assert_eq!(log.calls(), 0, "{name}");
    }
}

/// R4.
#[tokio::test(start_paused = true)]
async fn nothing_is_held_while_waiting_for_the_next_attempt() {
    let (probe, log) = flaky();
    let service = layered("retry", &budget(), probe);
    let mut call = pin!(service.oneshot(1));
    let mut waits = 0;
    while let Err(_elapsed) = tokio::time::timeout(Duration::from_millis(1), call.as_mut()).await {
        if log.in_flight() == 0 {
            waits += 1;
            assert_eq!(log.engaged(), 0);
        }
    }
    assert!(waits > 5, "the backoff is 10 ms and more: {waits}");
}

/// As measured on tower's own layers.
#[tokio::test(start_paused = true)]
async fn a_retry_in_its_backoff_keeps_no_place_in_a_queue_below() {
    let script = Script::new(|_, request| Reply::ok(request).after(Duration::from_secs(5)));
    let policy = RetryPolicy::builder()
        .backoff(resilience_core::retry::Backoff::constant(Duration::from_secs(50)))
        .classifier(resilience_core::AnyError)
        .build()
        .unwrap();
    let limited = ServiceBuilder::new()
        .layer(LoadShedLayer::new())
        .layer(ConcurrencyLimitLayer::new(1))
        .service(script.map_err(|error: BoxError| error));
    let retried = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(limited.clone());

    let holder = tokio::spawn(limited.clone().oneshot(1));
    tokio::task::yield_now().await;
    let waiting = tokio::spawn(retried.oneshot(2));
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert!(holder.await.unwrap().is_ok());
    // The retry sleeps until second 50; meanwhile the one permit is free for everybody else.
    for request in 0..5 {
        assert_eq!(limited.clone().oneshot(request).await.unwrap(), request);
    }
    assert_eq!(waiting.await.unwrap().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_latest_waker_is_woken() {
    for name in LAYERS {
        let (probe, log) = ok();
        let mut service = layered(name, &budget(), probe);
        log.close();
        let (stale, latest) = (Arc::<Wakes>::default(), Arc::<Wakes>::default());
        let mut call = pin!(async move { service.ready().await?.call(1).await });
        for wakes in [&stale, &latest] {
            let waker = Waker::from(wakes.clone());
            assert!(call.as_mut().poll(&mut Context::from_waker(&waker)).is_pending(), "{name}");
        }
        log.open();
        assert!(latest.count() > 0, "{name}");
        assert_eq!(call.await.unwrap(), 1, "{name}");
    }
}

/// Resources of an attempt are free when its result is there, though the future is kept.
#[tokio::test(start_paused = true)]
async fn a_finished_call_holds_nothing() {
    for name in LAYERS {
        let (probe, log) = ok();
        let mut service = layered(name, &budget(), probe);
        let mut call = pin!(service.ready().await.unwrap().call(1));
        assert_eq!(call.as_mut().await.unwrap(), 1);
        assert_eq!((log.in_flight(), log.engaged()), (0, 0), "{name}");
        let mut context = Context::from_waker(Waker::noop());
        assert!(call.as_mut().poll(&mut context).is_pending(), "{name}: polled again");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_ran_out_of_time_holds_nothing() {
    for name in ["timeout", "deadline", "stack", "stack per key"] {
        let (probe, log) = ServiceProbe::new(Script::new(|_, _| Reply::never()));
        let rig = Rig::new(name, &budget(), WIDE);
        let mut service = rig.layer(probe);
        let mut call = pin!(service.ready().await.unwrap().call(1));
        let error: BoxError = call.as_mut().await.unwrap_err();
        assert!(error.rejection().is_some(), "{name}: {error}");
        assert_eq!((log.in_flight(), log.engaged()), (0, 0), "{name}");
    }
}

/// An error of `poll_ready` below reaches the caller, through the call or through readiness.
#[tokio::test(start_paused = true)]
async fn an_error_of_readiness_is_an_error_of_the_call() {
    #[derive(Clone)]
    struct Broken;
    impl Service<u64> for Broken {
        type Response = u64;
        type Error = BoxError;
        type Future = std::future::Pending<Result<u64, BoxError>>;
        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
            Poll::Ready(Err("worker gone".into()))
        }
        fn call(&mut self, _: u64) -> Self::Future {
            panic!("called unready")
        }
    }
    for name in LAYERS {
        let error = layered(name, &budget(), Broken).oneshot(1).await.unwrap_err();
        assert_eq!(error.to_string(), "worker gone", "{name}");
    }
}

/// Tokio's cooperative budget is not overload.
#[tokio::test(start_paused = true)]
async fn a_thousand_calls_in_one_task_without_yielding() {
    for name in LAYERS {
        let (probe, log) = ServiceProbe::new(Script::new(|_, request| Reply::ok(request)));
        let rig = Rig::new(name, &budget(), WIDE);
        let mut service = rig.layer(probe);
        for request in 0..1_000 {
            assert_eq!(service.ready().await.unwrap().call(request).await.unwrap(), request);
        }
        assert_eq!(log.calls(), 1_000, "{name}");
        let waited = rig.bulkhead().map(|bulkhead| bulkhead.snapshot().waited);
        let refused = [
            rig.bulkhead().map(|bulkhead| bulkhead.snapshot().rejected),
            rig.limiter().map(|limiter| limiter.snapshot().rejected),
            rig.breaker().map(|breaker| breaker.snapshot().not_permitted.into()),
        ];
        assert_eq!(waited.unwrap_or(0), 0, "{name}");
        assert_eq!(refused.into_iter().flatten().sum::<u64>(), 0, "{name}");
    }
}

/// A call that waits is polled when it may go on, and not to find out whether.
#[tokio::test(start_paused = true)]
async fn a_waiting_call_is_polled_once_to_wait_and_once_to_go() {
    for name in LAYERS {
        let rig = Rig::new(name, &budget(), TIGHT);
        let service = rig.layer(service_fn(|request: u64| async move { Ok(request) }));
        let held = rig.bulkhead().map(|bulkhead| bulkhead.try_acquire_owned(1).unwrap());
        let gap = rig.limiter().map(|limiter| limiter.try_acquire(1).unwrap());
        let waits = usize::from(held.is_some()) + usize::from(gap.is_some());
        let mut call = pin!(service.oneshot(1));
        let mut polls = 0;
        let counted = std::future::poll_fn(|cx| {
            polls += 1;
            call.as_mut().poll(cx)
        });
        // A task of its own, so that only what the call waits for wakes the call.
        let release = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(1)).await;
            drop(held);
        });
        assert_eq!(counted.await.unwrap(), 1, "{name}");
        release.await.unwrap();
        assert!(polls <= 1 + waits, "{name}: {polls} polls for {waits} waits");
        drop(gap);
    }
}

/// Work that uses its whole share of the executor at each poll leaves none
/// for a timer, and must run out of time all the same.
#[tokio::test]
async fn busy_work_runs_out_of_time() {
    for name in ["timeout", "deadline"] {
        let busy = service_fn(|_: u64| async {
            loop {
                tokio::task::coop::consume_budget().await;
            }
        });
        let short = Duration::from_millis(20);
        let call: Boxed = match name {
            "timeout" => Boxed::new(TimeoutLayer::new(short).unwrap().layer(busy)),
            _ => Boxed::new(DeadlineLayer::new(short).unwrap().layer(busy)),
        };
        let patient = tokio::time::timeout(Duration::from_secs(10), call.oneshot(1)).await;
        let error: BoxError = patient.expect("it ends by itself").unwrap_err();
        assert!(error.rejection().is_some(), "{name}: {error}");
    }
}

#[test]
fn layers_are_made_outside_of_a_runtime() {
    for name in LAYERS {
        let service =
            layered(name, &budget(), service_fn(|request: u64| async move { Ok(request) }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        assert_eq!(runtime.block_on(service.oneshot(1)).unwrap(), 1, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_below_leaves_no_trace() {
    for name in LAYERS {
        let rig = Rig::new(name, &budget(), WIDE);
        let now = resilience_core::clock::now();
        let before = rig.budget().available(now);
        let service = rig.layer(service_fn(|_: u64| async { panic!("on purpose") }));
        let outcome = tokio::spawn(service.oneshot(1)).await;
        assert!(outcome.unwrap_err().is_panic(), "{name}");
        assert_eq!(Deadline::current(), None, "{name}");
        rig.assert_at_rest(name);
        let deposit = if has_retry(name) { 0.1 } else { 0.0 };
        let after = rig.budget().available(now);
        assert!((after - before - deposit).abs() < 1e-9, "{name}: {before} then {after}");
    }
}

/// R7: one layer value applied many times, as axum does for each route, shares its state.
#[tokio::test(start_paused = true)]
async fn applying_a_layer_many_times_shares_its_state() {
    const ROUTES: u32 = 3;
    for name in LAYERS {
        let rig = Rig::new(name, &budget(), WIDE);
        let now = resilience_core::clock::now();
        let before = rig.budget().available(now);
        let never = Script::new(|_, _: u64| Reply::<u64, BoxError>::never());
        let held = rig.bulkhead().map(|bulkhead| bulkhead.try_acquire_owned(5).unwrap());
        let mut waiting: Vec<_> =
            (0..4).map(|_| Box::pin(rig.layer(never.clone()).oneshot(1))).collect();
        for call in &mut waiting {
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        }
        if let Some(bulkhead) = rig.bulkhead().map(|bulkhead| bulkhead.snapshot()) {
            assert_eq!((bulkhead.in_use, bulkhead.queued), (8, 1), "{name}");
        }
        drop((waiting, held));
        rig.assert_at_rest(name);

        let (base, paid) = (never.arrivals().len(), rig.budget().available(now) - before);
        let mut attempts = 0;
        for _ in 0..ROUTES {
            let broken = Script::new(|_, _: u64| Reply::<u64, BoxError>::err(reset()));
            rig.layer(broken.clone()).oneshot(1).await.unwrap_err();
            attempts += broken.arrivals().len();
        }
        assert_eq!(attempts, if has_retry(name) { 9 } else { 3 }, "{name}");
        if let Some(limiter) = rig.limiter().map(|limiter| limiter.snapshot()) {
            assert_eq!(limiter.admitted, (base + attempts) as u64, "{name}");
        }
        if let Some(breaker) = rig.breaker().map(|breaker| breaker.snapshot()) {
            assert_eq!(breaker.streak as usize, attempts, "{name}");
        }
        if has_retry(name) {
            let left = rig.budget().available(now) - before - paid;
            assert!((left + 1.9 * f64::from(ROUTES)).abs() < 1e-9, "{name}: {left}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_response_that_is_ready_at_the_deadline_wins() {
    let limit = Duration::from_secs(1);
    let script = Script::new(move |_, request: u64| Reply::<_, BoxError>::ok(request).after(limit));
    let timeout =
        ServiceBuilder::new().layer(TimeoutLayer::new(limit).unwrap()).service(script.clone());
    let deadline =
        ServiceBuilder::new().layer(DeadlineLayer::new(limit).unwrap()).service(script.clone());
    let (mut first, mut second) = (pin!(timeout.oneshot(1)), pin!(deadline.oneshot(2)));
    let mut context = Context::from_waker(Waker::noop());
    assert!(first.as_mut().poll(&mut context).is_pending());
    assert!(second.as_mut().poll(&mut context).is_pending());
    tokio::time::advance(limit + Duration::from_millis(2)).await;
    assert_eq!(first.await.unwrap(), 1);
    assert_eq!(second.await.unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn nested_deadlines_take_the_smaller_and_are_seen_inside() {
    let seen = service_fn(|_: u64| async {
        let deadline = Deadline::current().unwrap();
        Ok::<_, BoxError>(deadline.remaining(resilience_core::clock::now()))
    });
    let nested = |outer, inner| {
        ServiceBuilder::new()
            .layer(DeadlineLayer::new(Duration::from_secs(outer)).unwrap())
            .layer(DeadlineLayer::new(Duration::from_secs(inner)).unwrap())
            .service(seen)
    };
    assert_eq!(nested(1, 60).oneshot(0).await.unwrap(), Duration::from_secs(1));
    assert_eq!(nested(60, 1).oneshot(0).await.unwrap(), Duration::from_secs(1));
    assert_eq!(Deadline::current(), None);
}

#[tokio::test(start_paused = true)]
async fn work_that_is_late_already_does_not_begin() {
    let (probe, log) = ok();
    let inner = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(5)).unwrap())
        .service(probe);
    // The outer deadline passes while a slow step runs in front of the inner service.
    let slow_step = service_fn(move |request: u64| {
        let inner = inner.clone();
        async move {
            tokio::time::sleep(Duration::from_millis(999)).await;
            tokio::time::advance(Duration::from_millis(5)).await;
            inner.oneshot(request).await
        }
    });
    let outer = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(1)).unwrap())
        .service(slow_step);
    let error = outer.oneshot(1).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
    assert_eq!(log.calls(), 0);
}

/// A call that a surrounding deadline was to end is polled on after that deadline.
#[tokio::test(start_paused = true)]
async fn a_call_that_outlives_a_deadline_still_has_its_own_limits() {
    use resilience_core::{clock, timeout::within};
    let second = Duration::from_secs(1);
    let never = || Script::new(|_, _: u64| Reply::<u64, BoxError>::never());
    let timeout = TimeoutLayer::new(second * 5).unwrap().layer(never());
    let deadline = DeadlineLayer::new(second * 5).unwrap().layer(never());
    let start = clock::now();
    for service in [Boxed::new(timeout), Boxed::new(deadline)] {
        let mut call = pin!(service.oneshot(1));
        let outer = Deadline::after(clock::now(), second);
        assert!(within(outer, call.as_mut()).await.is_err());
        let error = tokio::time::timeout(second * 60, call).await.expect("it ends").unwrap_err();
        assert!(error.rejection().is_some());
    }
    assert!(clock::now() - start < second * 11);
}

#[tokio::test(start_paused = true)]
async fn one_timer_serves_a_point_in_time() {
    // An attempt timeout that the deadline comes before arms none, and the error says which it was.
    let stack = ServiceBuilder::new()
        .layer(DeadlineLayer::new(Duration::from_secs(1)).unwrap())
        .layer(TimeoutLayer::new(Duration::from_secs(5)).unwrap())
        .service(Script::new(|_, _: u64| Reply::<u64, BoxError>::never()));
    let start = resilience_core::clock::now();
    let error = stack.oneshot(1).await.unwrap_err();
    assert_eq!(error.rejection().unwrap().kind(), RejectionKind::DeadlineExceeded);
    assert!(resilience_core::clock::now() - start <= Duration::from_millis(1_001));
}
