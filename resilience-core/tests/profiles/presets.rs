//! The presets that come with the crate.

use std::time::Duration;

use resilience_core::breaker::CircuitState;
use resilience_core::profiles::{Profiles, ProfilesErrorKind};
use resilience_core::testing::Ready;
use resilience_core::{Outcome, RetryHint};
use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn every_preset_works_and_none_is_hardly_meant() {
    let profiles = Profiles::standard().unwrap();
    let expected = [
        "bigquery.dml",
        "bigquery.query",
        "firestore.tx",
        "pubsub.publish",
        "scraper.bdl",
        "scraper.odds",
        "scraper.reference",
        "scraper.stats",
        "slack",
    ];
    assert_eq!(profiles.names(), expected);
    for name in expected {
        let plan = profiles.profile(name).unwrap().plan();
        println!("{name}\n{plan}\n");
        assert!(plan.warnings.is_empty(), "{name}: {:?}", plan.warnings);
        assert_eq!(plan.sure_attempts, plan.max_attempts, "{name}");
        assert!(plan.worst_case_latency.is_some_and(|worst| worst <= SECOND * 600), "{name}");
        assert!(plan.amplification <= 1.1, "{name}");
    }
}

/// The numbers of the system that this was made for.
#[test]
fn presets_are_the_limits_of_the_services() {
    let profiles = Profiles::standard().unwrap();
    for (name, per_second, burst) in [
        ("scraper.odds", 0.5, 5),
        ("scraper.stats", 0.5, 5),
        ("scraper.bdl", 1.0, 10),
        // 10 a minute is less than one every 5 s.
        ("scraper.reference", 10.0 / 60.0, 2),
    ] {
        let plan = profiles.profile(name).unwrap().plan();
        let rate = plan.attempts_per_second.unwrap();
        assert!((rate - per_second).abs() < 1e-9, "{name}: {rate}");
        assert_eq!((plan.burst, plan.max_attempts), (Some(burst), 4), "{name}");
    }
    let plan = |name: &str| profiles.profile(name).unwrap().plan();
    assert_eq!(plan("bigquery.dml").max_in_flight, Some(20));
    assert_eq!(plan("firestore.tx").max_attempts, 5);
    assert_eq!(plan("pubsub.publish").max_attempts, 3);
    assert_eq!(plan("slack").max_attempts, 3);
}

/// Ten 429s in a row do not close a scraper for five minutes: its rate limit pauses, and that is
/// the remedy.
#[tokio::test(start_paused = true)]
async fn a_throttled_scraper_is_paced_and_not_cut_off() {
    let profile = Profiles::standard().unwrap().profile("scraper.odds").unwrap();
    for (outcome, open) in
        [(Outcome::Throttled(RetryHint::None), false), (Outcome::transient(), true)]
    {
        let _layer = profile.layer();
        let breaker = profile.circuit_breaker().unwrap();
        for _ in 0..10 {
            breaker.try_admit().unwrap().outcome(outcome);
        }
        assert_eq!(breaker.state() == CircuitState::Open, open, "{outcome:?}");
    }
}

/// No part of a stack needs a runtime before it is called.
#[test]
fn layers_are_made_without_a_runtime() {
    let profiles = Profiles::standard().unwrap();
    for name in profiles.names() {
        let layer = profiles.profile(&name).unwrap().layer();
        let service = service_fn(async |_: u64| Ok::<u64, BoxError>(1));
        let _service = ServiceBuilder::new().layer(layer).service(service);
    }
}

#[test]
fn near_names_are_offered() {
    let profiles = Profiles::standard().unwrap();
    let error = profiles.profile("scraper.ods").unwrap_err();
    assert_eq!(error.kind(), ProfilesErrorKind::UnknownProfile);
    assert_eq!(
        error.to_string(),
        "profile `scraper.ods`: is not there; did you mean `scraper.odds` or `scraper.bdl`?"
    );
    assert!(!profiles.profile("else").unwrap_err().to_string().contains("did you mean"));
}

#[tokio::test(start_paused = true)]
async fn two_layers_of_one_name_share_the_state() {
    let profiles = Profiles::standard().unwrap();
    let (one, other) = (profiles.profile("slack").unwrap(), profiles.profile("slack").unwrap());
    let echo = Ready::<BoxError>::new;
    let first = ServiceBuilder::new().layer(one.layer()).service(echo());
    let second = ServiceBuilder::new().layer(other.layer()).service(echo());
    first.oneshot(1).await.unwrap();
    second.oneshot(2).await.unwrap();
    assert_eq!(one.snapshot().rate_limit.unwrap().available, 1);
    assert_eq!(profiles.profile("slack").unwrap().snapshot().rate_limit.unwrap().admitted, 2);
}

/// A type for each part used to make the compiler ask the same question millions of times.
#[tokio::test(start_paused = true)]
async fn a_box_above_a_profile_compiles() {
    let profile = Profiles::standard().unwrap().profile("scraper.odds").unwrap();
    let service = ServiceBuilder::new()
        .boxed_clone_sync()
        .layer(profile.layer())
        .service(Ready::<BoxError>::new());
    assert_eq!(service.oneshot(7).await.unwrap(), 7);
}
