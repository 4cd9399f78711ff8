//! One call on a real clock: [`Attempts`] with the time, the deadline and the samples filled in.

use super::attempts::Attempts;
use super::budget::RetryBudget;
use super::policy::RetryPolicy;
use super::seed::Samples;
#[cfg(feature = "tower")]
use super::verdict::StopReason;
use super::verdict::Verdict;
use crate::clock;
use crate::deadline::Deadline;
use crate::outcome::Outcome;
#[cfg(feature = "tower")]
use crate::outcome::RetryHint;

#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) attempts: Attempts,
    samples: Option<Samples>,
}

impl Run {
    #[inline]
    pub(crate) fn start<C>(policy: &RetryPolicy<C>, own_budget: Option<RetryBudget>) -> Run {
        Run { attempts: policy.start_lazily(own_budget), samples: None }
    }

    /// The attempt under way ended in `outcome`. A success reads no clock and draws no sample.
    #[inline]
    pub(crate) fn ended(&mut self, outcome: Outcome) -> Verdict {
        if outcome == Outcome::Success {
            return self.attempts.succeeded();
        }
        let samples =
            self.samples.get_or_insert_with(|| Samples::new(self.attempts.rules.seed.as_ref()));
        self.attempts.decide(clock::now(), Deadline::current(), outcome, samples.next())
    }

    /// The same for a request that there is no copy of, and that only the lack of one keeps from being
    /// tried again.
    #[cfg(feature = "tower")]
    pub(crate) fn ended_without_copy(&mut self, outcome: Outcome) -> Verdict {
        let reason = match outcome {
            _ if !self.attempts.any_left() || outcome.hint() == RetryHint::Never => None,
            Outcome::NotReady(_) => Some(StopReason::NotReady),
            _ => outcome.failure().map(|_| StopReason::NotReplayable),
        };
        match reason {
            Some(reason) => self.attempts.give_up(outcome, reason),
            None => self.ended(outcome),
        }
    }
}
