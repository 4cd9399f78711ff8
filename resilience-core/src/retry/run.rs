//! A call on a real clock: a [`Progress`] with the time, the deadline and the samples filled in.

use super::budget::RetryBudget;
use super::policy::RetryRules;
use super::progress::Progress;
use super::scope::RetryScope;
use super::seed::Samples;
use super::verdict::{StopReason, Verdict};
use crate::call::is_draining;
use crate::clock::Now;
use crate::clock::tick::Tick;
use crate::deadline::Deadline;
use crate::ended::Ended;
use crate::name::Name;
use crate::outcome::{Outcome, RetryHint};

#[derive(Debug)]
pub(crate) struct Run {
    pub(super) progress: Progress,
    samples: Option<Samples>,
}

/// Begins a call, which deposits in the budget. Returns the time if the policy limits it. Reads the
/// clock only if one of them needs the time.
#[inline(always)]
pub(super) fn begin(rules: &RetryRules, own: Option<&RetryBudget>, now: &mut Now) -> Option<Tick> {
    if let Some(budget) = rules.budget(own) {
        budget.deposit(|| now.tick());
    }
    rules.max_elapsed.map(|_| now.tick())
}

impl Run {
    #[inline]
    pub(super) fn start(rules: &RetryRules, now: &mut Now) -> Run {
        Run::since(begin(rules, None, now), None, None)
    }

    /// Makes the run of a call that has begun, and is still at its first attempt.
    #[inline]
    pub(super) fn since(started: Option<Tick>, own: Option<RetryBudget>, key: Option<Name>) -> Run {
        Run { progress: Progress::new(started, own, key), samples: None }
    }

    /// Decides after an attempt. `obstacle` is the reason not to send the request again, if there
    /// is one: it is reported only if nothing else forbids another attempt. A success reads no
    /// clock and draws no sample.
    #[inline]
    pub(super) fn ended(
        &mut self,
        rules: &RetryRules,
        ended: Ended<'_>,
        obstacle: Option<StopReason>,
        now: &mut Now,
    ) -> Verdict {
        if ended.outcome == Outcome::Success {
            return self.progress.succeeded(rules);
        }
        if let Some(reason) = self.forbidden(rules, ended.outcome, obstacle) {
            return self.progress.give_up(rules, ended, reason);
        }
        match RetryScope::current() {
            Some(scope) => self.failed_in(&scope, rules, ended, now),
            None => self.failed(rules, ended, now),
        }
    }

    /// Returns the reason why there is no other attempt, if the policy is not needed to find one.
    fn forbidden(
        &self,
        rules: &RetryRules,
        outcome: Outcome,
        obstacle: Option<StopReason>,
    ) -> Option<StopReason> {
        if rules.stops_when_not_ready(outcome) {
            return Some(StopReason::NotReady);
        }
        let not_ready = matches!(outcome, Outcome::NotReady(_));
        let worth_it = not_ready || rules.is_retryable(outcome);
        if !worth_it || outcome.hint() == RetryHint::Never || !self.progress.any_left(rules) {
            return None;
        }
        match obstacle {
            Some(_) if not_ready => Some(StopReason::NotReady),
            None if is_draining() => Some(StopReason::ShuttingDown),
            obstacle => obstacle,
        }
    }

    fn failed(&mut self, rules: &RetryRules, ended: Ended<'_>, now: &mut Now) -> Verdict {
        let samples = self.samples.get_or_insert_with(|| Samples::new(rules.seed.as_ref()));
        self.progress.decide(rules, now.again(), Deadline::current(), ended, samples.next())
    }

    /// Reports that the wait for a retry ended early, by a shutdown.
    pub(super) fn interrupted(&self, rules: &RetryRules, outcome: Outcome) {
        self.progress.interrupted(rules, outcome);
    }

    /// Decides inside of a [`RetryScope`]: the call may itself be an attempt of the scope's call,
    /// which has to know when this call gives up.
    fn failed_in(
        &mut self,
        scope: &RetryScope,
        rules: &RetryRules,
        ended: Ended<'_>,
        now: &mut Now,
    ) -> Verdict {
        let outcome = ended.outcome;
        // A wait until something is ready repeats nothing, and is allowed.
        let repeats = rules.is_retryable(outcome) && outcome.hint() != RetryHint::Never;
        if repeats && !scope.allows_retries() && self.progress.any_left(rules) {
            return self.progress.give_up(rules, ended, StopReason::RetriedByCaller);
        }
        let verdict = self.failed(rules, ended, now);
        let spent = match verdict.stop_reason() {
            Some(StopReason::BudgetExhausted | StopReason::ServerForbids) => true,
            // A call without retries would have made one attempt as well.
            Some(_) => self.progress.made > 1 && outcome.failure().is_some(),
            None => false,
        };
        if spent {
            scope.give_up();
        }
        verdict
    }
}
