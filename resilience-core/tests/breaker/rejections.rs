//! Rejections by layers below, which count only where they are asked to.

use std::time::Duration;

use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitState};
use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::shutdown::{Shutdown, ShutdownLayer};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use resilience_core::{AnyError, CarriesRejection, Error, Outcome, Rejection, RejectionKind};
use tower::{BoxError, Layer as _, ServiceBuilder, service_fn};

use crate::{SECOND, builder};

const KINDS: [RejectionKind; 7] = [
    RejectionKind::CircuitOpen,
    RejectionKind::BulkheadFull,
    RejectionKind::RateLimited,
    RejectionKind::TimedOut,
    RejectionKind::DeadlineExceeded,
    RejectionKind::Shed,
    RejectionKind::ShuttingDown,
];

/// The state after as many results with a rejection of this kind as open the circuit.
async fn after(breaker: &CircuitBreaker, kind: RejectionKind) -> CircuitState {
    for _ in 0..2 {
        let rejected = async { Err::<(), Error<BoxError>>(Rejection::new(kind, "below").into()) };
        let _ = breaker.call(AnyError, rejected).await;
    }
    breaker.state()
}

/// The layer decides as the handle does.
async fn after_layer(breaker: &CircuitBreaker, kind: RejectionKind) -> CircuitState {
    let service = ServiceBuilder::new().layer(CircuitBreakerLayer::new(breaker.clone())).service(
        service_fn(async |kind: RejectionKind| {
            Err::<(), Error<std::io::Error>>(Rejection::new(kind, "below").into())
        }),
    );
    for _ in 0..2 {
        service.clone().oneshot(kind).await.unwrap_err();
    }
    breaker.state()
}

fn expected(opens: bool) -> CircuitState {
    if opens { CircuitState::Open } else { CircuitState::Closed }
}

#[tokio::test(start_paused = true)]
async fn every_kind_counts_where_it_is_listed_and_no_other() {
    for kind in KINDS {
        for listed in KINDS {
            let opens = kind == listed || kind == RejectionKind::TimedOut;
            let breaker = builder().count_rejections([listed]).build().unwrap();
            assert_eq!(after(&breaker, kind).await, expected(opens), "{kind:?} {listed:?}");
            let breaker = breaker.fresh();
            assert_eq!(after_layer(&breaker, kind).await, expected(opens), "{kind:?} {listed:?}");
        }
        let by_default = builder().build().unwrap();
        let opens = kind == RejectionKind::TimedOut;
        assert_eq!(after(&by_default, kind).await, expected(opens), "{kind:?}");
        assert_eq!(after_layer(&by_default.fresh(), kind).await, expected(opens), "{kind:?}");
        let all = builder().count_rejections(KINDS).build().unwrap();
        assert_eq!(after(&all, kind).await, CircuitState::Open, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_bulkhead_opens_the_breaker_around_it() {
    let full = Bulkhead::builder().max_concurrent(1).build().unwrap();
    let _permit = full.try_acquire(1).unwrap();
    let breaker = builder().count_rejections([RejectionKind::BulkheadFull]).build().unwrap();
    let service = ServiceBuilder::new()
        .layer(CircuitBreakerLayer::new(breaker.clone()))
        .layer(BulkheadLayer::new(full.clone()))
        .service(service_fn(async |(): ()| Ok::<_, BoxError>(())));
    let mut kinds = Vec::new();
    for _ in 0..3 {
        let error = service.clone().oneshot(()).await.unwrap_err();
        kinds.push(error.rejection().unwrap().kind());
    }
    use RejectionKind::{BulkheadFull, CircuitOpen};
    assert_eq!(kinds, [BulkheadFull, BulkheadFull, CircuitOpen]);
    assert_eq!(full.snapshot().rejected, 2);
}

/// A probe that is rejected has failed, and when it is worth coming back lengthens the break.
#[tokio::test(start_paused = true)]
async fn a_counted_rejection_is_a_failure_with_a_hint() {
    let breaker = builder().count_rejections([RejectionKind::RateLimited]).build().unwrap();
    breaker.open();
    breaker.half_open().unwrap();
    let later = Rejection::new(RejectionKind::RateLimited, "below").with_retry_after(SECOND * 60);
    let probe = breaker.try_admit().unwrap();
    let error: Error<BoxError> = later.into();
    let outcome = probe.outcome_of(&AnyError, Err::<&(), _>(&error));
    assert_eq!(outcome, Outcome::Transient(Some(SECOND * 60).into()));
    probe.outcome(outcome);
    assert!(breaker.snapshot().open_for.unwrap() >= SECOND * 60);
}

#[tokio::test(start_paused = true)]
async fn it_is_a_part_of_the_configuration() {
    let breaker = builder().build().unwrap();
    let key = breaker.fresh();
    let counting = builder().count_rejections([RejectionKind::Shed]);
    breaker.set_config(counting.config().unwrap());
    assert_eq!(after(&key, RejectionKind::Shed).await, CircuitState::Open);
    let others = builder().count_rejections([RejectionKind::Shed]).count_rejections([]);
    assert_eq!(others.config().unwrap(), builder().config().unwrap());
    assert_eq!(after(&breaker, RejectionKind::Shed).await, CircuitState::Open);
    tokio::time::advance(Duration::from_secs(600)).await;
    breaker.reset();
    breaker.set_config(others.config().unwrap());
    assert_eq!(after(&breaker, RejectionKind::Shed).await, CircuitState::Closed);
}

/// A kind that nothing produces is a row in a dashboard that stays empty. `Shed` is for layers of
/// one's own.
#[tokio::test(start_paused = true)]
async fn every_kind_but_shed_is_produced_by_a_policy() {
    let breaker = builder().build().unwrap();
    breaker.force_open();
    let bulkhead = Bulkhead::builder().max_concurrent(1).build().unwrap();
    let _permit = bulkhead.try_acquire(1).unwrap();
    let rate =
        RateLimiter::builder().quota(Quota::per(1, SECOND * 3_600)).reject().build().unwrap();
    rate.check(1).unwrap();
    let shutdown = Shutdown::builder().build().unwrap();
    let token = shutdown.token();
    token.begin("test");
    shutdown.run().await;
    let hangs = || service_fn(async |(): ()| std::future::pending::<Result<(), BoxError>>().await);
    let timeout = TimeoutLayer::new(SECOND).unwrap().layer(hangs());
    let deadline = DeadlineLayer::new(SECOND).unwrap().layer(hangs());
    let closing = ShutdownLayer::new(&token).layer(hangs());
    let of = |error: BoxError| error.rejection().unwrap().kind();
    let produced = [
        breaker.try_admit().unwrap_err().kind(),
        bulkhead.try_acquire(1).unwrap_err().kind(),
        rate.check(1).unwrap_err().kind(),
        of(timeout.oneshot(()).await.unwrap_err()),
        of(deadline.oneshot(()).await.unwrap_err()),
        of(closing.oneshot(()).await.unwrap_err()),
    ];
    let mut kinds = KINDS.to_vec();
    kinds.retain(|&kind| kind != RejectionKind::Shed);
    assert_eq!(produced, kinds[..]);
}
