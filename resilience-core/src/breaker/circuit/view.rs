//! A circuit as plain data, for metrics and for restarts.

use std::time::{Duration, Instant};

use super::Circuit;
use super::phase::Phase;
use crate::breaker::config::{CircuitConfig, Watches};
use crate::breaker::state::{Change, CircuitState, TransitionReason};
use crate::breaker::window::Counts;
use crate::clock::MAX_WAIT;
use crate::clock::tick::Tick;

/// The state of a circuit at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
#[non_exhaustive]
pub struct CircuitSnapshot {
    /// The state.
    pub state: CircuitState,
    /// The reason of the last change of state. `None` without a change since the circuit was made
    /// or [reset](Circuit::reset).
    pub reason: Option<TransitionReason>,
    /// Time left of a break.
    pub open_for: Option<Duration>,
    /// The highest share of failures of all windows; `None` without a call in any window, or if no
    /// failure rate is watched. Measured from the first call on, though a share decides nothing
    /// before its window has the [minimum](crate::breaker::CircuitBreakerBuilder::minimum_calls) of
    /// calls. While open, the rate that opened the circuit.
    pub failure_rate: Option<f64>,
    /// The share of slow calls, as [`failure_rate`](Self::failure_rate) is the share of failures.
    pub slow_rate: Option<f64>,
    /// Calls in the first window. While open, the calls that opened the circuit; while half-open
    /// and ramping, the probes or calls of the stage that have ended.
    pub calls: u64,
    /// The failures among `calls`; while half-open and ramping, slow calls as well.
    pub failures: u64,
    /// The slow calls among `calls`.
    pub slow: u64,
    /// Failures in a row.
    pub streak: u32,
    /// Probes under way.
    pub probes: u32,
    /// Rejected calls.
    pub not_permitted: u32,
    /// Results that came too late to change anything.
    pub stale: u32,
    /// The number of times that the circuit opened.
    pub opened: u32,
}

/// The state of a circuit to keep over a restart, in lengths of time. Without the counts, since the
/// length of the restart is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SavedCircuit {
    /// The state.
    pub state: CircuitState,
    /// Time left of a break; for a forced one, `None` is without end.
    pub open_for: Option<Duration>,
    /// The time since it closed.
    pub closed_for: Duration,
    /// Breaks that make the next one longer.
    pub steps: u16,
    /// The number of times that it opened.
    pub opened: u32,
}

impl Circuit {
    /// Returns the state at `now`, whether or not the circuit was advanced. For a break that would
    /// only begin now, `open_for` leaves out the jitter.
    #[must_use]
    pub fn snapshot(&self, config: &CircuitConfig, now: Instant) -> CircuitSnapshot {
        let now = Tick::of(now);
        self.as_of(config, now).view(config, now)
    }

    /// Returns the state at `now`, to which the circuit was advanced.
    fn view(&self, config: &CircuitConfig, now: Tick) -> CircuitSnapshot {
        let rate = |watches| self.rate(config, watches, now);
        let mut snapshot = CircuitSnapshot {
            state: self.state(),
            reason: self.phase.reason(),
            open_for: self.open_for(now),
            failure_rate: rate(Watches::Failures),
            slow_rate: rate(Watches::Slow),
            streak: self.streak.into(),
            not_permitted: self.not_permitted,
            stale: self.stale,
            opened: self.opened,
            ..CircuitSnapshot::default()
        };
        let first = self.counts(config, 0, now);
        snapshot.calls = first.calls;
        snapshot.failures = first.failures;
        snapshot.slow = first.slow;
        match self.phase {
            Phase::HalfOpen { in_flight, good, bad, .. } => {
                snapshot.probes = in_flight.into();
                snapshot.calls = (good + bad).into();
                snapshot.failures = bad.into();
            }
            Phase::Ramping { good, bad, .. } => {
                snapshot.calls = u64::from(good) + u64::from(bad);
                snapshot.failures = bad.into();
            }
            _ => {}
        }
        snapshot
    }

    /// Returns the highest rate of all windows.
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    fn rate(&self, config: &CircuitConfig, watches: Watches, now: Tick) -> Option<f64> {
        let of_these = config.detectors.iter().filter(|detector| detector.watches == watches);
        let rates = of_these.filter_map(|detector| {
            let counts = self.counts(config, detector.window, now);
            (counts.calls > 0).then(|| detector.part(counts) as f64 / counts.calls as f64)
        });
        rates.reduce(f64::max)
    }

    /// Returns the counts of a window at `now`; while open, the counts that opened the circuit.
    fn counts(&self, config: &CircuitConfig, window: usize, now: Tick) -> Counts {
        match self.phase {
            Phase::Open { .. } => self.call_windows.counts(window),
            _ => self.call_windows.counts_at(&config.windows, window, now),
        }
    }

    fn open_for(&self, now: Tick) -> Option<Duration> {
        match self.phase {
            Phase::ForcedOpen { until: Tick::NEVER } => None,
            Phase::Open { until, .. } | Phase::ForcedOpen { until } => Some(until.left(now)),
            _ => None,
        }
    }

    /// Returns the state to keep at `now`. A break that is over is saved as half-open.
    #[must_use]
    pub fn save(&self, now: Instant) -> SavedCircuit {
        let now = Tick::of(now);
        let closed_for = match self.phase {
            Phase::Closed { since, .. } => Duration::from_nanos(now.since(since)).min(MAX_WAIT),
            _ => Duration::ZERO,
        };
        let (state, open_for) = match self.open_for(now) {
            Some(Duration::ZERO) => (CircuitState::HalfOpen, None),
            open_for => (self.state(), open_for),
        };
        SavedCircuit { state, open_for, closed_for, steps: self.steps, opened: self.opened }
    }

    /// Continues in a saved state. Probes and ramps begin again; calls under way change nothing.
    pub fn restore(&mut self, saved: SavedCircuit, now: Instant) -> Option<Change> {
        let from = self.state();
        let tick = Tick::of(now);
        let until = tick.after(saved.open_for.unwrap_or_default().min(MAX_WAIT));
        self.reset();
        self.steps = saved.steps;
        self.opened = saved.opened;
        self.phase = match saved.state {
            CircuitState::Closed => Phase::closed(tick.before(saved.closed_for.min(MAX_WAIT))),
            CircuitState::Open => {
                Phase::Open { until, reason: TransitionReason::Manual, observed: 0, limit: 0 }
            }
            CircuitState::ForcedOpen => Phase::ForcedOpen {
                until: if saved.open_for.is_some() { until } else { Tick::NEVER },
            },
            CircuitState::HalfOpen | CircuitState::Ramping => Phase::half_open(),
            CircuitState::ForcedClosed => Phase::ForcedClosed,
            CircuitState::Disabled => Phase::Disabled,
        };
        let to = self.state();
        let reason = TransitionReason::Manual;
        if from != to || to != CircuitState::Closed {
            self.phase = self.phase.because(Some(reason));
        }
        (from != to).then_some(Change { from, to, reason, retry_after: self.open_for(tick) })
    }

    /// Returns `true` if the circuit must not be evicted at `now`: it rejects calls, admits only a
    /// share, or its state was set by hand.
    #[must_use]
    pub fn is_pinned(&self, now: Instant) -> bool {
        let now = Tick::of(now);
        match self.phase {
            Phase::Open { until, .. } | Phase::Ramping { until, .. } => now < until,
            Phase::ForcedOpen { until } => now < until,
            Phase::HalfOpen { in_flight, .. } => in_flight > 0,
            Phase::ForcedClosed | Phase::Disabled => true,
            Phase::Closed { .. } => false,
        }
    }

    /// Returns the instant up to which the circuit differs from a [new](Circuit::new) one if no
    /// call comes. `None` if it does not differ at `now`. The circuit differs while failures are in
    /// a window, the growth of breaks is not forgotten, or a server's hint is not over; successes
    /// make no difference.
    ///
    /// Time alone does not end a streak of failures, a window of calls, or a break without a probe:
    /// the instant is far ahead then.
    #[must_use]
    pub fn remembers_until(&self, config: &CircuitConfig, now: Instant) -> Option<Instant> {
        let until = self.as_new_at(config);
        (until > Tick::of(now)).then(|| until.instant())
    }

    fn as_new_at(&self, config: &CircuitConfig) -> Tick {
        match self.phase {
            Phase::Closed { .. } if config.consecutive.is_some() && self.streak > 0 => Tick::NEVER,
            Phase::Closed { since, hinted, .. } => {
                let counted = self.call_windows.good_again_at(&config.windows);
                config.break_.forgotten_at(since, self.steps).max(counted).max(hinted)
            }
            Phase::Ramping { until, stage, .. } => {
                let closed = config.ramp_ends(until, stage);
                config.break_.forgotten_at(closed, self.steps).max(closed)
            }
            Phase::Open { .. }
            | Phase::HalfOpen { .. }
            | Phase::ForcedOpen { .. }
            | Phase::ForcedClosed
            | Phase::Disabled => Tick::NEVER,
        }
    }

    /// Returns `true` if it is open, or forced open, at `now`.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Open { until, .. } | Phase::ForcedOpen { until } => Tick::of(now) < until,
            _ => false,
        }
    }

    /// Returns the bytes on the heap, block by block.
    pub fn heap_blocks(&self) -> impl Iterator<Item = usize> {
        self.call_windows.heap_bytes()
    }
}
