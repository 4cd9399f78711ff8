//! Changes of state by hand.

use std::time::{Duration, Instant};

use super::Circuit;
use super::phase::Phase;
use crate::breaker::config::CircuitConfig;
use crate::breaker::state::{Change, CircuitState, IllegalTransition, TransitionReason};
use crate::breaker::window::CallWindows;
use crate::clock::tick::Tick;

impl Circuit {
    /// Opens for a break, as if failures had opened the circuit. Does nothing to an open circuit.
    pub fn open_now(&mut self, config: &CircuitConfig, now: Instant, u: f64) -> Option<Change> {
        if self.state() == CircuitState::Open {
            return None;
        }
        self.open(config, Tick::of(now), None, TransitionReason::Manual, u)
    }

    /// Admits probes before the break is over.
    ///
    /// # Errors
    /// If it is not open.
    pub fn half_open(&mut self) -> Result<Option<Change>, IllegalTransition> {
        match self.state() {
            CircuitState::HalfOpen => Ok(None),
            CircuitState::Open | CircuitState::ForcedOpen => Ok(self.set_phase(Phase::half_open())),
            from => Err(IllegalTransition { from, to: CircuitState::HalfOpen }),
        }
    }

    /// Closes, and keeps the growth of breaks. Does nothing to a closed circuit.
    pub fn close(&mut self, now: Instant) -> Option<Change> {
        if self.state() == CircuitState::Closed {
            return None;
        }
        self.set_phase(Phase::closed(Tick::of(now)))
    }

    /// Rejects every call, for `length` or until another change by hand; half-open after that.
    pub fn force_open(&mut self, now: Instant, length: Option<Duration>) -> Option<Change> {
        let until = length.map_or(Tick::NEVER, |length| Tick::of(now).after(length));
        if let Phase::ForcedOpen { until: before } = &mut self.phase {
            *before = until;
            return None;
        }
        let change = self.set_phase(Phase::ForcedOpen { until })?;
        Some(Change { retry_after: length, ..change })
    }

    /// Admits every call, and goes on counting.
    pub fn force_closed(&mut self) -> Option<Change> {
        if self.state() == CircuitState::ForcedClosed {
            return None;
        }
        self.set_phase(Phase::ForcedClosed)
    }

    /// Admits every call, and counts nothing.
    pub fn disable(&mut self) -> Option<Change> {
        if self.state() == CircuitState::Disabled {
            return None;
        }
        self.set_phase(Phase::Disabled)
    }

    /// Clears everything. Calls under way change nothing.
    pub fn reset(&mut self) -> Option<Change> {
        let change = self.set_phase(Phase::closed(Tick::LONG_AGO));
        *self = Circuit { generation: self.generation, ..Circuit::new() };
        change
    }

    fn set_phase(&mut self, phase: Phase) -> Option<Change> {
        self.call_windows = CallWindows::default();
        self.set_state(phase, TransitionReason::Manual)
    }
}
