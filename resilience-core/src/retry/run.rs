//! One call on a real clock: its [`Progress`] with the time, the deadline and the samples filled in.

use super::budget::RetryBudget;
use super::policy::RetryRules;
use super::progress::Progress;
use super::scope::RetryScope;
use super::seed::Samples;
use super::verdict::{StopReason, Verdict};
use crate::clock::Now;
use crate::deadline::Deadline;
#[cfg(feature = "tower")]
use crate::name::Name;
use crate::outcome::{Ended, Outcome, RetryHint};
use crate::shutdown::ambient;
use crate::tick::Tick;

#[derive(Debug)]
pub(crate) struct Run {
    pub(super) progress: Progress,
    samples: Option<Samples>,
}

/// A call begins, which deposits. When that was, if it will be asked: the clock is looked at only if so.
#[inline(always)]
pub(super) fn begin(rules: &RetryRules, own: Option<&RetryBudget>, now: &mut Now) -> Option<Tick> {
    let budget = rules.budget(own);
    let counts = budget.is_some_and(RetryBudget::counts_calls);
    let started = (counts || rules.max_elapsed.is_some()).then(|| now.tick());
    if let Some((budget, now)) = budget.zip(started) {
        budget.call_started_at(now);
    }
    started
}

impl Run {
    #[inline]
    pub(super) fn start(rules: &RetryRules, now: &mut Now) -> Run {
        Run::since(begin(rules, None, now), None)
    }

    /// A call that has begun, and is still at its first attempt.
    #[inline]
    pub(super) fn since(started: Option<Tick>, own: Option<RetryBudget>) -> Run {
        Run { progress: Progress::new(started, own), samples: None }
    }

    #[cfg(feature = "tower")]
    pub(super) fn of_key(mut self, key: Option<Name>) -> Run {
        self.progress.set_key(key);
        self
    }

    /// The attempt under way ended in `outcome`. A success reads no clock and draws no sample.
    #[inline]
    pub(super) fn ended(&mut self, rules: &RetryRules, ended: Ended<'_>, now: &mut Now) -> Verdict {
        if ended.outcome == Outcome::Success {
            return self.progress.succeeded(rules);
        }
        if ambient::is_draining() && self.may_retry(rules, ended.outcome) {
            return self.progress.give_up(rules, ended, StopReason::ShuttingDown);
        }
        match RetryScope::current() {
            Some(scope) => self.failed_in(&scope, rules, ended, now),
            None => self.failed(rules, ended, now),
        }
    }

    fn failed(&mut self, rules: &RetryRules, ended: Ended<'_>, now: &mut Now) -> Verdict {
        let samples = self.samples.get_or_insert_with(|| Samples::new(rules.seed.as_ref()));
        self.progress.decide(rules, now.again(), Deadline::current(), ended, samples.next())
    }

    /// Whether it is worth a retry at all: only then is it the shutdown that keeps it from one.
    fn may_retry(&self, rules: &RetryRules, outcome: Outcome) -> bool {
        let worth = match outcome {
            Outcome::NotReady(hint) => rules.wait_when_not_ready && hint != RetryHint::None,
            _ => rules.is_retryable(outcome),
        };
        worth && outcome.hint() != RetryHint::Never && self.progress.any_left(rules)
    }

    /// The wait for a retry ended early, by a shutdown.
    pub(super) fn interrupted(&self, rules: &RetryRules, outcome: Outcome) {
        self.progress.interrupted(rules, outcome);
    }

    /// The same inside of somebody else's call: it may be an attempt of theirs, and they are to know when
    /// this one is given up.
    fn failed_in(
        &mut self,
        scope: &RetryScope,
        rules: &RetryRules,
        ended: Ended<'_>,
        now: &mut Now,
    ) -> Verdict {
        let outcome = ended.outcome;
        // What waits for something to be ready repeats nothing, and may.
        let repeats = rules.is_retryable(outcome) && outcome.hint() != RetryHint::Never;
        if repeats && !scope.allows_retries() && self.progress.any_left(rules) {
            return self.progress.give_up(rules, ended, StopReason::RetriedByCaller);
        }
        let verdict = self.failed(rules, ended, now);
        let spent = match verdict.stop_reason() {
            Some(StopReason::BudgetExhausted | StopReason::ServerForbids) => true,
            // One attempt is what the call would have come to without a retry.
            Some(_) => self.progress.made() > 1 && outcome.failure().is_some(),
            None => false,
        };
        if spent {
            scope.give_up();
        }
        verdict
    }

    /// The same for a request that is not sent again, of which the obstacle is told only if nothing else
    /// stood in the way.
    #[cfg(feature = "tower")]
    pub(super) fn ended_for_good(
        &mut self,
        rules: &RetryRules,
        ended: Ended<'_>,
        obstacle: StopReason,
        now: &mut Now,
    ) -> Verdict {
        let outcome = ended.outcome;
        let reason = match outcome {
            _ if !self.progress.any_left(rules) || outcome.hint() == RetryHint::Never => None,
            Outcome::NotReady(_) => Some(StopReason::NotReady),
            _ => rules.is_retryable(outcome).then_some(obstacle),
        };
        match reason {
            Some(reason) => self.progress.give_up(rules, ended, reason),
            None => self.ended(rules, ended, now),
        }
    }
}
