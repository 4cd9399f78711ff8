//! The reasons why a call makes no other attempt.

use std::fmt;
use std::time::Duration;

use crate::rounded::Rounded;

/// The reason why a call makes no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// The limit on attempts is reached.
    AttemptsExhausted,
    /// The budget rejected the retry.
    BudgetExhausted,
    /// The wait and another attempt would not end before the caller's deadline.
    DeadlineTooNear {
        /// The time that the wait and an attempt take.
        needed: Duration,
        /// The time that was left.
        remaining: Duration,
    },
    /// The wait and another attempt would not end within the time that retrying may take.
    OutOfTime {
        /// The time that the wait and an attempt take.
        needed: Duration,
        /// The time that was left.
        remaining: Duration,
    },
    /// The failure will not pass.
    NotRetryable,
    /// The attempt did not run, and another would not either.
    NotReady,
    /// The server forbids a retry.
    ServerForbids,
    /// The request cannot be sent twice.
    NotReplayable,
    /// The process is shutting down: see the module `shutdown`.
    ShuttingDown,
    /// The call is itself an attempt of its caller, which makes the others
    /// (`RetryScope::single`).
    RetriedByCaller,
    /// The request may not run twice, and may have run.
    MayHaveRun,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopReason::AttemptsExhausted => f.write_str("no attempts left"),
            StopReason::BudgetExhausted => f.write_str("the retry budget is spent"),
            StopReason::DeadlineTooNear { needed, remaining } => {
                let needed = Rounded(*needed);
                let remaining = Rounded(*remaining);
                write!(f, "needs {needed}, {remaining} left before the deadline")
            }
            StopReason::OutOfTime { needed, remaining } => {
                let needed = Rounded(*needed);
                let remaining = Rounded(*remaining);
                write!(f, "needs {needed}, {remaining} left for retrying")
            }
            StopReason::NotRetryable => f.write_str("the failure is permanent"),
            StopReason::NotReady => f.write_str("not ready yet"),
            StopReason::ServerForbids => f.write_str("the server forbids a retry"),
            StopReason::NotReplayable => f.write_str("the request cannot be sent twice"),
            StopReason::ShuttingDown => f.write_str("the process is shutting down"),
            StopReason::RetriedByCaller => f.write_str("the caller retries"),
            StopReason::MayHaveRun => f.write_str("it may have run, and may not run twice"),
        }
    }
}
