//! A handle shows the state that calls use, or there is no handle.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::future::pending;
use std::time::Duration;

use resilience_core::breaker::{CircuitBreaker, CircuitState};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::clock;
use resilience_core::health::{CheckState, Criticality, Health};
use resilience_core::profiles::{Profile, ProfileLayer, Profiles};
use resilience_core::rate::RateLimiter;
use resilience_core::retry::{RetryBudget, RetryPolicy};
use tower::{BoxError, ServiceBuilder, service_fn};

const TEXT: &str = r#"
[a]
deadline = "10s"
bulkhead = { max_concurrent = 2 }
retry = { max_attempts = 2, backoff = { base = "10ms", cap = "10ms" }, budget = { ratio = "10%", reserve = 5 } }
rate_limit = { count = 10, period = "1h", burst = 10 }
circuit_breaker = { consecutive_failures = 2, break_for = "1m" }
"#;

fn down() -> BoxError {
    std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()
}

/// Makes a call that waits for ever, and one with failing attempts, under this layer.
async fn call(layer: ProfileLayer) {
    let service = ServiceBuilder::new().layer(layer).service(service_fn(async |waits: bool| {
        if waits { pending().await } else { Err::<(), BoxError>(down()) }
    }));
    tokio::spawn(service.clone().oneshot(true));
    tokio::task::yield_now().await;
    service.oneshot(false).await.unwrap_err();
}

/// All that hands out a handle.
struct Handles {
    bulkhead: Bulkhead,
    limiter: RateLimiter,
    breaker: CircuitBreaker,
    policy: RetryPolicy,
    budget: RetryBudget,
}

impl Handles {
    fn of(profile: &Profile) -> Option<Handles> {
        Some(Handles {
            bulkhead: profile.bulkhead()?,
            limiter: profile.rate_limit()?,
            breaker: profile.circuit_breaker()?,
            policy: profile.retry()?,
            budget: profile.budget()?,
        })
    }

    /// Permits in use, tokens left, state, and what is left in the budget by either way to it.
    fn show(&self) -> (u32, u32, CircuitState, f64, f64) {
        let now = clock::now();
        let left = self.policy.budget().unwrap().available(now);
        let (permits, tokens) = (self.bulkhead.snapshot(), self.limiter.snapshot());
        (permits.in_use, tokens.available, self.breaker.state(), left, self.budget.available(now))
    }
}

fn shown_of(profile: &Profile) -> (Option<u32>, Option<u32>, Option<CircuitState>, Option<f64>) {
    let now = profile.snapshot();
    (
        now.bulkhead.map(|it| it.in_use),
        now.rate_limit.map(|it| it.available),
        now.circuit_breaker.map(|it| it.state),
        now.budget,
    )
}

/// Handles of a profile of the registry, of one made from it, and of one made for a key of
/// that.
#[tokio::test(start_paused = true)]
async fn every_handle_of_a_profile_shows_its_calls() {
    let model = Profiles::from_toml(TEXT).unwrap().profile("a").unwrap();
    for profile in [model.fresh(), model.fresh().fresh_for("key"), model.clone(), model] {
        let has_none = [
            profile.bulkhead().is_none(),
            profile.rate_limit().is_none(),
            profile.circuit_breaker().is_none(),
            profile.retry().is_none(),
            profile.budget().is_none(),
        ];
        assert!(has_none.iter().all(|&none| none == has_none[0]));
        assert_eq!(has_none[0], shown_of(&profile) == (None, None, None, None));
        if !has_none[0] {
            // The last one is a clone of the one before, whose calls are its own.
            assert_eq!(Handles::of(&profile).unwrap().show().2, CircuitState::Open);
            continue;
        }
        let layer = profile.layer();
        let handles = Handles::of(&profile).unwrap();
        assert_eq!(handles.show(), (0, 10, CircuitState::Closed, 5.0, 5.0));
        call(layer).await;
        let (permits, tokens, state, left, by_policy) = handles.show();
        assert_eq!((permits, tokens, state), (1, 7, CircuitState::Open));
        assert!(left < 5.0 && left == by_policy, "{left}, {by_policy}");
        let shown = (Some(1), Some(7), Some(CircuitState::Open), Some(left));
        assert_eq!(shown_of(&profile), shown);
    }
}

/// In whichever order: before there are calls of its own, a model shows nothing.
#[tokio::test(start_paused = true)]
async fn a_model_has_no_handles_and_its_keys_have() {
    let model = Profiles::from_toml(TEXT).unwrap().profile("a").unwrap();
    assert!(Handles::of(&model).is_none());
    let one = model.fresh_for("one");
    let calls = one.layer().calls();
    let health = Health::builder();
    let breaker = one.circuit_breaker().unwrap();
    let health = health.circuit_breaker("a", breaker, Criticality::Critical).build().unwrap();
    let service = service_fn(async |()| Err::<(), BoxError>(down()));
    calls.call(service, ()).await.unwrap_err();
    assert_eq!(health.ready().await.check("a").unwrap().state, CheckState::Down);
    assert!(Handles::of(&model).is_none());
}

/// A health check is built once, and reloads come and go.
#[tokio::test(start_paused = true)]
async fn a_handle_is_the_right_one_after_its_part_came_back() {
    let profiles = Profiles::from_toml(TEXT).unwrap();
    let model = profiles.profile("a").unwrap();
    for profile in [model.clone(), model.fresh_for("key")] {
        let layer = profile.layer();
        let handles = Handles::of(&profile).unwrap();
        call(layer.clone()).await;
        assert_eq!(handles.breaker.state(), CircuitState::Open);

        profiles.reload("[a]\ndeadline = \"3s\"").unwrap();
        assert!(profile.circuit_breaker().is_none() && profile.bulkhead().is_none());
        // No call is rejected by it any more.
        assert_eq!(handles.breaker.state(), CircuitState::Closed);

        profiles.reload(&TEXT.replace("max_concurrent = 2", "max_concurrent = 7")).unwrap();
        assert_eq!(profile.circuit_breaker().unwrap().state(), CircuitState::Closed);
        assert_eq!(handles.bulkhead.snapshot().limit, 7);
        let before = handles.show();
        call(layer).await;
        let after = handles.show();
        assert_eq!(after.2, CircuitState::Open);
        assert!(after.0 == before.0 + 1 && after.1 < before.1, "{before:?}, {after:?}");
        tokio::time::sleep(Duration::from_secs(11)).await;
        assert_eq!(handles.bulkhead.snapshot().in_use, 0);
        profiles.reload(TEXT).unwrap();
    }
}
