//! A setting means the same for every policy that has it.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use parking_lot::Mutex;
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerLayer};
use resilience_core::bulkhead::{Bulkhead, BulkheadBuilder};
use resilience_core::observe::Event;
use resilience_core::pool::{ResilientManager, ResilientPool};
use resilience_core::profiles::{Profile, Profiles, ProfilesError};
use resilience_core::rate::{Quota, RateLimitLayer, RateLimiter, RateLimiterBuilder};
use resilience_core::stack::Stack;
use resilience_core::{CarriesRejection, InvalidConfig, Outcome, Rejection, RetryHint, clock};
use tower::{BoxError, Layer, service_fn};

const HOUR: Duration = Duration::from_secs(3_600);

/// The setters for calls that are not admitted at once.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Full {
    Reject,
    Wait,
    AtMost(Duration),
}

macro_rules! when_full {
    ($builder:expr, $wait:expr) => {
        match $wait {
            Full::Reject => $builder.reject(),
            Full::Wait => $builder.wait(),
            Full::AtMost(wait) => $builder.wait_at_most(wait),
        }
    };
}

fn limiter() -> RateLimiterBuilder {
    RateLimiter::builder().quota(Quota::per(1, HOUR))
}

fn bulkhead() -> BulkheadBuilder {
    Bulkhead::builder().max_concurrent(1)
}

fn breaker() -> CircuitBreakerBuilder {
    CircuitBreaker::builder().consecutive_failures(1).break_for(HOUR)
}

/// A pool of one object.
struct Objects;

impl Manager for Objects {
    type Type = ();
    type Error = std::io::Error;

    async fn create(&self) -> Result<(), Self::Error> {
        Ok(())
    }

    async fn recycle(&self, (): &mut (), _: &Metrics) -> RecycleResult<Self::Error> {
        Ok(())
    }
}

type Acquired = Pin<Box<dyn Future<Output = Result<(), Rejection>>>>;
/// A policy of which everything is in use, and a call of it.
type Waits = fn(Full) -> Result<Acquired, InvalidConfig>;

const WAITS: [(&str, Waits); 3] = [
    ("rate limiter", |wait| {
        let limiter = when_full!(limiter(), wait).build()?;
        limiter.check(1).unwrap();
        Ok(Box::pin(async move { limiter.acquire(1).await.map(drop) }))
    }),
    ("bulkhead", |wait| {
        let bulkhead = when_full!(bulkhead(), wait).build()?;
        let permit = bulkhead.try_acquire_owned(1).unwrap();
        Ok(Box::pin(async move {
            let result = bulkhead.acquire(1).await.map(drop);
            drop(permit);
            result
        }))
    }),
    ("pool", |wait| {
        let builder =
            ResilientPool::builder(ResilientManager::builder(Objects).build()).max_size(1);
        let pool = match wait {
            Full::Reject => builder.reject(),
            Full::AtMost(wait) => builder.wait_at_most(wait),
            // A pool waits for a limited time only.
            Full::Wait => builder.wait_at_most(HOUR * 24),
        };
        let pool = pool.build()?;
        Ok(Box::pin(async move {
            let _object = pool.get().await.unwrap();
            pool.get().await.map(drop).map_err(|error| error.rejection().unwrap().clone())
        }))
    }),
];

#[tokio::test(start_paused = true)]
async fn to_wait_for_no_time_is_to_reject() {
    for (policy, waits) in WAITS {
        let start = clock::now();
        let zero = waits(Full::AtMost(Duration::ZERO)).unwrap().await.unwrap_err();
        let rejected = waits(Full::Reject).unwrap().await.unwrap_err();
        assert_eq!(zero.to_string(), rejected.to_string(), "{policy}");
        assert_eq!(clock::now(), start, "{policy} waited");
    }
}

#[tokio::test(start_paused = true)]
async fn a_limited_wait_ends_in_a_rejection() {
    for (policy, waits) in WAITS {
        let start = clock::now();
        let wait = Duration::from_secs(7);
        assert!(waits(Full::AtMost(wait)).unwrap().await.is_err(), "{policy}");
        // A rate limiter knows at once that the tokens come later.
        assert!(clock::now() - start <= wait, "{policy}");
    }
}

#[test]
fn a_wait_has_one_bound() {
    for (policy, waits) in WAITS {
        let error = waits(Full::AtMost(Duration::MAX)).err().unwrap();
        assert_eq!(error.field(), "wait_at_most", "{policy}");
    }
}

#[test]
fn a_queue_has_room_for_one_at_least() {
    for wait in [Full::Wait, Full::AtMost(HOUR)] {
        let limiter = when_full!(limiter(), wait).max_queued(0).build();
        assert_eq!(limiter.unwrap_err().field(), "max_queued");
        let bulkhead = when_full!(bulkhead(), wait).max_queued(0).build();
        assert_eq!(bulkhead.unwrap_err().field(), "max_queued");
    }
}

/// The methods of every policy with a live configuration.
trait Handle {
    fn name(&self) -> String;
    /// The configuration in force.
    fn config(&self) -> String;
    fn snapshot(&self) -> String;
    fn fresh(&self) -> Box<dyn Handle>;
    /// Puts a configuration into force that was built with another name and another listener.
    fn set_other(&self);
    /// Puts the configuration into force that is in force.
    fn set_own(&self);
    /// Returns the rejection of a call when everything is in use.
    fn rejected(&self) -> Rejection;
}

fn never(_: &Event<'_>) {
    panic!("the listener of a configuration");
}

impl Handle for RateLimiter {
    fn name(&self) -> String {
        self.name().to_string()
    }

    fn config(&self) -> String {
        format!("{:?}", self.config())
    }

    fn snapshot(&self) -> String {
        format!("{:?}", self.snapshot())
    }

    fn fresh(&self) -> Box<dyn Handle> {
        Box::new(self.fresh())
    }

    fn set_other(&self) {
        let other = limiter().reject().max_queued(7).name("other").listen(never);
        self.set_config(other.config().unwrap());
    }

    fn set_own(&self) {
        self.set_config(self.config());
    }

    fn rejected(&self) -> Rejection {
        let _ = self.check(1);
        self.check(1).unwrap_err()
    }
}

impl Handle for Bulkhead {
    fn name(&self) -> String {
        self.name().to_owned()
    }

    fn config(&self) -> String {
        format!("{:?}", self.config())
    }

    fn snapshot(&self) -> String {
        format!("{:?}", self.snapshot())
    }

    fn fresh(&self) -> Box<dyn Handle> {
        Box::new(self.fresh())
    }

    fn set_other(&self) {
        let other = bulkhead().max_queued(7).name("other").listen(never);
        self.set_config(other.config().unwrap());
    }

    fn set_own(&self) {
        self.set_config(self.config());
    }

    fn rejected(&self) -> Rejection {
        let _permit = self.try_acquire(1);
        self.try_acquire(1).unwrap_err()
    }
}

impl Handle for CircuitBreaker {
    fn name(&self) -> String {
        self.name().to_owned()
    }

    fn config(&self) -> String {
        format!("{:?}", self.config())
    }

    fn snapshot(&self) -> String {
        format!("{:?}", self.snapshot())
    }

    fn fresh(&self) -> Box<dyn Handle> {
        Box::new(self.fresh())
    }

    fn set_other(&self) {
        let other = breaker().consecutive_failures(2).name("other").listen(never);
        self.set_config(other.config().unwrap());
    }

    fn set_own(&self) {
        self.set_config(self.config());
    }

    fn rejected(&self) -> Rejection {
        self.open();
        self.try_admit().unwrap_err()
    }
}

/// The names of the layers in the events of a listener.
type Heard = Arc<Mutex<Vec<String>>>;

/// All policies, by the same name and listener.
fn policies(heard: &Heard) -> Vec<(&'static str, Box<dyn Handle>)> {
    let listener = || {
        let heard = heard.clone();
        move |event: &Event<'_>| {
            let layer = match event {
                Event::Rejected(rejection) => rejection.layer().to_owned(),
                Event::CircuitChanged { layer, .. } => (*layer).to_owned(),
                other => panic!("{other:?}"),
            };
            heard.lock().push(layer);
        }
    };
    let limiter = limiter().reject().name("mine").listen(listener()).build().unwrap();
    let bulkhead = bulkhead().name("mine").listen(listener()).build().unwrap();
    let breaker = breaker().name("mine").listen(listener()).build().unwrap();
    vec![
        ("rate limiter", Box::new(limiter)),
        ("bulkhead", Box::new(bulkhead)),
        ("breaker", Box::new(breaker)),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_configuration_changes_neither_name_nor_listener() {
    let heard = Heard::default();
    for (policy, handle) in policies(&heard) {
        let before = handle.fresh();
        let config = handle.config();
        handle.set_other();
        assert_ne!(handle.config(), config, "{policy}");
        for handle in [&handle, &before, &handle.fresh()] {
            assert_eq!(handle.name(), "mine", "{policy}");
            assert_eq!(handle.rejected().layer(), "mine", "{policy}");
            let layers = std::mem::take(&mut *heard.lock());
            assert!(!layers.is_empty() && layers.iter().all(|it| it == "mine"), "{policy}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_configuration_in_force_changes_nothing() {
    for (policy, handle) in policies(&Heard::default()) {
        handle.rejected();
        let (config, snapshot) = (handle.config(), handle.snapshot());
        handle.set_own();
        assert_eq!((handle.config(), handle.snapshot()), (config, snapshot), "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_fresh_handle_shares_the_configuration_and_no_state() {
    for (policy, handle) in policies(&Heard::default()) {
        let new = handle.snapshot();
        handle.rejected();
        let fresh = handle.fresh();
        assert_eq!((fresh.config(), fresh.name()), (handle.config(), handle.name()), "{policy}");
        assert_eq!(fresh.snapshot(), new, "{policy}");
        assert_ne!(handle.snapshot(), new, "{policy}");
        fresh.set_other();
        assert_eq!(fresh.config(), handle.config(), "{policy}");
    }
}

/// A server sends a hint of an hour; the break is a second, and the limiter has tokens.
#[tokio::test(start_paused = true)]
async fn hints_are_followed_unless_they_are_ignored() {
    let throttled = |result: Result<&(), &BoxError>| match result {
        Ok(()) => Outcome::Success,
        Err(_) => Outcome::Throttled(RetryHint::After(HOUR)),
    };
    for ignored in [false, true] {
        let limits = RateLimiter::builder().quota(Quota::per_second(10)).longest_hint(HOUR);
        let limits = if ignored { limits.ignore_hints() } else { limits }.build().unwrap();
        let breaks = CircuitBreaker::builder()
            .consecutive_failures(1)
            .break_for(Duration::from_secs(1))
            .break_jitter(0.0);
        let breaks = if ignored { breaks.ignore_hints() } else { breaks }.build().unwrap();
        let fails = || service_fn(async |()| Err::<(), BoxError>("429".into()));
        let limited = RateLimitLayer::new(limits.clone()).classify(throttled).layer(fails());
        let broken = CircuitBreakerLayer::new(breaks.clone()).classify(throttled).layer(fails());
        limited.oneshot(()).await.unwrap_err();
        broken.oneshot(()).await.unwrap_err();
        assert_eq!(limits.snapshot().paused_for.is_none(), ignored);
        let break_ = breaks.snapshot().open_for.unwrap();
        assert_eq!(break_ == Duration::from_secs(1), ignored, "{break_:?}");
    }
}

fn profile(part: &str, settings: &str) -> Result<Profile, ProfilesError> {
    let text = format!("[mine]\ndeadline = \"1m\"\n{part} = {{ {settings} }}\n");
    Profiles::from_toml(&text)?.profile("mine")
}

/// The name is the key in a profile's text, the builder's method, the accessor, the field of a
/// snapshot, the field of an error, and the end of the layer's name.
macro_rules! assert_one_name {
    ($part:ident, $builder:expr, $valid:literal, $invalid:expr) => {
        let part = stringify!($part);
        let layer = format!("mine.{part}");

        let mine = profile(part, $valid).unwrap();
        let _layer = mine.layer();
        assert_eq!(mine.$part().unwrap().name().to_string(), layer);
        assert!(mine.snapshot().$part.is_some(), "{part}");

        let stack = Stack::builder().name("mine").$part($builder).build().unwrap();
        assert_eq!(stack.$part().unwrap().name().to_string(), layer);
        assert!(stack.snapshot().$part.is_some(), "{part}");

        let error = profile(part, $invalid).unwrap_err();
        let (table, setting) = error.field().unwrap().split_once('.').unwrap();
        assert_eq!(table, part);
        assert!($invalid.starts_with(setting), "{error}");
    };
}

#[tokio::test(start_paused = true)]
async fn a_part_has_one_name() {
    assert_one_name!(bulkhead, bulkhead(), "max_concurrent = 1", "max_concurrent = 0");
    assert_one_name!(rate_limit, limiter(), "per_second = 1", "min_gap = \"200d\", per_second = 1");
    let invalid = "consecutive_failures = 0";
    assert_one_name!(circuit_breaker, breaker(), "consecutive_failures = 1", invalid);
}
