use std::fmt;
use std::sync::Arc;

use super::layer::ProfileLayer;
use super::parts::Parts;
use crate::breaker::CircuitBreaker;
use crate::bulkhead::Bulkhead;
use crate::live::{Live, Seen};
use crate::outcome::{Outcome, Standard};
use crate::rate::RateLimiter;
use crate::retry::{RetryBudget, RetryPolicy};
use crate::stack::{Plan, StackSnapshot};

/// What is in force under one name.
#[derive(Debug)]
pub(super) struct State {
    name: String,
    live: Arc<Live<Parts>>,
}

impl State {
    pub(super) fn new(name: String, parts: Parts) -> State {
        State { name, live: Live::new(parts) }
    }

    pub(super) fn set(&self, parts: Parts) {
        self.live.set(parts);
    }

    pub(super) fn parts(&self) -> Seen<Parts> {
        self.live.see()
    }

    pub(super) const fn live(&self) -> &Arc<Live<Parts>> {
        &self.live
    }
}

/// A stack for one upstream, as a text describes it. Clones, and all that is made from it, share its
/// state and follow its reloads.
#[derive(Clone)]
pub struct Profile(Arc<State>);

impl Profile {
    pub(super) const fn new(state: Arc<State>) -> Profile {
        Profile(state)
    }

    /// Its name, as `scraper.odds`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The whole stack, for services whose errors say what they mean
    /// ([`AsOutcome`](crate::AsOutcome)).
    #[must_use]
    pub fn layer(&self) -> ProfileLayer {
        self.layer_with(Standard)
    }

    /// The whole stack; retry, rate limit and breaker read outcomes off results with this
    /// [`Classify`](crate::Classify) type.
    #[must_use]
    pub fn layer_with<K>(&self, classifier: K) -> ProfileLayer<K> {
        ProfileLayer::new(self.0.clone(), classifier)
    }

    /// As [`layer_with`](Profile::layer_with), with a closure.
    #[must_use]
    pub fn layer_classify<T, E, F>(&self, classifier: F) -> ProfileLayer<F>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.layer_with(classifier)
    }

    /// What it does at worst, by the text in force.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.0.parts().plan.clone()
    }

    /// All of it, now.
    #[must_use]
    pub fn snapshot(&self) -> StackSnapshot {
        self.0.parts().handles.snapshot()
    }

    /// The bulkhead in force. A later reload changes it, unless it takes it away.
    #[must_use]
    pub fn bulkhead(&self) -> Option<Bulkhead> {
        self.0.parts().handles.bulkhead.clone()
    }

    /// The rate limiter in force. A later reload changes it, unless it takes it away.
    #[must_use]
    pub fn rate_limiter(&self) -> Option<RateLimiter> {
        self.0.parts().handles.rate_limiter.clone()
    }

    /// The circuit breaker in force. A later reload changes it, unless it takes it away.
    #[must_use]
    pub fn breaker(&self) -> Option<CircuitBreaker> {
        self.0.parts().handles.breaker.clone()
    }

    /// The retry policy in force. A later reload puts another in its place.
    #[must_use]
    pub fn retry(&self) -> Option<RetryPolicy> {
        self.0.parts().handles.retry.clone()
    }

    /// The budget in force.
    #[must_use]
    pub fn budget(&self) -> Option<RetryBudget> {
        self.retry()?.budget().cloned()
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Profile").field(&self.0.name).finish()
    }
}
