//! The words of events: the states and reasons that policies report, and one stable word for each.
//!
//! They stand below the policies, beside the event that carries them, so that an event is an enum
//! that a listener can match on and `observe` depends on no policy. Each policy re-exports its own.

mod circuit;
mod phase;
mod retired;
mod stop;

pub use circuit::{CircuitState, TransitionReason};
pub use phase::Phase;
pub use retired::Retired;
pub use stop::StopReason;

use crate::outcome::Outcome;
use crate::rejection::RejectionKind;

/// The reason why a store evicted a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EvictionReason {
    /// The key had no call for longer than the idle time, and held nothing to remember.
    Idle,
    /// Another key needed the room.
    Capacity,
}

macro_rules! words {
    ($($type:ident { $($variant:ident => $word:literal,)+ })+) => {
        $(impl $type {
            /// Returns the stable word for labels, fields and filters. `Display` and `Debug` are
            /// for people, and may change.
            #[must_use]
            pub const fn as_str(&self) -> &'static str {
                match self {
                    $($type::$variant { .. } => $word,)+
                }
            }
        })+
    };
}

words! {
    Outcome {
        Success => "success",
        Transient => "transient",
        TimedOut => "timed_out",
        Throttled => "throttled",
        Permanent => "permanent",
        Unknown => "unknown",
        NotReady => "not_ready",
        Abandoned => "abandoned",
    }
    RejectionKind {
        CircuitOpen => "circuit_open",
        BulkheadFull => "bulkhead_full",
        RateLimited => "rate_limited",
        TimedOut => "timed_out",
        DeadlineExceeded => "deadline_exceeded",
        Shed => "shed",
        ShuttingDown => "shutting_down",
        LeaseLost => "lease_lost",
        NotReady => "not_ready",
    }
    StopReason {
        AttemptsExhausted => "attempts_exhausted",
        BudgetExhausted => "budget_exhausted",
        DeadlineTooNear => "deadline_too_near",
        OutOfTime => "out_of_time",
        NotRetryable => "not_retryable",
        NotReady => "not_ready",
        ServerForbids => "server_forbids",
        NotReplayable => "not_replayable",
        ShuttingDown => "shutting_down",
        RetriedByCaller => "retried_by_caller",
        MayHaveRun => "may_have_run",
    }
    CircuitState {
        Closed => "closed",
        Open => "open",
        HalfOpen => "half_open",
        Ramping => "ramping",
        ForcedOpen => "forced_open",
        ForcedClosed => "forced_closed",
        Disabled => "disabled",
    }
    TransitionReason {
        ConsecutiveFailures => "consecutive_failures",
        FailureRate => "failure_rate",
        SlowCallRate => "slow_call_rate",
        Hint => "hint",
        BreakOver => "break_over",
        ProbesSucceeded => "probes_succeeded",
        ProbesFailed => "probes_failed",
        RampCompleted => "ramp_completed",
        HalfOpenTooLong => "half_open_too_long",
        Manual => "manual",
    }
    Phase {
        Running => "running",
        NotReady => "not_ready",
        Draining => "draining",
        Forced => "forced",
        Flushing => "flushing",
        Stopped => "stopped",
    }
    EvictionReason {
        Idle => "idle",
        Capacity => "capacity",
    }
    Retired {
        Surplus => "surplus",
        TooOld => "too_old",
        IdleTooLong => "idle_too_long",
        Invalid => "invalid",
        Broken => "broken",
        Taken => "taken",
        Closed => "closed",
    }
}

/// Returns all states of a circuit. Each names the next, so that the compiler finds a new one.
#[cfg(feature = "metrics")]
pub(in crate::observe) fn circuit_states() -> impl Iterator<Item = CircuitState> {
    // See docs/decisions/0037-the-words-of-an-event-stand-with-the-event.md.
    std::iter::successors(Some(CircuitState::Closed), |state| match state {
        CircuitState::Closed => Some(CircuitState::Open),
        CircuitState::Open => Some(CircuitState::HalfOpen),
        CircuitState::HalfOpen => Some(CircuitState::Ramping),
        CircuitState::Ramping => Some(CircuitState::ForcedOpen),
        CircuitState::ForcedOpen => Some(CircuitState::ForcedClosed),
        CircuitState::ForcedClosed => Some(CircuitState::Disabled),
        CircuitState::Disabled => None,
    })
}
