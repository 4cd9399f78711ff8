//! The handle that calls share.

mod decide;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::breaker::builder::CircuitBreakerBuilder;
use crate::breaker::circuit::{CircuitSnapshot, SavedCircuit};
use crate::breaker::common::Common;
use crate::breaker::config::CircuitConfig;
use crate::breaker::guard::Admitted;
use crate::breaker::outcomes::OutcomeCounts;
use crate::breaker::shared::SharedCircuit;
use crate::breaker::state::{CircuitState, IllegalTransition};
use crate::clock;
use crate::config::InvalidConfig;
use crate::ended::Ended;
use crate::error::CarriesRejection;
use crate::keyed::{Entry, allocation_size};
use crate::name::Name;
use crate::observe::{Gauges, Listener, names};
use crate::outcome::Classify;
use crate::rejection::Rejection;
pub use decide::outcome_of;
use decide::sample;

/// A circuit breaker. Clones share the circuit; [`fresh`](CircuitBreaker::fresh) returns a breaker
/// with a circuit of its own, and the same, live configuration.
///
/// ```
/// use resilience_core::breaker::{CircuitBreaker, CircuitState};
/// use resilience_core::{AnyError, Error};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), resilience_core::InvalidConfig> {
/// let breaker = CircuitBreaker::builder().name("odds").consecutive_failures(2).build()?;
/// for _ in 0..2 {
///     let call = async { Err::<(), _>(Error::Service("down")) };
///     assert!(breaker.call(AnyError, call).await.is_err());
/// }
/// assert_eq!(breaker.state(), CircuitState::Open);
/// let rejected = breaker.try_admit().unwrap_err();
/// assert_eq!((rejected.layer(), rejected.observed()), ("odds", Some(2.into())));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Breaker>);

struct Breaker {
    group: Arc<Group>,
    shared: SharedCircuit,
}

/// Counts the successes since the lock was last taken.
impl Drop for Breaker {
    fn drop(&mut self) {
        self.shared.with(&self.group.common, |_, _| ());
    }
}

/// The shared state of a breaker and its [`fresh`](CircuitBreaker::fresh) breakers.
struct Group {
    name: Name,
    listener: Listener,
    common: Arc<Common>,
    /// The key of all of them, if there is one.
    key: Option<Name>,
}

impl CircuitBreakerBuilder {
    /// Builds the breaker.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn build(self) -> Result<CircuitBreaker, InvalidConfig> {
        let common = Arc::new(Common::new(self.config()?));
        let group = Group { name: self.name, listener: self.listener, common, key: None };
        Ok(CircuitBreaker::of(Arc::new(group)))
    }
}

impl CircuitBreaker {
    /// Returns a builder with the defaults of [`CircuitBreakerBuilder`].
    pub fn builder() -> CircuitBreakerBuilder {
        CircuitConfig::builder()
    }

    fn of(group: Arc<Group>) -> CircuitBreaker {
        let shared = SharedCircuit::new(group.common.config.get());
        CircuitBreaker(Arc::new(Breaker { group, shared }))
    }

    /// Returns a breaker with a closed circuit of its own. It shares the name, the listener and the
    /// configuration: a later [`set_config`](CircuitBreaker::set_config) on either applies to both.
    #[must_use]
    pub fn fresh(&self) -> CircuitBreaker {
        CircuitBreaker::of(self.0.group.clone())
    }

    /// Returns a fresh breaker, with this key in its rejections and events.
    #[cfg(feature = "profiles")]
    pub(crate) fn fresh_for(&self, key: Option<Name>) -> CircuitBreaker {
        let Group { name, listener, common, .. } = &*self.0.group;
        let group =
            Group { name: name.clone(), listener: listener.clone(), common: common.clone(), key };
        CircuitBreaker::of(Arc::new(group))
    }

    /// Puts another configuration into force, here and for every breaker made by
    /// [`fresh`](CircuitBreaker::fresh). The name, the listener, the state, a break with its end,
    /// the failures in a row and the numbers of the snapshot stay. Other windows start empty. While
    /// half-open, the probes start anew if their number or their rule changes: those under way
    /// decide nothing. A stage of a ramp keeps its end.
    pub fn set_config(&self, config: CircuitConfig) {
        self.0.group.common.set(config);
    }

    /// Returns `true` if it is not closed.
    pub(crate) fn is_busy(&self, now: Instant) -> bool {
        self.locked(|_, circuit| circuit.is_pinned(now))
    }

    /// Returns `true` if it is open at `now`. Locks nothing while every call passes.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        !self.0.shared.passes_all() && self.locked(|_, circuit| circuit.is_open(now))
    }

    /// Returns the configuration in force.
    #[must_use]
    pub fn config(&self) -> CircuitConfig {
        CircuitConfig::clone(&self.0.group.common.config.get())
    }

    /// Returns the name that rejections and events carry.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.group.name.as_str()
    }

    /// Returns the state now. A break ends by time alone, without a call.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.read(|_, circuit, _| circuit.state())
    }

    /// Returns the state now, in numbers.
    #[must_use]
    pub fn snapshot(&self) -> CircuitSnapshot {
        self.read(|config, circuit, now| circuit.snapshot(config, now))
    }

    /// Returns the number of calls that have ended in each outcome, since the breaker was built.
    /// Calls that an observing breaker would have rejected are left out.
    ///
    /// Clones, [`fresh`](CircuitBreaker::fresh) breakers and the circuits of all keys count
    /// together. Exact for this circuit. Of each other circuit up to 16,383 successes may be
    /// missing until its lock is next taken. The calls of a dropped circuit stay counted.
    #[must_use]
    pub fn outcomes(&self) -> OutcomeCounts {
        self.count_all();
        self.0.group.common.ended.read()
    }

    /// Counts the successes since the lock was last taken.
    fn count_all(&self) {
        self.locked(|_, _| ());
    }

    /// Admits a call.
    ///
    /// # Errors
    /// [`CircuitOpen`](crate::RejectionKind::CircuitOpen).
    #[inline]
    pub fn try_admit(&self) -> Result<Admitted<&CircuitBreaker>, Rejection> {
        Admitted::new(self)
    }

    /// Returns the rejection if a call would certainly be rejected now. Takes no probe.
    ///
    /// # Errors
    /// [`CircuitOpen`](crate::RejectionKind::CircuitOpen).
    #[cfg(feature = "pool")]
    #[inline]
    pub(crate) fn check_now(&self) -> Result<(), Rejection> {
        self.check(|| None, &mut crate::clock::Now::unread())
    }

    /// Admits a call as [`try_admit`](CircuitBreaker::try_admit) does, for an admission that
    /// outlives this handle.
    ///
    /// # Errors
    /// [`CircuitOpen`](crate::RejectionKind::CircuitOpen).
    #[inline]
    pub fn try_admit_owned(&self) -> Result<Admitted, Rejection> {
        Admitted::new(self.clone())
    }

    /// Runs `future` if the circuit admits it. Dropping the call abandons it.
    ///
    /// # Errors
    /// The error of the future, or the rejection. Rejections of layers below are not passed to the
    /// classifier; see [`count_rejections`](CircuitBreakerBuilder::count_rejections).
    pub async fn call<T, E, C, F>(&self, classifier: C, future: F) -> Result<T, E>
    where
        E: CarriesRejection,
        C: Classify<T, E>,
        F: Future<Output = Result<T, E>>,
    {
        let admitted = self.try_admit()?;
        let result = future.await;
        let outcome = self.outcome_of(&classifier, result.as_ref());
        admitted.ended(Ended::carrying(outcome, &classifier, result.as_ref()));
        result
    }

    /// Opens for a break, as if failures had opened it.
    pub fn open(&self) {
        self.set_state(|config, circuit, now| circuit.open_now(config, now, sample()));
    }

    /// Admits probes before the break is over.
    ///
    /// # Errors
    /// If it is not open.
    pub fn half_open(&self) -> Result<(), IllegalTransition> {
        self.change(|_, circuit, _| match circuit.half_open() {
            Ok(change) => (change, Ok(())),
            Err(illegal) => (None, Err(illegal)),
        })
    }

    /// Closes. The next break is as long as if the circuit had closed by itself.
    pub fn close(&self) {
        self.set_state(|_, circuit, now| circuit.close(now));
    }

    /// Rejects every call, until another method of this handle changes the state.
    pub fn force_open(&self) {
        self.set_state(|_, circuit, now| circuit.force_open(now, None));
    }

    /// Rejects every call for `length`, and is half-open after that.
    pub fn force_open_for(&self, length: Duration) {
        let length = length.min(clock::MAX_WAIT);
        self.set_state(|_, circuit, now| circuit.force_open(now, Some(length)));
    }

    /// Admits every call, and goes on counting.
    pub fn force_closed(&self) {
        self.set_state(|_, circuit, _| circuit.force_closed());
    }

    /// Admits every call, and counts nothing.
    pub fn disable(&self) {
        self.set_state(|_, circuit, _| circuit.disable());
    }

    /// Closes, and clears all counts and the length of the next break.
    pub fn reset(&self) {
        self.set_state(|_, circuit, _| circuit.reset());
    }

    /// Returns the state to keep over a restart.
    #[must_use]
    pub fn save(&self) -> SavedCircuit {
        self.read(|_, circuit, now| circuit.save(now))
    }

    /// Continues in a saved state.
    pub fn restore(&self, saved: SavedCircuit) {
        self.set_state(|_, circuit, now| circuit.restore(saved, now));
    }
}

/// Pinned while there is another handle, or [as the circuit
/// is](crate::breaker::Circuit::is_pinned); remembers [what the circuit
/// does](crate::breaker::Circuit::remembers_until).
impl Entry for CircuitBreaker {
    fn is_pinned(&self, now: Instant) -> bool {
        Arc::strong_count(&self.0) > 1 || self.is_busy(now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.locked(|config, circuit| circuit.remembers_until(config, now))
    }

    fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let own = allocation_size(counts + size_of::<Breaker>());
        // A breaker with a key has a group of its own.
        let group =
            self.0.group.key.as_ref().map_or(0, |_| allocation_size(counts + size_of::<Group>()));
        own + group
            + self.locked(|_, circuit| circuit.heap_blocks().map(allocation_size).sum::<usize>())
    }

    const IS_OPEN: Option<fn(&CircuitBreaker, Instant) -> bool> = Some(CircuitBreaker::is_open);
}

/// Visits [`names::CIRCUITS_OPEN`], which is 0 or 1; [`names::CIRCUIT_FAILURE_RATE`], which is
/// measured from the first call in the window on, and is 0 where no failure rate is watched, while
/// the window holds no calls, and while the circuit is half-open or ramps up; and the calls by
/// outcome.
impl Gauges for CircuitBreaker {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit(names::CIRCUITS_OPEN, f64::from(u8::from(self.is_open(clock::now()))));
        visit(names::CIRCUIT_FAILURE_RATE, self.snapshot().failure_rate.unwrap_or(0.0));
        for (name, calls) in self.outcomes().named() {
            visit(name, calls as f64);
        }
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("name", &self.name()).finish_non_exhaustive()
    }
}
