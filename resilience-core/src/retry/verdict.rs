//! What a policy answers, and why.

use std::fmt;
use std::time::Duration;

use super::attempts::Attempts;
use super::budget::Withdrawal;
use super::progress::Progress;
use crate::observe::Rounded;

/// What to do with the result of an attempt.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "whoever carries out a verdict must know them all")]
pub enum Verdict {
    /// It succeeded: return it.
    Done,
    /// Drop it, wait, and try again.
    Retry(GrantedRetry),
    /// Return it, after a pause (zero unless refusals are paced).
    Stop {
        /// Why there is no other attempt.
        reason: StopReason,
        /// How long to keep the caller first.
        pause: Duration,
    },
}

impl Verdict {
    pub(super) fn stop(reason: StopReason) -> Verdict {
        Verdict::Stop { reason, pause: Duration::ZERO }
    }

    /// Why there is no other attempt, if there is none.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        match self {
            Verdict::Stop { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

/// A retry that was granted and paid for. Dropped before it is [`sent`](GrantedRetry::sent), its price goes
/// back to the budget.
#[derive(Debug)]
#[must_use = "dropping a granted retry gives its price back"]
pub struct GrantedRetry {
    pub(super) delay: Duration,
    pub(super) withdrawal: Option<Withdrawal>,
}

impl GrantedRetry {
    /// How long to wait first, from the instant of the decision.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// The wait is over and the attempt begins.
    pub fn sent(self, attempts: &mut Attempts) {
        self.begin(&mut attempts.progress);
    }

    /// Paid for by `unsent`, a retry that was granted before and never sent, if this one was not paid for.
    #[cfg(feature = "tower")]
    pub(super) fn or_paid_by(mut self, unsent: Option<GrantedRetry>) -> GrantedRetry {
        self.withdrawal = self.withdrawal.or_else(|| unsent?.withdrawal);
        self
    }

    pub(super) fn begin(self, progress: &mut Progress) {
        progress.next(self.withdrawal.map(Withdrawal::sent));
    }
}

/// Why a call makes no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// As many were made as are allowed.
    AttemptsExhausted,
    /// The budget refused the retry.
    BudgetExhausted,
    /// The wait and another attempt would not end before the caller's deadline.
    DeadlineTooNear {
        /// What the wait and an attempt take.
        needed: Duration,
        /// What was left.
        remaining: Duration,
    },
    /// The wait and another attempt would not end within the time that retrying may take.
    OutOfTime {
        /// What the wait and an attempt take.
        needed: Duration,
        /// What was left.
        remaining: Duration,
    },
    /// The failure will not pass.
    NotRetryable,
    /// It did not run, and is not expected to by trying again at once.
    NotReady,
    /// The other side asked not to be tried again.
    ServerForbids,
    /// The request cannot be sent twice.
    NotReplayable,
    /// The process is shutting down: see [`shutdown`](crate::shutdown).
    ShuttingDown,
    /// The call is itself an attempt of somebody further up, who makes the others
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
                let (needed, remaining) = (Rounded(*needed), Rounded(*remaining));
                write!(f, "needs {needed}, {remaining} left before the deadline")
            }
            StopReason::OutOfTime { needed, remaining } => {
                let (needed, remaining) = (Rounded(*needed), Rounded(*remaining));
                write!(f, "needs {needed}, {remaining} left for retrying")
            }
            StopReason::NotRetryable => f.write_str("the failure is permanent"),
            StopReason::NotReady => f.write_str("not ready yet"),
            StopReason::ServerForbids => f.write_str("told not to try again"),
            StopReason::NotReplayable => f.write_str("the request cannot be sent twice"),
            StopReason::ShuttingDown => f.write_str("the process is shutting down"),
            StopReason::RetriedByCaller => f.write_str("somebody further up tries again"),
            StopReason::MayHaveRun => f.write_str("it may have run, and may not run twice"),
        }
    }
}
