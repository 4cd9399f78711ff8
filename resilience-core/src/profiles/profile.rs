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

/// The state of the profile of one name.
#[derive(Debug)]
pub(super) struct State {
    name: String,
    live: Arc<LiveConfig<Parts>>,
    /// The profile that this one follows, if this one was made by `fresh` or for a key.
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

    /// Returns the parts that calls use, or `None` until a layer was made: no call is possible
    /// before.
    pub(super) fn used(&self) -> Option<Versioned<Parts>> {
        // See docs/decisions/0033-a-handle-shows-the-state-that-calls-use.md.
        self.is_called.load(Ordering::Acquire).then(|| self.parts())
    }

    pub(super) fn set(&self, parts: Parts) {
        self.live.set(parts);
    }

    pub(super) fn parts(&self) -> Versioned<Parts> {
        self.live().get()
    }

    /// Returns the parts without following a reload of the origin. Calls no user code.
    pub(super) fn peek(&self) -> Versioned<Parts> {
        self.live.get()
    }

    /// Returns the parts in force, after following a reload of the origin.
    pub(super) fn live(&self) -> &Arc<LiveConfig<Parts>> {
        if let Some(origin) = &self.origin
            && origin.has_moved()
        {
            origin.follow(&self.live);
        }
        &self.live
    }
}

/// A stack for one upstream, as a text describes it. Clones, and the layers made from the profile,
/// share its state and follow its reloads.
///
/// **Handles show the parts that calls use.** A profile may serve as a model only: the HTTP clients
/// of a profile share one state for each authority, from the store [by key](Profile::per_key), and
/// no call uses the model's state. So [`circuit_breaker`](Profile::circuit_breaker) and the other
/// handles, [`snapshot`](Profile::snapshot) and the [gauges](crate::observe::Gauges) exist from the
/// first [`layer`](Profile::layer) on. A handle stays valid when a reload takes its part out of the
/// text and a later one puts the part back.
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

    /// Returns a profile with the same settings and a state of its own (permits, tokens, circuit
    /// and retry budget), as a [`Keyed`](crate::keyed::Keyed) store makes for a new key. The new
    /// profile follows the reloads of this one.
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

    /// Returns a profile as [`fresh`](Profile::fresh) does, for this key. Rejections and events of
    /// bulkhead, rate limit, circuit breaker and retry name the key; those of deadline and attempt
    /// timeout do not.
    #[must_use]
    pub fn fresh_for(&self, key: impl Into<Name>) -> Profile {
        self.fresh_of(Some(key.into()))
    }

    fn fresh_of(&self, key: Option<Name>) -> Profile {
        Profile(Arc::new(State::fresh(&self.0, key)))
    }

    /// Pauses the rate limit, if there is one, as [`RateLimiter::pause_for`] does. The event names
    /// the key.
    pub fn pause_for(&self, pause: Duration) {
        let parts = self.0.parts();
        if let Some(limiter) = &parts.handles.rate_limit {
            limiter.pause_of(pause, parts.key.clone());
        }
    }

    /// Pauses the rate limit, if there is one, for the time of a server's hint: at most
    /// `longest_hint` of the profile's `rate_limit` part (five minutes by default). A pause that is
    /// in force for as long or longer stays as it is.
    pub fn follow_hint(&self, hint: Duration) {
        let parts = self.0.parts();
        if let Some(limiter) = &parts.handles.rate_limit {
            limiter.follow_hint(hint, parts.key.clone());
        }
    }

    /// Returns the name, such as `scraper.odds`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Returns the whole stack as a layer, for services with errors that implement
    /// [`AsOutcome`](crate::AsOutcome).
    #[must_use]
    pub fn layer(&self) -> ProfileLayer {
        self.layer_with(Standard)
    }

    /// Returns the whole stack as a layer. Retry, rate limit and circuit breaker classify results
    /// with this [`Classify`](crate::Classify) type.
    #[must_use]
    pub fn layer_with<K>(&self, classifier: K) -> ProfileLayer<K> {
        ProfileLayer::new(self.0.clone(), classifier)
    }

    /// Returns the layer as [`layer_with`](Profile::layer_with) does, with a closure that
    /// classifies.
    #[must_use]
    pub fn layer_classify<T, E, F>(&self, classifier: F) -> ProfileLayer<F>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.layer_with(classifier)
    }

    /// Returns the worst case of a call under the text in force.
    #[must_use]
    pub fn plan(&self) -> Plan {
        Plan::clone(&self.0.parts().plan)
    }

    /// Returns the state of every part now; empty until a layer was made.
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
    /// text has none, or until a layer was made. A reload replaces the policy.
    #[must_use]
    pub fn retry(&self) -> Option<RetryPolicy> {
        let parts = self.0.used()?;
        let policy = parts.handles.retry.as_ref()?;
        Some(match &parts.own_budget {
            Some(budget) => policy.paid_from(budget.clone()),
            None => policy.clone(),
        })
    }

    /// Returns the longest time of one attempt under the text in force.
    #[must_use]
    pub fn attempt_timeout(&self) -> Option<Duration> {
        self.0.parts().handles.attempt_timeout
    }

    /// Returns the budget that calls pay from. `None` if the text has none, or until a layer was
    /// made. A reload with other settings replaces the budget.
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
