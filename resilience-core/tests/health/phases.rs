//! Starting, serving, and no longer serving.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use crate::{Dependency, Does, MILLISECOND, SECOND, critical, healthy};
use resilience_core::health::{Criticality, Health, NotReadyReason, Readiness, Startup};

fn switch() -> (Arc<AtomicBool>, impl Fn() -> bool + Send + Sync + 'static) {
    let switch = Arc::new(AtomicBool::new(true));
    let seen = switch.clone();
    (switch, move || seen.load(Ordering::Relaxed))
}

#[tokio::test(start_paused = true)]
async fn what_does_not_serve_is_not_ready_and_checks_nothing() {
    let (dependency, (serves, serving)) = (healthy(), switch());
    let health =
        Health::builder().check(critical(&dependency)).serving_while(serving).build().unwrap();
    serves.store(false, Ordering::Relaxed);
    let report = health.ready().await;
    assert_eq!(report.readiness, Readiness::NotReady);
    assert_eq!(report.reason, Some(NotReadyReason::NotServing));
    assert_eq!((dependency.runs(), health.is_started()), (0, false));
    serves.store(true, Ordering::Relaxed);
    assert_eq!(health.ready().await.readiness, Readiness::Ready);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_is_noticed_that_begins_while_checks_run() {
    let dependency = Dependency::new(Does::Answer(100 * MILLISECOND));
    let (serves, serving) = switch();
    let health =
        Health::builder().check(critical(&dependency)).serving_while(serving).build().unwrap();
    let shutdown = async {
        tokio::time::sleep(50 * MILLISECOND).await;
        serves.store(false, Ordering::Relaxed);
    };
    let (report, ()) = tokio::join!(health.ready(), shutdown);
    assert_eq!(report.reason, Some(NotReadyReason::NotServing));
}

#[tokio::test(start_paused = true)]
async fn it_has_started_when_it_was_ready_once() {
    let (database, cache) = (Dependency::new(Does::Refuse), Dependency::new(Does::Refuse));
    let (serves, serving) = switch();
    let health = Health::builder()
        .check(database.check("database", Criticality::Critical))
        .check(cache.check("cache", Criticality::Optional))
        .serving_while(serving)
        .build()
        .unwrap();
    let report = health.startup().await;
    assert_eq!((report.readiness, health.is_started()), (Readiness::NotReady, false));

    database.becomes(Does::Answer(Duration::ZERO));
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(health.startup().await.readiness, Readiness::Degraded);
    assert!(health.is_started());

    // Whatever becomes of it.
    database.becomes(Does::Refuse);
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(health.ready().await.readiness, Readiness::NotReady);
    assert!(health.known().retry_after.is_some());
    serves.store(false, Ordering::Relaxed);
    let runs = database.runs();
    tokio::time::advance(3 * SECOND).await;
    assert_eq!(health.ready().await.retry_after, None, "nobody knows");
    let report = health.startup().await;
    assert_eq!((report.readiness, report.reason), (Readiness::Degraded, None));
    assert_eq!(report.retry_after, None, "it is what it was asked for");
    assert_eq!(database.runs(), runs, "a startup probe asks nobody once it has started");
}

#[tokio::test(start_paused = true)]
async fn or_at_the_hint() {
    let dependency = Dependency::new(Does::Refuse);
    let health =
        Health::builder().check(critical(&dependency)).startup(Startup::Manual).build().unwrap();
    for report in [health.ready().await, health.startup().await] {
        assert_eq!(report.reason, Some(NotReadyReason::Starting));
    }
    assert_eq!(dependency.runs(), 0);
    health.clone().set_started();
    assert!(health.startup().await.readiness.is_ready());
    assert_eq!(health.ready().await.reason, Some(NotReadyReason::Dependency));
}
