//! What people tell a circuit to be.

use std::time::{Duration, Instant};

use super::Circuit;
use super::phase::Phase;
use crate::breaker::config::CircuitConfig;
use crate::breaker::state::{Change, CircuitState, IllegalTransition, TransitionReason};
use crate::breaker::window::CallWindows;
use crate::tick::Tick;

impl Circuit {
    /// Opens for a break of its own, as if something had opened it; one that is open stays as it is.
    pub fn open_now(&mut self, config: &CircuitConfig, now: Instant, u: f64) -> Option<Change> {
        if self.state() == CircuitState::Open {
            return None;
        }
        self.open(config, Tick::of(now), None, TransitionReason::Manual, u)
    }

    /// Lets probes pass before the break is over.
    ///
    /// # Errors
    /// If it is not open.
    pub fn half_open(&mut self) -> Result<Option<Change>, IllegalTransition> {
        match self.state() {
            CircuitState::HalfOpen => Ok(None),
            CircuitState::Open | CircuitState::ForcedOpen => Ok(self.become_(Phase::half_open())),
            from => Err(IllegalTransition { from, to: CircuitState::HalfOpen }),
        }
    }

    /// Closes, and remembers the breaks that there were; one that is closed stays as it is.
    pub fn close(&mut self, now: Instant) -> Option<Change> {
        if self.state() == CircuitState::Closed {
            return None;
        }
        self.become_(Phase::closed(Tick::of(now)))
    }

    /// Refuses every call, for so long or until told otherwise; half-open after that.
    pub fn force_open(&mut self, now: Instant, length: Option<Duration>) -> Option<Change> {
        let until = length.map_or(Tick::NEVER, |length| Tick::of(now).after(length));
        if let Phase::ForcedOpen { until: before } = &mut self.phase {
            *before = until;
            return None;
        }
        let change = self.become_(Phase::ForcedOpen { until })?;
        Some(Change { retry_after: length, ..change })
    }

    /// Lets every call pass, and goes on counting.
    pub fn force_closed(&mut self) -> Option<Change> {
        if self.state() == CircuitState::ForcedClosed {
            return None;
        }
        self.become_(Phase::ForcedClosed)
    }

    /// Lets every call pass, and counts nothing.
    pub fn disable(&mut self) -> Option<Change> {
        if self.state() == CircuitState::Disabled {
            return None;
        }
        self.become_(Phase::Disabled)
    }

    /// Forgets everything. Calls that are under way decide nothing.
    pub fn reset(&mut self) -> Option<Change> {
        let change = self.become_(Phase::closed(Tick::LONG_AGO));
        *self = Circuit { generation: self.generation, ..Circuit::new() };
        change
    }

    fn become_(&mut self, phase: Phase) -> Option<Change> {
        self.call_windows = CallWindows::default();
        self.go(phase, TransitionReason::Manual)
    }
}
