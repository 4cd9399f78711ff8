//! What a policy answers, and why.

use std::time::Duration;

use super::attempts::Attempts;
use super::budget::Withdrawal;
use super::progress::Progress;
pub use crate::observe::words::StopReason;

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
