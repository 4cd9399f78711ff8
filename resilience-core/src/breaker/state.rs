//! The states of a circuit, and the changes between them.

use std::fmt;
use std::time::Duration;

/// The state of a circuit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls are admitted and counted.
    #[default]
    Closed,
    /// Calls are rejected until the break is over.
    Open,
    /// Probes are admitted.
    HalfOpen,
    /// The probes succeeded; a growing share of the calls is admitted.
    Ramping,
    /// Calls are rejected by hand, for a time or until the next change by hand.
    ForcedOpen,
    /// Calls are admitted by hand, and counted.
    ForcedClosed,
    /// Calls are admitted by hand, and not counted.
    Disabled,
}

impl fmt::Display for CircuitState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            CircuitState::Closed => "closed",
            CircuitState::Open => "open",
            CircuitState::HalfOpen => "half-open",
            CircuitState::Ramping => "ramping",
            CircuitState::ForcedOpen => "forced open",
            CircuitState::ForcedClosed => "forced closed",
            CircuitState::Disabled => "disabled",
        })
    }
}

/// The reason of a change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransitionReason {
    /// Failures in a row.
    ConsecutiveFailures,
    /// The share of failures.
    FailureRate,
    /// The share of slow calls.
    SlowCallRate,
    /// A server named a time to come back.
    Hint,
    /// The break is over.
    BreakOver,
    /// The probes succeeded.
    ProbesSucceeded,
    /// The probes failed, or the calls of a ramp.
    ProbesFailed,
    /// Half-open for longer than allowed.
    HalfOpenTooLong,
    /// All stages of the ramp were passed.
    RampCompleted,
    /// By hand.
    Manual,
}

/// A change of state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The state before.
    pub from: CircuitState,
    /// The state after.
    pub to: CircuitState,
    /// The reason.
    pub reason: TransitionReason,
    /// The length of a break.
    pub retry_after: Option<Duration>,
}

/// The changes that [time alone](super::Circuit::advance) made: at most two, in order.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Changes([Option<Change>; 2]);

impl Changes {
    pub(super) fn push(&mut self, change: Option<Change>) {
        if let (Some(free), Some(_)) = (self.0.iter_mut().find(|at| at.is_none()), change) {
            *free = change;
        }
    }

    #[cfg(feature = "tokio")]
    pub(super) const fn is_empty(&self) -> bool {
        self.0[0].is_none()
    }

    /// Iterates over the changes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter().flatten()
    }
}

/// The error of a transition that does not exist: only an open circuit becomes half-open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IllegalTransition {
    /// The state of the circuit.
    pub from: CircuitState,
    /// The state that was asked for.
    pub to: CircuitState,
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a circuit that is {} cannot become {}", self.from, self.to)
    }
}

impl std::error::Error for IllegalTransition {}
