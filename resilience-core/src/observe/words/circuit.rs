//! The states of a circuit, and the reasons of its changes.

use std::fmt;

/// The state of a circuit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CircuitState {
    /// Calls pass and are counted.
    #[default]
    Closed,
    /// Calls are rejected until the break is over.
    Open,
    /// A few probes pass.
    HalfOpen,
    /// The probes went well; a growing share of the calls passes.
    Ramping,
    /// Calls are rejected until the circuit is changed by hand, or for a time set by hand.
    ForcedOpen,
    /// Calls pass and are counted until the circuit is changed by hand.
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
    /// Too many failures in a row.
    ConsecutiveFailures,
    /// The share of failures.
    FailureRate,
    /// The share of slow calls.
    SlowCallRate,
    /// The server named a time.
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
    /// A change by hand.
    Manual,
}
