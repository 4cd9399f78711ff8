//! The handle that calls and people share.

mod changed;
mod decide;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::breaker::builder::CircuitBreakerBuilder;
use crate::breaker::cell::Cell;
use crate::breaker::circuit::{CircuitSnapshot, SavedCircuit};
use crate::breaker::config::CircuitConfig;
use crate::breaker::guard::Admitted;
use crate::breaker::outcomes::OutcomeCounts;
use crate::breaker::rules::Rules;
use crate::breaker::state::{CircuitState, IllegalTransition};
use crate::clock;
use crate::config::InvalidConfig;
use crate::ended::Ended;
use crate::error::CarriesRejection;
use crate::keyed::{Entry, allocated};
use crate::name::Name;
use crate::observe::{Gauges, Listener, names};
use crate::outcome::Classify;
use crate::rejection::Rejection;
pub use decide::outcome_of;
use decide::sample;

/// A circuit breaker. Clones share the circuit; [`fresh`](CircuitBreaker::fresh) makes one of its own
/// with the same, live configuration.
///
/// ```
/// use resilience_core::breaker::{CircuitBreaker, CircuitState};
/// use resilience_core::outcome::AnyError;
/// use resilience_core::Error;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), resilience_core::InvalidConfig> {
/// let breaker = CircuitBreaker::builder().name("odds").consecutive_failures(2).build()?;
/// for _ in 0..2 {
///     let call = async { Err::<(), _>(Error::Service("down")) };
///     assert!(breaker.call(AnyError, call).await.is_err());
/// }
/// assert_eq!(breaker.state(), CircuitState::Open);
/// let refused = breaker.try_admit().unwrap_err();
/// assert_eq!((refused.layer(), refused.observed()), ("odds", Some(2.into())));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct CircuitBreaker(Arc<Breaker>);

struct Breaker {
    family: Arc<Family>,
    cell: Cell,
}

/// Counts the calls that went well since the circuit was last looked at.
impl Drop for Breaker {
    fn drop(&mut self) {
        self.cell.with(&self.family.rules, |_, _| ());
    }
}

/// What a breaker and those made from it have in common.
struct Family {
    name: Name,
    listener: Listener,
    rules: Arc<Rules>,
    /// Whose they are, if they are told so themselves.
    key: Option<Name>,
}

impl CircuitBreakerBuilder {
    /// The breaker.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn build(self) -> Result<CircuitBreaker, InvalidConfig> {
        let rules = Arc::new(Rules::new(self.config()?));
        let family = Family { name: self.name, listener: self.listener, rules, key: None };
        Ok(CircuitBreaker::of(Arc::new(family)))
    }
}

impl CircuitBreaker {
    /// Starts from the defaults of [`CircuitBreakerBuilder`].
    pub fn builder() -> CircuitBreakerBuilder {
        CircuitConfig::builder()
    }

    fn of(family: Arc<Family>) -> CircuitBreaker {
        let cell = Cell::new(family.rules.see());
        CircuitBreaker(Arc::new(Breaker { family, cell }))
    }

    /// A closed circuit of its own, with the same name and listener, and the same configuration: a later
    /// [`set_config`](CircuitBreaker::set_config) on either reaches both.
    #[must_use]
    pub fn fresh(&self) -> CircuitBreaker {
        CircuitBreaker::of(self.0.family.clone())
    }

    /// The same, which says in rejections and events whose it is.
    #[cfg(feature = "profiles")]
    pub(crate) fn fresh_for(&self, key: Option<Name>) -> CircuitBreaker {
        let Family { name, listener, rules, .. } = &*self.0.family;
        let (name, listener, rules) = (name.clone(), listener.clone(), rules.clone());
        CircuitBreaker::of(Arc::new(Family { name, listener, rules, key }))
    }

    /// Puts another configuration into force, here and for every breaker made by
    /// [`fresh`](CircuitBreaker::fresh). The name, the listener, the state, a break with its end, the
    /// failures in a row and the numbers of the snapshot stay. What was counted in windows starts anew if
    /// the windows are others. While half-open, the probes start anew if their number or their rule is
    /// another: those that are under way decide nothing. A stage of a ramp keeps its end.
    pub fn set_config(&self, config: CircuitConfig) {
        self.0.family.rules.set(config);
    }

    /// Whether it is anything but closed.
    pub(crate) fn is_busy(&self, now: Instant) -> bool {
        self.locked(|_, circuit| circuit.is_pinned(now))
    }

    /// Returns `true` if it is open at `now`. Locks nothing while every call passes.
    pub(crate) fn is_open(&self, now: Instant) -> bool {
        !self.0.cell.passes_all() && self.locked(|_, circuit| circuit.is_open(now))
    }

    /// What is in force.
    #[cfg(feature = "tower")]
    pub(super) fn config(&self) -> crate::live::Seen<CircuitConfig> {
        self.0.family.rules.see()
    }

    /// What rejections and events call it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.family.name.as_str()
    }

    /// What it is now. A break that is over is over though nobody called since.
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.look(|_, circuit, _| circuit.state())
    }

    /// What it is now, in numbers.
    #[must_use]
    pub fn snapshot(&self) -> CircuitSnapshot {
        self.look(|config, circuit, now| circuit.snapshot(config, now))
    }

    /// Returns how many calls have ended in each outcome, since the breaker was built. Calls of observing
    /// breakers that would have been rejected are left out.
    ///
    /// Clones, the breakers that [`fresh`](CircuitBreaker::fresh) makes and the circuits of all keys count
    /// together. A call that goes well on its way past the lock is counted when its circuit is next looked at:
    /// this looks at its own circuit, so it is exact for it; of each other circuit up to 16,383 calls that
    /// went well may still be missing. A circuit that is dropped leaves its calls.
    #[must_use]
    pub fn outcomes(&self) -> OutcomeCounts {
        self.count_all();
        self.0.family.rules.ended.read()
    }

    /// Counts the calls that went well since the circuit was last looked at.
    fn count_all(&self) {
        self.locked(|_, _| ());
    }

    /// Asks for a call.
    ///
    /// # Errors
    /// If the circuit is open.
    #[inline]
    pub fn try_admit(&self) -> Result<Admitted<&CircuitBreaker>, Rejection> {
        Admitted::new(self)
    }

    /// The refusal, if a call would be refused now for certain. Takes nothing.
    ///
    /// # Errors
    /// If the circuit is open.
    #[cfg(feature = "pool")]
    #[inline]
    pub(crate) fn refuses(&self) -> Result<(), Rejection> {
        self.check(&(), &mut crate::clock::Now::unread())
    }

    /// As [`try_admit`](CircuitBreaker::try_admit), for a call that outlives this handle.
    ///
    /// # Errors
    /// If the circuit is open.
    #[inline]
    pub fn try_admit_owned(&self) -> Result<Admitted, Rejection> {
        Admitted::new(self.clone())
    }

    /// Runs `future` if the circuit lets it. Dropping the call abandons it.
    ///
    /// # Errors
    /// The future's, or the refusal. What a refusal from below means is not asked of the classifier; see
    /// [`count_rejections`](CircuitBreakerBuilder::count_rejections).
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

    /// Opens for a break, as if something had opened it.
    pub fn open(&self) {
        self.become_(|config, circuit, now| circuit.open_now(config, now, sample()));
    }

    /// Lets probes pass before the break is over.
    ///
    /// # Errors
    /// If it is not open.
    pub fn half_open(&self) -> Result<(), IllegalTransition> {
        self.change(|_, circuit, _| match circuit.half_open() {
            Ok(change) => (change, Ok(())),
            Err(illegal) => (None, Err(illegal)),
        })
    }

    /// Closes, and remembers the breaks that there were.
    pub fn close(&self) {
        self.become_(|_, circuit, now| circuit.close(now));
    }

    /// Refuses every call until told otherwise.
    pub fn force_open(&self) {
        self.become_(|_, circuit, now| circuit.force_open(now, None));
    }

    /// Refuses every call for so long, and is half-open after that.
    pub fn force_open_for(&self, length: Duration) {
        let length = length.min(clock::MAX_WAIT);
        self.become_(|_, circuit, now| circuit.force_open(now, Some(length)));
    }

    /// Lets every call pass until told otherwise, and goes on counting.
    pub fn force_closed(&self) {
        self.become_(|_, circuit, _| circuit.force_closed());
    }

    /// Lets every call pass until told otherwise, and counts nothing.
    pub fn disable(&self) {
        self.become_(|_, circuit, _| circuit.disable());
    }

    /// Closes, and forgets everything.
    pub fn reset(&self) {
        self.become_(|_, circuit, _| circuit.reset());
    }

    /// What is worth keeping over a restart.
    #[must_use]
    pub fn save(&self) -> SavedCircuit {
        self.look(|_, circuit, now| circuit.save(now))
    }

    /// Goes on where the saved one was.
    pub fn restore(&self, saved: SavedCircuit) {
        self.become_(|_, circuit, now| circuit.restore(saved, now));
    }
}

/// Pinned while there is another handle, or [as the circuit is](crate::breaker::Circuit::is_pinned); remembers
/// [what the circuit does](crate::breaker::Circuit::remembers_until).
impl Entry for CircuitBreaker {
    fn is_pinned(&self, now: Instant) -> bool {
        Arc::strong_count(&self.0) > 1 || self.is_busy(now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.locked(|config, circuit| circuit.remembers_until(config, now))
    }

    fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let own = allocated(counts + size_of::<Breaker>());
        // One that says whose it is has a family to itself.
        let family =
            self.0.family.key.as_ref().map_or(0, |_| allocated(counts + size_of::<Family>()));
        own + family + self.locked(|_, circuit| circuit.heap_blocks().map(allocated).sum::<usize>())
    }

    const IS_OPEN: Option<fn(&CircuitBreaker, Instant) -> bool> = Some(CircuitBreaker::is_open);
}

/// [`names::CIRCUITS_OPEN`], which is 0 or 1; [`names::CIRCUIT_FAILURE_RATE`], which is measured from the
/// first call in the window on, and is 0 where no failure rate is watched, while the window holds no calls,
/// and while the circuit is half-open or ramps up; and the calls by outcome.
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
