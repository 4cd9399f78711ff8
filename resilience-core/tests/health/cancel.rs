//! Probes that are dropped, at every poll.

use std::pin::pin;
use std::task::{Context, Waker};
use std::time::Duration;

use crate::{Dependency, Does, MILLISECOND, SECOND, critical, of};
use resilience_core::clock;
use resilience_core::health::{Criticality, Health, Readiness};

#[tokio::test(start_paused = true)]
async fn a_run_outlives_the_probe_that_began_it() {
    let dependency = Dependency::new(Does::Answer(100 * MILLISECOND));
    let health = of(critical(&dependency));
    let began = clock::now();
    let dropped = tokio::time::timeout(10 * MILLISECOND, health.ready()).await;
    assert!(dropped.is_err());
    assert_eq!(health.ready().await.readiness, Readiness::Ready);
    assert_eq!((dependency.runs(), clock::now() - began), (1, 100 * MILLISECOND));
}

#[tokio::test(start_paused = true)]
async fn a_run_that_all_have_left_ends_at_its_timeout() {
    let dependency = Dependency::new(Does::Hang);
    let health = of(critical(&dependency).timeout(200 * MILLISECOND));
    for _ in 0..10 {
        let dropped = tokio::time::timeout(10 * MILLISECOND, health.ready()).await;
        assert!(dropped.is_err());
    }
    assert_eq!((dependency.runs(), dependency.under_way()), (1, 1));
    tokio::time::sleep(101 * MILLISECOND).await;
    assert_eq!((dependency.runs(), dependency.under_way()), (1, 0));
}

/// A run is also dropped at its timeout after its registry was dropped.
#[tokio::test(start_paused = true)]
async fn nothing_is_left_of_a_registry_that_was_dropped() {
    let dependency = Dependency::new(Does::Hang);
    let health = of(critical(&dependency).timeout(200 * MILLISECOND));
    assert!(tokio::time::timeout(10 * MILLISECOND, health.ready()).await.is_err());
    drop(health);
    tokio::time::sleep(SECOND).await;
    assert_eq!(std::sync::Arc::strong_count(&dependency.0), 1);
}

/// A probe is dropped after k polls, for every k: the next probe gets the right report, and
/// each check ran once.
#[tokio::test(start_paused = true)]
async fn at_every_poll() {
    let mut polls = 0;
    loop {
        let slow = Dependency::new(Does::Answer(3 * MILLISECOND));
        let slower = Dependency::new(Does::Answer(5 * MILLISECOND));
        let health = Health::builder()
            .check(slow.check("slow", Criticality::Critical))
            .check(slower.check("slower", Criticality::Critical))
            .build()
            .unwrap();
        let mut ended = false;
        {
            let mut probe = pin!(health.ready());
            for _ in 0..polls {
                ended = probe.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready();
                if ended {
                    break;
                }
                tokio::time::sleep(MILLISECOND).await;
            }
        }
        let report = health.ready().await;
        assert_eq!(report.readiness, Readiness::Ready, "after {polls} polls");
        assert_eq!((slow.runs(), slower.runs()), (1, 1), "after {polls} polls");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((slow.under_way(), slower.under_way()), (0, 0), "after {polls} polls");
        if ended {
            break;
        }
        polls += 1;
    }
    assert!((5..50).contains(&polls), "{polls}");
}
