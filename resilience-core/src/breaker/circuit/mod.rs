//! The state machine of a circuit breaker.
//!
//! A [`Circuit`] is plain data; each method takes the time, and a sample where chance is involved.
//! The handle and the Tower layer provide those; so can a simulator.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::breaker::{Circuit, CircuitConfig, CircuitState};
//! use resilience_core::{Outcome, clock};
//!
//! let config = CircuitConfig::builder()
//!     .consecutive_failures(2)
//!     .break_for(Duration::from_secs(5))
//!     .break_jitter(0.0)
//!     .config()?;
//! let mut circuit = Circuit::new();
//! let start = clock::now();
//! for _ in 0..2 {
//!     let admission = circuit.admit(&config, start, || 0.5).expect("closed");
//!     circuit.record(&config, admission, Outcome::transient(), start, || 0.5);
//! }
//! let rejected = circuit.admit(&config, start, || 0.5).unwrap_err();
//! assert_eq!(rejected.retry_after, Some(Duration::from_secs(5)));
//!
//! let later = start + Duration::from_secs(5);
//! assert_eq!(circuit.state_at(&config, later), CircuitState::HalfOpen);
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

mod manual;
mod phase;
mod results;
mod uncounted;
mod view;

use std::borrow::Cow;
use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use super::config::CircuitConfig;
use super::state::{Change, Changes, CircuitState, TransitionReason};
use super::window::CallWindows;
use crate::clock::tick::Tick;
use crate::rejection::Unit;
use phase::Phase;
#[cfg(feature = "tokio")]
pub(super) use uncounted::OpenSnapshot;
pub use view::{CircuitSnapshot, SavedCircuit};

/// The state of one circuit.
///
/// The configuration is an argument of each method, which keeps a circuit small, and may change
/// from call to call; see [`reconfigured`](Circuit::reconfigured).
///
/// Times may come out of order: a call that ends earlier than the latest one counts with the
/// latest. A circuit that opens at a [far instant](crate::clock#far-instants) stays open until a
/// break after that instant.
#[derive(Debug, Clone)]
pub struct Circuit {
    /// Counts the changes of state. A result of an earlier generation changes nothing.
    generation: NonZeroU64,
    phase: Phase,
    call_windows: CallWindows,
    opened: u32,
    not_permitted: u32,
    stale: u32,
    streak: u16,
    /// The number of breaks that make the next break longer.
    steps: u16,
}

/// The admission of a call. To be [recorded](Circuit::record) once, when the call has ended.
#[derive(Debug)]
#[must_use = "a call that is never recorded keeps its place among the probes"]
pub struct Admission {
    /// The generation of the state that admitted the call. Never zero, which makes an `Option` a
    /// word smaller.
    pub(super) generation: NonZeroU64,
    /// The start of the call; [`Tick::NEVER`] if it is not needed.
    pub(super) started: Tick,
}

/// The rejection of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CircuitRejection {
    /// The state of the circuit.
    pub state: CircuitState,
    /// The time after which to retry, if it is known.
    pub retry_after: Option<Duration>,
    /// The count of failures or probes that reached the limit; during a ramp, 100 percent of the
    /// calls.
    pub observed: Option<u64>,
    /// The limit of that count.
    pub limit: Option<u64>,
    /// The unit of `observed` and `limit`.
    pub unit: Unit,
}

impl Default for Circuit {
    fn default() -> Circuit {
        Circuit::new()
    }
}

impl Circuit {
    /// Returns a closed circuit.
    #[must_use]
    pub fn new() -> Circuit {
        Circuit {
            generation: NonZeroU64::MIN,
            phase: Phase::closed(Tick::LONG_AGO),
            call_windows: CallWindows::default(),
            opened: 0,
            not_permitted: 0,
            stale: 0,
            streak: 0,
            steps: 0,
        }
    }

    /// Returns the state as of the last call that was given a time: [`advance`](Circuit::advance),
    /// [`admit`](Circuit::admit) or [`record`](Circuit::record). Time alone may have changed it
    /// since: [`state_at`](Circuit::state_at).
    #[must_use]
    pub fn state(&self) -> CircuitState {
        self.phase.state()
    }

    /// Returns the state at `now`, whether or not the circuit was advanced.
    #[must_use]
    pub fn state_at(&self, config: &CircuitConfig, now: Instant) -> CircuitState {
        self.as_of(config, Tick::of(now)).state()
    }

    /// Returns the circuit as [`advance`](Circuit::advance) would leave it at `now`; a copy only if
    /// that changes anything.
    fn as_of(&self, config: &CircuitConfig, now: Tick) -> Cow<'_, Circuit> {
        if !self.phase.is_over(now) {
            return Cow::Borrowed(self);
        }
        let mut then = self.clone();
        // A break that begins meanwhile has no sample yet: the middle of its jitter.
        then.advance_at(config, now, || 0.5);
        Cow::Owned(then)
    }

    /// Applies the changes of time alone: ends a break, gives up on probes, begins the next stage
    /// of a ramp. Returns them. `u` is called for a sample of `0..1` if a break begins.
    ///
    /// [`admit`](Circuit::admit) and [`record`](Circuit::record) apply them as well, and reads at a
    /// `now` are as if they had been applied.
    pub fn advance(
        &mut self,
        config: &CircuitConfig,
        now: Instant,
        u: impl FnMut() -> f64,
    ) -> Changes {
        self.advance_at(config, Tick::of(now), u)
    }

    pub(in crate::breaker) fn advance_at(
        &mut self,
        config: &CircuitConfig,
        now: Tick,
        mut u: impl FnMut() -> f64,
    ) -> Changes {
        let mut changes = Changes::default();
        // Ends: each step is later than the one before, and half-open without probes ends at
        // `Tick::NEVER`, which no instant reaches.
        while let Some(change) = self.step(config, now, &mut u) {
            changes.push(change);
        }
        changes
    }

    /// Ends the phase if it was over at `now`, and returns the change of state that this was.
    /// `None` if the phase goes on.
    fn step(
        &mut self,
        config: &CircuitConfig,
        now: Tick,
        u: &mut impl FnMut() -> f64,
    ) -> Option<Option<Change>> {
        let change = match self.phase {
            Phase::Open { until, .. } | Phase::ForcedOpen { until } if now >= until => {
                self.call_windows = CallWindows::default();
                self.set_state(Phase::half_open(), TransitionReason::BreakOver)
            }
            Phase::HalfOpen { deadline, .. } if now >= deadline => {
                let reason = TransitionReason::HalfOpenTooLong;
                if config.close_when_too_long {
                    self.set_state(Phase::closed(deadline), reason)
                } else {
                    self.open(config, deadline, None, reason, u())
                }
            }
            Phase::Ramping { until, stage, .. } if now >= until => {
                self.next_stage(config, stage, until)
            }
            _ => return None,
        };
        Some(change)
    }

    /// Returns the rejection if [`admit`](Circuit::admit) would certainly reject at `now`. Takes no
    /// probe.
    #[must_use]
    pub fn rejection(&self, config: &CircuitConfig, now: Instant) -> Option<CircuitRejection> {
        let now = Tick::of(now);
        self.as_of(config, now).rejection_at(config, now)
    }

    pub(in crate::breaker) fn rejection_at(
        &self,
        config: &CircuitConfig,
        now: Tick,
    ) -> Option<CircuitRejection> {
        self.phase.rejection(config, now)
    }

    /// Admits a call at `now`, after what [time alone](Circuit::advance) does. `u` is called for a
    /// sample of `0..1` if only a share of the calls is admitted, or if a break began meanwhile.
    ///
    /// # Errors
    /// The rejection.
    pub fn admit(
        &mut self,
        config: &CircuitConfig,
        now: Instant,
        mut u: impl FnMut() -> f64,
    ) -> Result<Admission, CircuitRejection> {
        let now = Tick::of(now);
        self.advance_at(config, now, &mut u);
        self.admit_at(config, now, u)
    }

    pub(in crate::breaker) fn admit_at(
        &mut self,
        config: &CircuitConfig,
        now: Tick,
        mut u: impl FnMut() -> f64,
    ) -> Result<Admission, CircuitRejection> {
        let rejection =
            self.phase.rejection(config, now).or_else(|| self.phase.lot(config, now, &mut u));
        if let Some(rejection) = rejection {
            self.count_rejections(1);
            return Err(rejection);
        }
        self.phase.take_place(config, now);
        let started = if config.slow_after.is_some() { now } else { Tick::NEVER };
        Ok(Admission { generation: self.generation, started })
    }

    /// Applies a change of the configuration.
    pub fn reconfigured(&mut self, from: &CircuitConfig, to: &CircuitConfig) {
        if from.windows != to.windows {
            self.call_windows = CallWindows::default();
        }
        // Probes of another number could not be decided.
        if from.goal != to.goal && matches!(self.phase, Phase::HalfOpen { .. }) {
            self.set_state(Phase::half_open(), TransitionReason::Manual);
        }
    }

    /// Returns the generation, for calls that are admitted without the lock.
    #[cfg(feature = "tokio")]
    pub(super) fn generation(&self) -> u64 {
        self.generation.get()
    }

    /// Returns `true` if every call passes.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(super) fn passes_all(&self) -> bool {
        matches!(self.phase, Phase::Closed { .. } | Phase::ForcedClosed | Phase::Disabled)
    }

    /// Changes the state. Results of calls that were admitted before change nothing from here on.
    fn set_state(&mut self, phase: Phase, reason: TransitionReason) -> Option<Change> {
        let from = self.phase.state();
        let to = phase.state();
        let why = if from == to { self.phase.reason() } else { Some(reason) };
        self.generation = self.generation.saturating_add(1);
        self.phase = phase.because(why);
        self.streak = 0;
        (from != to).then_some(Change { from, to, reason, retry_after: None })
    }
}

impl Admission {
    /// Returns the nanoseconds since the start.
    #[inline]
    pub(super) fn took(&self, now: Tick) -> u64 {
        now.since(self.started)
    }
}

#[cfg(feature = "tokio")]
impl Admission {
    /// Returns `true` if the call was admitted in this generation.
    #[inline]
    pub(super) fn is_of(&self, generation: u64) -> bool {
        self.generation.get() == generation
    }

    /// Returns `true` if the duration of the call is needed.
    #[inline]
    pub(super) fn is_timed(&self) -> bool {
        self.started != Tick::NEVER
    }
}
