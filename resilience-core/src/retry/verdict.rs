//! The decision of a policy, and its reason.

use std::time::Duration;

use super::attempts::Attempts;
use super::budget::Withdrawal;
use super::progress::Progress;
pub use crate::observe::words::StopReason;

/// The decision on the result of an attempt.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "code that carries out a verdict must know them all")]
pub enum Verdict {
    /// Return the result: the attempt succeeded.
    Done,
    /// Drop the result, wait, and try again.
    Retry(GrantedRetry),
    /// Return the result after a pause, which is zero unless rejected retries are waited out.
    Stop {
        /// The reason.
        reason: StopReason,
        /// The time to wait before returning.
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

/// A granted retry, paid from the budget. Dropping it before [`sent`](GrantedRetry::sent) refunds
/// the price.
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

    /// Takes the payment of `unsent`, a retry that was granted before and never sent, if this one
    /// has none.
    #[cfg(feature = "tower")]
    pub(super) fn or_paid_by(mut self, unsent: Option<GrantedRetry>) -> GrantedRetry {
        self.withdrawal = self.withdrawal.or_else(|| unsent?.withdrawal);
        self
    }

    pub(super) fn begin(self, progress: &mut Progress) {
        progress.next(self.withdrawal.map(Withdrawal::sent));
    }
}
