//! Checks that fail, panic, block, or cannot be run.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::{Dependency, Does, MILLISECOND, SECOND, critical, failure, healthy, of, only};
use resilience_core::health::{
    Check, CheckState, Criticality, FailureKind, Health, NotReadyReason, Readiness,
};

#[tokio::test(start_paused = true)]
async fn the_text_of_an_error_is_not_shown() {
    let report = of(critical(&Dependency::new(Does::Refuse))).ready().await;
    assert_eq!(
        report.to_string(),
        "not ready (a critical dependency is down): it is down (failed)"
    );
    assert_eq!(report.reason, Some(NotReadyReason::Dependency));
    assert_eq!(failure(only(&report)).detail(), Some("refused by 10.0.0.7"));
}

#[tokio::test(start_paused = true)]
async fn without_what_is_optional_it_is_degraded() {
    let (database, cache) = (healthy(), Dependency::new(Does::Refuse));
    let health = Health::builder()
        .check(database.check("database", Criticality::Critical))
        .check(cache.check("cache", Criticality::Optional))
        .build()
        .unwrap();
    let report = health.ready().await;
    assert_eq!((report.readiness, report.reason), (Readiness::Degraded, None));
    assert_eq!(report.retry_after, None);
    database.becomes(Does::Hang);
    cache.becomes(Does::Answer(Duration::ZERO));
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(health.ready().await.readiness, Readiness::NotReady);
    database.becomes(Does::Answer(Duration::ZERO));
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(health.ready().await.readiness, Readiness::Ready);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_next_run_of_the_last_critical_check() {
    let down = || Dependency::new(Does::Refuse);
    let health = Health::builder()
        .check(down().check("soon", Criticality::Critical).ttl(2 * SECOND))
        .check(down().check("later", Criticality::Critical).ttl(5 * SECOND))
        .check(down().check("whenever", Criticality::Optional).ttl(60 * SECOND))
        .build()
        .unwrap();
    assert_eq!(health.ready().await.retry_after, Some(5 * SECOND));
    tokio::time::advance(SECOND).await;
    assert_eq!(health.ready().await.retry_after, Some(4 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure() {
    let dependency = Dependency::new(Does::Panic);
    let health = of(critical(&dependency));
    let report = health.ready().await;
    assert_eq!(failure(only(&report)).kind(), FailureKind::Panicked);
    assert_eq!(failure(only(&report)).detail(), Some("a check panics, as it is told to"));
    dependency.becomes(Does::Answer(Duration::ZERO));
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(health.ready().await.readiness, Readiness::Ready);
}

#[tokio::test(start_paused = true)]
async fn so_is_one_where_the_future_is_made() {
    let check = Check::critical("it", || -> std::future::Ready<Result<(), String>> {
        std::panic::panic_any(7)
    });
    let report = of(check).ready().await;
    assert_eq!(failure(only(&report)).kind(), FailureKind::Panicked);
    assert_eq!(failure(only(&report)).detail(), None);
}

/// A panic in the drop of a run leaves no result and no waiting probe.
#[tokio::test(start_paused = true)]
async fn a_panic_in_a_drop_is_not_waited_for() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("dropped");
        }
    }
    let runs = Arc::new(AtomicUsize::new(0));
    let counter = runs.clone();
    let check = Check::critical("it", move || {
        let run = counter.fetch_add(1, Ordering::Relaxed);
        async move {
            let bomb = Bomb;
            if run > 0 {
                std::mem::forget(bomb);
                return Ok(());
            }
            std::future::pending::<Result<(), String>>().await
        }
    });
    let health = of(check);
    assert_eq!(health.ready().await.readiness, Readiness::NotReady);
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(health.ready().await.readiness, Readiness::Ready);
    assert_eq!(runs.load(Ordering::Relaxed), 2);
}

/// A check that blocks its thread keeps it, and one only; probes do not wait longer than it is
/// given.
#[test]
fn a_check_that_blocks_its_thread_is_not_run_again() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_time()
        .build()
        .unwrap();
    let (free, blocked) = mpsc::channel::<()>();
    let (blocked, runs) =
        (Arc::new(parking_lot::Mutex::new(blocked)), Arc::new(AtomicUsize::new(0)));
    let counter = runs.clone();
    let check = Check::critical("it", move || {
        let (blocked, run) = (blocked.clone(), counter.fetch_add(1, Ordering::Relaxed));
        async move {
            if run == 0 {
                let _ = blocked.lock().recv();
            }
            Ok::<_, String>(())
        }
    });
    let health = of(check.timeout(20 * MILLISECOND).ttl(Duration::ZERO));
    runtime.block_on(async {
        for _ in 0..5 {
            let report = health.ready().await;
            let timed_out = FailureKind::TimedOut(20 * MILLISECOND);
            assert_eq!(failure(only(&report)).kind(), timed_out);
        }
        assert_eq!(runs.load(Ordering::Relaxed), 1);
        free.send(()).unwrap();
        while health.ready().await.readiness != Readiness::Ready {
            tokio::task::yield_now().await;
        }
    });
}

/// Outside of a runtime no check runs: the report is immediate, and the next probe in a runtime
/// starts a run.
#[test]
fn outside_of_a_runtime_nothing_is_known() {
    let health = of(critical(&healthy()));
    let mut probe = tokio_test::task::spawn(health.ready());
    let std::task::Poll::Ready(report) = probe.poll() else { panic!("it waits for nobody") };
    assert_eq!(failure(only(&report)).kind(), FailureKind::NotChecked);
    assert_eq!(tokio_test::block_on(health.ready()).readiness, Readiness::Ready);
}

#[test]
fn a_run_that_ends_with_its_runtime_is_run_again_in_the_next() {
    let dependency = Dependency::new(Does::Hang);
    let health = of(critical(&dependency));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let first = runtime();
    first.block_on(async {
        tokio::select! {
            biased;
            _ = health.ready() => panic!("it hangs"),
            () = tokio::task::yield_now() => {}
        }
    });
    drop(first);
    assert_eq!(dependency.under_way(), 0);
    dependency.becomes(Does::Answer(Duration::ZERO));
    assert_eq!(runtime().block_on(health.ready()).readiness, Readiness::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_blip_impairs_and_does_not_take_down() {
    let dependency = healthy();
    let health = of(critical(&dependency).failures_to_down(2).successes_to_up(2).ttl(SECOND));
    let states = [
        (Does::Answer(Duration::ZERO), CheckState::Up, Readiness::Ready),
        (Does::Refuse, CheckState::Impaired, Readiness::Degraded),
        (Does::Panic, CheckState::Down, Readiness::NotReady),
        (Does::Answer(Duration::ZERO), CheckState::Down, Readiness::NotReady),
        (Does::Answer(Duration::ZERO), CheckState::Up, Readiness::Ready),
    ];
    for (step, (does, state, readiness)) in states.into_iter().enumerate() {
        dependency.becomes(does);
        let report = health.ready().await;
        assert_eq!((only(&report).state, report.readiness), (state, readiness), "step {step}");
        tokio::time::advance(SECOND).await;
    }
}
