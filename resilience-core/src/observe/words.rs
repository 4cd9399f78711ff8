//! The stable words that telemetry has for what policies decide.
//!
//! In one file, apart from the types: whoever adds a variant is stopped here by the compiler, and
//! whoever reads a dashboard finds every value that a label can have.

use crate::breaker::{CircuitState, TransitionReason};
use crate::keyed::EvictionReason;
use crate::outcome::Outcome;
use crate::pool::Retired;
use crate::rejection::RejectionKind;
use crate::retry::StopReason;
use crate::shutdown::Phase;

macro_rules! words {
    ($($type:ident { $($variant:ident => $word:literal,)+ })+) => {
        $(impl $type {
            /// In one word that does not change: for labels, fields and filters. Unlike `Display`
            /// and `Debug`, which are for people.
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
        ToldNotTo => "told_not_to",
        NotReplayable => "not_replayable",
        ShuttingDown => "shutting_down",
        RetriedAbove => "retried_above",
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

/// Every state a circuit can be in: each names the one after it, so that none can be forgotten.
#[cfg(feature = "metrics")]
pub(super) fn circuit_states() -> impl Iterator<Item = CircuitState> {
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
