//! The number of runs of a check, and the time that probes wait.

use crate::{Dependency, failure};
use crate::{Does, MILLISECOND, SECOND, critical, healthy, of, only};
use resilience_core::health::{Check, CheckState, Criticality, FailureKind, Health, Readiness};
use resilience_core::{Deadline, clock};
use std::time::Duration;

fn eight(does: Does) -> (Vec<Dependency>, Health) {
    const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];
    let all: Vec<_> = NAMES.iter().map(|_| Dependency::new(does)).collect();
    let builder = all.iter().zip(NAMES).fold(Health::builder(), |builder, (it, name)| {
        builder.check(it.check(name, Criticality::Critical))
    });
    (all, builder.build().unwrap())
}

#[tokio::test(start_paused = true)]
async fn checks_run_at_once() {
    let (all, health) = eight(Does::Answer(100 * MILLISECOND));
    let began = clock::now();
    assert_eq!(health.ready().await.readiness, Readiness::Ready);
    assert_eq!(clock::now() - began, 100 * MILLISECOND);
    assert!(all.iter().all(|it| it.runs() == 1));
}

#[tokio::test(start_paused = true)]
async fn each_has_a_deadline_of_its_own() {
    let check = |does, name, millis| {
        let check = Dependency::new(does).check(name, Criticality::Critical);
        check.timeout(millis * MILLISECOND)
    };
    let health = Health::builder()
        .check(check(Does::Hang, "quick to give up", 100))
        .check(check(Does::Answer(300 * MILLISECOND), "slow", 400))
        .check(check(Does::Hang, "slow to give up", 200))
        .build()
        .unwrap();
    let began = clock::now();
    let report = health.ready().await;
    assert_eq!(clock::now() - began, 300 * MILLISECOND);
    let states: Vec<_> = report.checks.iter().map(|check| check.state).collect();
    assert_eq!(states, [CheckState::Down, CheckState::Up, CheckState::Down]);
    let kind = |name| failure(report.check(name).unwrap()).kind();
    assert_eq!(kind("quick to give up"), FailureKind::TimedOut(100 * MILLISECOND));
    assert_eq!(kind("slow to give up"), FailureKind::TimedOut(200 * MILLISECOND));
}

#[tokio::test(start_paused = true)]
async fn what_a_check_calls_knows_its_deadline() {
    let (told, mut heard) = tokio::sync::mpsc::unbounded_channel();
    let check = Check::critical("it", move || {
        let told = told.clone();
        async move { told.send(Deadline::current()).map_err(|error| error.to_string()) }
    });
    let began = clock::now();
    of(check.timeout(70 * MILLISECOND)).ready().await;
    assert_eq!(heard.recv().await.unwrap(), Some(Deadline::after(began, 70 * MILLISECOND)));
}

/// 500 probes in a second, one after the other.
#[tokio::test(start_paused = true)]
async fn probes_in_a_row_ask_twice_at_most() {
    for does in [Does::Answer(Duration::ZERO), Does::Answer(30 * MILLISECOND), Does::Refuse] {
        let dependency = Dependency::new(does);
        let health = of(critical(&dependency).ttl(SECOND));
        let end = clock::now() + SECOND;
        let mut probes = 0;
        while clock::now() < end {
            health.ready().await;
            probes += 1;
            tokio::time::advance(2 * MILLISECOND).await;
        }
        assert!(probes >= 450, "{probes}");
        assert!((1..=2).contains(&dependency.runs()), "{}", dependency.runs());
    }
}

/// 500 probes in a second, each a task, all under way at once when the dependency is slow.
#[tokio::test(start_paused = true)]
async fn probes_together_ask_twice_at_most() {
    for does in [
        Does::Answer(Duration::ZERO),
        Does::Answer(300 * MILLISECOND),
        Does::Hang,
        Does::Refuse,
        Does::Panic,
    ] {
        let (all, health) = eight(does);
        let mut probes = tokio::task::JoinSet::new();
        for _ in 0..500 {
            let health = health.clone();
            probes.spawn(async move { health.ready().await.readiness });
            tokio::time::advance(2 * MILLISECOND).await;
        }
        let verdicts = probes.join_all().await;
        let well = matches!(does, Does::Answer(_));
        assert!(verdicts.iter().all(|verdict| verdict.is_ready() == well));
        for dependency in &all {
            assert!((1..=2).contains(&dependency.runs()), "{}", dependency.runs());
            assert_eq!(dependency.under_way(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn probes_during_a_run_wait_for_it() {
    let dependency = Dependency::new(Does::Answer(100 * MILLISECOND));
    let health = of(critical(&dependency));
    let began = clock::now();
    let late = async {
        tokio::time::sleep(90 * MILLISECOND).await;
        health.ready().await
    };
    let (early, late) = tokio::join!(health.ready(), late);
    assert_eq!(early, late);
    assert_eq!((dependency.runs(), clock::now() - began), (1, 100 * MILLISECOND));
}

#[tokio::test(start_paused = true)]
async fn a_result_is_used_until_it_is_too_old() {
    let dependency = Dependency::new(Does::Answer(20 * MILLISECOND));
    let health = of(critical(&dependency).ttl(SECOND));
    let fresh = health.ready().await;
    let (age, took) = (only(&fresh).age, only(&fresh).took);
    assert_eq!((age, took), (Some(Duration::ZERO), Some(20 * MILLISECOND)));

    dependency.becomes(Does::Refuse);
    tokio::time::advance(SECOND - MILLISECOND).await;
    let kept = health.ready().await;
    assert_eq!((only(&kept).state, only(&kept).age), (CheckState::Up, Some(SECOND - MILLISECOND)));

    tokio::time::advance(MILLISECOND).await;
    assert_eq!(only(&health.known()).state, CheckState::Up, "a look asks nobody");
    assert_eq!(only(&health.ready().await).state, CheckState::Down);
    assert_eq!(dependency.runs(), 2);
}

/// The documented defaults: 500 ms, and 2 s.
#[tokio::test(start_paused = true)]
async fn by_default_a_run_has_half_a_second_and_its_result_two() {
    let dependency = Dependency::new(Does::Hang);
    let health = of(critical(&dependency));
    let began = clock::now();
    let report = health.ready().await;
    assert_eq!(clock::now() - began, 500 * MILLISECOND);
    assert_eq!(failure(only(&report)).kind(), FailureKind::TimedOut(500 * MILLISECOND));
    for (later, runs) in [(2 * SECOND - MILLISECOND, 1), (MILLISECOND, 2)] {
        tokio::time::advance(later).await;
        health.ready().await;
        assert_eq!(dependency.runs(), runs);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_time_to_live_every_probe_starts_a_run() {
    let dependency = healthy();
    let health = of(critical(&dependency).ttl(Duration::ZERO));
    for _ in 0..3 {
        assert_eq!(health.ready().await.readiness, Readiness::Ready);
    }
    assert_eq!(dependency.runs(), 3);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_depend_on_is_ready() {
    let report = Health::builder().build().unwrap().ready().await;
    assert_eq!((report.readiness, report.reason, report.checks), (Readiness::Ready, None, vec![]));
}
