//! Calls that are not over with their result.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use resilience_core::Outcome;
use resilience_core::breaker::CircuitState;
use resilience_core::profiles::{Profile, Profiles};
use resilience_core::stack::{CallLifetime, CarriedPermits};
use tower::{BoxError, ServiceBuilder, service_fn};

const TEXT: &str = r#"
[a]
deadline = "10s"
bulkhead = { max_concurrent = 2 }
retry = { max_attempts = 2, backoff = { base = "10ms", cap = "10ms" }, without_budget = true }
circuit_breaker = { consecutive_failures = 2, break_for = "1m" }
"#;

/// A head; what is still to come holds the rest.
struct Head {
    is_good: bool,
    goes_on: bool,
    rest: CarriedPermits,
}

#[derive(Clone)]
struct WhileItGoesOn;

impl CallLifetime<Head> for WhileItGoesOn {
    fn carried<'r>(&self, head: &'r Head) -> Option<&'r CarriedPermits> {
        head.goes_on.then_some(&head.rest)
    }
}

async fn call(profile: &Profile, is_good: bool, goes_on: bool) -> Head {
    let by_head = |result: Result<&Head, &BoxError>| match result {
        Ok(head) if head.is_good => Outcome::Success,
        _ => Outcome::transient(),
    };
    let service = ServiceBuilder::new()
        .layer(profile.layer_classify(by_head).replay(|(): &()| Some(())).lasting(WhileItGoesOn))
        .service(service_fn(move |()| async move {
            Ok::<_, BoxError>(Head { is_good, goes_on, rest: CarriedPermits::default() })
        }));
    service.oneshot(()).await.unwrap()
}

fn profile() -> Profile {
    Profiles::from_toml(TEXT).unwrap().profile("a").unwrap()
}

fn held(profile: &Profile) -> (u32, u32) {
    let now = profile.snapshot();
    (now.bulkhead.unwrap().in_use, now.circuit_breaker.unwrap().streak)
}

#[tokio::test(start_paused = true)]
async fn the_carried_permits_record_the_end_of_the_call() {
    let profile = profile();
    for failures in 1..=2 {
        let (circuit, permit) = call(&profile, true, true).await.rest.into_parts();
        assert_eq!(held(&profile).0, 1);
        circuit.unwrap().outcome(Outcome::transient());
        assert_eq!(profile.snapshot().circuit_breaker.unwrap().opened, failures / 2);
        drop(permit);
        assert_eq!(held(&profile).0, 0);
    }
    assert_eq!(profile.circuit_breaker().unwrap().state(), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn a_failure_is_judged_at_once_and_its_permit_goes_on() {
    let profile = profile();
    // Two attempts: the first has given back what it held.
    let (circuit, permit) = call(&profile, false, true).await.rest.into_parts();
    assert!(circuit.is_none());
    assert_eq!(
        (held(&profile).0, profile.circuit_breaker().unwrap().state()),
        (1, CircuitState::Open)
    );
    drop(permit);
    assert_eq!(held(&profile).0, 0);
}

#[tokio::test(start_paused = true)]
async fn what_is_over_with_its_result_hands_over_nothing() {
    let profile = profile();
    let (circuit, permit) = call(&profile, true, false).await.rest.into_parts();
    assert!(circuit.is_none() && permit.is_none());
    assert_eq!(held(&profile), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_rest_that_is_dropped_was_abandoned() {
    let profile = profile();
    let head = call(&profile, true, true).await;
    assert_eq!(held(&profile).0, 1);
    drop(head);
    assert_eq!(held(&profile), (0, 0));
}
