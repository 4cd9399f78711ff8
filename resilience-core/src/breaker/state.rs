//! The states of a circuit, and what leads from one to another.

use std::fmt;
use std::time::Duration;

/// Whether a circuit lets calls pass.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls pass and are counted.
    #[default]
    Closed,
    /// Calls are refused until the break is over.
    Open,
    /// A few calls pass, to see.
    HalfOpen,
    /// The probes went well; a growing share of the calls passes.
    Ramping,
    /// Calls are refused until somebody says otherwise, or for as long as somebody said.
    ForcedOpen,
    /// Calls pass until somebody says otherwise, and are counted.
    ForcedClosed,
    /// Calls pass, and nothing is counted.
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

/// Why a circuit changed its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TransitionReason {
    /// So many failures in a row.
    ConsecutiveFailures,
    /// The share of failures.
    FailureRate,
    /// The share of slow calls.
    SlowCallRate,
    /// The other side named a time.
    Hint,
    /// The break is over.
    BreakOver,
    /// The probes went well.
    ProbesSucceeded,
    /// The probes did not, or the calls of a ramp.
    ProbesFailed,
    /// Half-open for longer than allowed.
    HalfOpenTooLong,
    /// All stages of the ramp were passed.
    RampCompleted,
    /// Somebody said so.
    Manual,
}

/// A circuit went from one state to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// What it was.
    pub from: CircuitState,
    /// What it is.
    pub to: CircuitState,
    /// Why.
    pub reason: TransitionReason,
    /// How long it stays so, if it opened for a time.
    pub retry_after: Option<Duration>,
}

/// What [time alone](super::Circuit::advance) did to a circuit: at most two changes, in order.
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

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &Change> {
        self.0.iter().flatten()
    }
}

/// A transition that makes no sense was asked for: a circuit is half-open after it was open, and not
/// otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct IllegalTransition {
    /// What the circuit is.
    pub from: CircuitState,
    /// What it was to become.
    pub to: CircuitState,
}

impl fmt::Display for IllegalTransition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a circuit that is {} cannot become {}", self.from, self.to)
    }
}

impl std::error::Error for IllegalTransition {}
