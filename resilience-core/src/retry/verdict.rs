//! Decision of a policy, and its reason.

use std::fmt;
use std::time::Duration;

use super::attempts::Attempts;
use super::budget::Withdrawal;
use super::progress::Progress;
use crate::observe::Rounded;

/// Decision on the result of an attempt.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "whoever carries out a verdict must know them all")]
pub enum Verdict {
    /// Return it: the attempt succeeded.
    Done,
    /// Drop it, wait, and try again.
    Retry(GrantedRetry),
    /// Return it after a pause, which is zero unless rejected retries are waited out.
    Stop {
        /// The reason.
        reason: StopReason,
        /// Time to wait before returning.
        pause: Duration,
    },
}

impl Verdict {
    pub(super) fn stop(reason: StopReason) -> Verdict {
        Verdict::Stop { reason, pause: Duration::ZERO }
    }

    /// Returns the reason for which there is no other attempt, if there is none.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        match self {
            Verdict::Stop { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

/// A granted retry, paid from the budget. Dropping it before [`sent`](GrantedRetry::sent) refunds the price.
#[derive(Debug)]
#[must_use = "dropping a granted retry gives its price back"]
pub struct GrantedRetry {
    pub(super) delay: Duration,
    pub(super) withdrawal: Option<Withdrawal>,
}

impl GrantedRetry {
    /// Returns the delay from the instant of the decision.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// Begins the attempt after the wait.
    pub fn sent(self, attempts: &mut Attempts) {
        self.begin(&mut attempts.progress);
    }

    /// Takes the payment of `unsent`, a retry that was granted before and never sent, if this one has none.
    #[cfg(feature = "tower")]
    pub(super) fn or_paid_by(mut self, unsent: Option<GrantedRetry>) -> GrantedRetry {
        self.withdrawal = self.withdrawal.or_else(|| unsent?.withdrawal);
        self
    }

    pub(super) fn begin(self, progress: &mut Progress) {
        progress.next(self.withdrawal.map(Withdrawal::sent));
    }
}

/// Reason for which a call makes no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// No attempts are left.
    AttemptsExhausted,
    /// The budget rejected the retry.
    BudgetExhausted,
    /// The wait and another attempt would not end before the caller's deadline.
    DeadlineTooNear {
        /// Time for the wait and an attempt.
        needed: Duration,
        /// Time that was left.
        remaining: Duration,
    },
    /// The wait and another attempt would not end within the time that retrying may take.
    OutOfTime {
        /// Time for the wait and an attempt.
        needed: Duration,
        /// Time that was left.
        remaining: Duration,
    },
    /// The failure is permanent.
    NotRetryable,
    /// The service was not ready, and gave no time at which it would be.
    NotReady,
    /// The server forbids a retry (gRPC pushback).
    ServerForbids,
    /// The request cannot be sent twice.
    NotReplayable,
    /// The process is shutting down: see [`shutdown`](crate::shutdown).
    ShuttingDown,
    /// The call is an attempt of an outer retry (`RetryScope::single`).
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
                let (needed, remaining) = (Rounded(*needed), Rounded(*remaining));
                write!(f, "needs {needed}, {remaining} left before the deadline")
            }
            StopReason::OutOfTime { needed, remaining } => {
                let (needed, remaining) = (Rounded(*needed), Rounded(*remaining));
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
