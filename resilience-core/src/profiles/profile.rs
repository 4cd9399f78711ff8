use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::fresh::Origin;
use super::layer::ProfileLayer;
use super::parts::Parts;
use crate::breaker::CircuitBreaker;
use crate::bulkhead::Bulkhead;
use crate::clock;
use crate::live::{LiveConfig, Versioned};
use crate::name::Name;
use crate::observe::Gauges;
use crate::outcome::{Outcome, Standard};
use crate::rate::RateLimiter;
use crate::retry::{RetryBudget, RetryPolicy};
use crate::stack::{Plan, StackSnapshot};

/// What is in force under one name.
#[derive(Debug)]
pub(super) struct State {
    name: String,
    live: Arc<LiveConfig<Parts>>,
    /// The profile whose rules this one follows, if it was made by `fresh` or for a key.
    origin: Option<Origin>,
    /// `true` from the first layer on. Until then no call can touch the state.
    is_called: AtomicBool,
    /// The stores of [`Profile::per_key`], one for each type of key.
    keys: Mutex<Vec<Box<dyn Any + Send + Sync>>>,
}

impl State {
    pub(super) fn new(name: String, parts: Parts) -> State {
        State::of(name, None, Arc::new(LiveConfig::new(parts)))
    }

    pub(super) fn following(name: String, origin: Origin, live: Arc<LiveConfig<Parts>>) -> State {
        State::of(name, Some(origin), live)
    }

    fn of(name: String, origin: Option<Origin>, live: Arc<LiveConfig<Parts>>) -> State {
        State { name, live, origin, is_called: AtomicBool::new(false), keys: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    pub(super) const fn keys(&self) -> &Mutex<Vec<Box<dyn Any + Send + Sync>>> {
        &self.keys
    }

    /// Records that calls may use this state from now on.
    pub(super) fn called(&self) {
        self.is_called.store(true, Ordering::Release);
    }

    /// Returns the parts that calls use; `None` while no layer was made, and so no call can be.
    pub(super) fn used(&self) -> Option<Versioned<Parts>> {
        self.is_called.load(Ordering::Acquire).then(|| self.parts())
    }

    pub(super) fn set(&self, parts: Parts) {
        self.live.set(parts);
    }

    pub(super) fn parts(&self) -> Versioned<Parts> {
        self.live().get()
    }

    /// Returns what was last in force, without following a reload. Calls no user code.
    pub(super) fn peek(&self) -> Versioned<Parts> {
        self.live.get()
    }

    /// What is in force, in step with whose rules it goes by.
    #[inline]
    pub(super) fn live(&self) -> &Arc<LiveConfig<Parts>> {
        if let Some(origin) = &self.origin
            && origin.has_moved()
        {
            origin.follow(&self.live);
        }
        &self.live
    }
}

/// A stack for one upstream, as a text describes it. Clones, and the layers made from it, share its
/// state and follow its reloads.
///
/// **Handles show what calls use.** A profile may serve as a model only: the HTTP clients of a
/// profile share one state for each authority, from its store [by key](Profile::per_key), and no
/// call touches the state of the model. So [`circuit_breaker`](Profile::circuit_breaker) and the
/// other handles, [`snapshot`](Profile::snapshot) and the [gauges](crate::observe::Gauges) are
/// there from the first [`layer`](Profile::layer) on. A handle stays the right one when a reload
/// takes its part out of the text and a later one puts it back.
///
/// ```
/// use resilience_core::profiles::Profiles;
///
/// let model = Profiles::standard()?.profile("scraper.odds")?;
/// let one = model.fresh_for("a.example");
/// let _layer = one.layer();
/// assert!(model.circuit_breaker().is_none() && one.circuit_breaker().is_some());
/// # Ok::<_, resilience_core::profiles::ProfilesError>(())
/// ```
#[derive(Clone)]
pub struct Profile(Arc<State>);

impl Profile {
    pub(super) const fn new(state: Arc<State>) -> Profile {
        Profile(state)
    }

    pub(super) fn state(&self) -> &State {
        &self.0
    }

    pub(super) const fn shared_state(&self) -> &Arc<State> {
        &self.0
    }

    /// The same rules with a state of their own (permits, tokens, circuit and retry budget): what a
    /// [`Keyed`](crate::keyed::Keyed) store makes for a new key. It follows the reloads of this
    /// one.
    ///
    /// ```
    /// use resilience_core::keyed::{Keyed, KeyedLimits};
    /// use resilience_core::profiles::Profiles;
    ///
    /// let model = Profiles::standard()?.profile("scraper.stats")?;
    /// let limits = KeyedLimits::default();
    /// let per_host = Keyed::new(limits, move |_host: &&'static str| model.fresh());
    /// let a = per_host.get(&"a.example", resilience_core::clock::now());
    /// assert_eq!(a.name(), "scraper.stats");
    /// # Ok::<_, resilience_core::profiles::ProfilesError>(())
    /// ```
    #[must_use]
    pub fn fresh(&self) -> Profile {
        self.fresh_of(None)
    }

    /// As [`fresh`](Profile::fresh), for this key: what bulkhead, rate limit, circuit breaker and
    /// retry refuse or tell of says whose it is. Deadline and attempt timeout do not know.
    #[must_use]
    pub fn fresh_for(&self, key: impl Into<Name>) -> Profile {
        self.fresh_of(Some(key.into()))
    }

    fn fresh_of(&self, key: Option<Name>) -> Profile {
        Profile(Arc::new(State::fresh(&self.0, key)))
    }

    /// Pauses the rate limit, if there is one, as [`RateLimiter::pause_for`] does, and tells whose
    /// it is.
    pub fn pause_for(&self, pause: Duration) {
        let parts = self.0.parts();
        if let Some(limiter) = &parts.handles.rate_limit {
            limiter.pause_of(pause, parts.key.clone());
        }
    }

    /// Pauses the rate limit, if there is one, as a server's hint asks for: for at most
    /// `longest_hint` of the profile's `rate_limit` part (five minutes by default). A pause that is
    /// in force for as long or longer stays as it is.
    pub fn follow_hint(&self, hint: Duration) {
        let parts = self.0.parts();
        if let Some(limiter) = &parts.handles.rate_limit {
            limiter.follow_hint(hint, parts.key.clone());
        }
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
        Plan::clone(&self.0.parts().plan)
    }

    /// Returns the state of every part now. Without any part until a layer was made.
    #[must_use]
    pub fn snapshot(&self) -> StackSnapshot {
        let Some(parts) = self.0.used() else { return StackSnapshot::default() };
        let budget = parts.budget().map(|budget| budget.available(clock::now()));
        StackSnapshot { budget, ..parts.handles.snapshot() }
    }

    /// Returns the bulkhead that calls use. `None` if the text has none, or until a layer was made.
    #[must_use]
    pub fn bulkhead(&self) -> Option<Bulkhead> {
        self.0.used()?.handles.bulkhead.clone()
    }

    /// Returns the rate limiter that calls use. `None` if the text has none, or until a layer was
    /// made.
    #[must_use]
    pub fn rate_limit(&self) -> Option<RateLimiter> {
        self.0.used()?.handles.rate_limit.clone()
    }

    /// Returns the circuit breaker that calls use. `None` if the text has none, or until a layer
    /// was made.
    ///
    /// For [`HealthBuilder::circuit_breaker`](crate::health::HealthBuilder::circuit_breaker), make
    /// the layer first.
    #[must_use]
    pub fn circuit_breaker(&self) -> Option<CircuitBreaker> {
        self.0.used()?.handles.circuit_breaker.clone()
    }

    /// Returns the retry policy that calls use, with the budget that they pay from. `None` if the
    /// text has none, or until a layer was made. A reload puts another in its place.
    #[must_use]
    pub fn retry(&self) -> Option<RetryPolicy> {
        let parts = self.0.used()?;
        let policy = parts.handles.retry.as_ref()?;
        Some(match &parts.own_budget {
            Some(budget) => policy.paid_from(budget.clone()),
            None => policy.clone(),
        })
    }

    /// How long one attempt may take, by the text in force.
    #[must_use]
    pub fn attempt_timeout(&self) -> Option<Duration> {
        self.0.parts().handles.attempt_timeout
    }

    /// Returns the budget that calls pay from. `None` if the text has none, or until a layer was
    /// made. A reload with other terms puts another in its place.
    #[must_use]
    pub fn budget(&self) -> Option<RetryBudget> {
        self.0.used()?.budget().cloned()
    }
}

/// Visits the gauges of its [`Bulkhead`], [`RetryBudget`], [`RateLimiter`] and [`CircuitBreaker`];
/// none until a layer was made.
impl Gauges for Profile {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        if let Some(parts) = self.0.used() {
            parts.handles.gauges(parts.budget(), visit);
        }
    }
}

impl fmt::Debug for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Profile").field(&self.0.name).finish()
    }
}
