//! The retry as a part of a call.

use super::budget::RetryBudget;
use super::budget_selector::BudgetSelector;
use super::layer::RetryLayer;
use super::policy::RetryRules;
use super::replay::Replay;
use super::run::{Run, begin};
use super::verdict::{GrantedRetry, StopReason, Verdict};
use crate::call::{AfterAttempt, AttemptEnd, AttemptsBefore, CallTimer, Kept, RetryPart};
use crate::clock::Now;
use crate::clock::tick::Tick;
use crate::ended::Ended;
use crate::error::CarriesRejection;
use crate::name::Name;
use crate::outcome::{AsOutcome, Classify, Outcome, RetryHint};
use crate::rejection::{Rejection, RejectionKind};

/// The progress of one call. Small until an attempt fails: most calls have none that does.
#[doc(hidden)]
#[derive(Debug)]
pub struct RetryCallState<T, E> {
    /// `NEVER` if the policy does not need it.
    started: Tick,
    /// The budget of the call's key, in place of the policy's.
    own_budget: Option<RetryBudget>,
    failed: Option<Box<Failed<T, E>>>,
}

/// The progress of a call with a failed attempt.
#[derive(Debug)]
struct Failed<T, E> {
    run: Run,
    /// The outcome of the latest attempt.
    outcome: Outcome,
    /// A retry that is granted and has not reached the service below.
    granted: Option<GrantedRetry>,
    /// `true` if an attempt may have had an effect.
    ran: bool,
    kept: Kept<T, E>,
}

impl<Req, T, E, C, R, A> RetryPart<Req, T, E> for RetryLayer<C, R, A>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    R: Replay<Req>,
    A: BudgetSelector<Req>,
{
    type CallState = RetryCallState<T, E>;
    type Timer = CallTimer;

    #[inline(always)]
    fn start(&self, state: &mut Self::CallState, request: &Req, now: &mut Now) {
        let own_budget = self.budget_selector.budget(request, now);
        let started = begin(&self.policy.rules, own_budget.as_ref(), now);
        state.started = started.unwrap_or(Tick::NEVER);
        state.own_budget = own_budget;
    }

    #[inline(always)]
    fn sent(&self, state: &mut Self::CallState, request: &Req) -> Option<Req> {
        let before = match &state.failed {
            None => 0,
            Some(failed) => failed.granted.as_ref().map(|_| failed.run.progress.made)?,
        };
        let any_left = before.saturating_add(1) < self.policy.rules.max_attempts;
        // Before the price is paid: if it panics, nothing was sent.
        let copy = if any_left { self.replay.copy(request) } else { None };
        if let Some(failed) = &mut state.failed {
            failed.granted.take()?.begin(&mut failed.run.progress);
        }
        copy
    }

    #[inline(always)]
    fn ended(
        &self,
        state: &mut Self::CallState,
        end: AttemptEnd<'_, T, E>,
        copy: Option<&Req>,
        now: &mut Now,
    ) -> AfterAttempt {
        // See docs/decisions/0005-a-rejected-retry-returns-the-last-result.md.
        let outcome = match end {
            AttemptEnd::Rejected(rejection) => rejection.as_outcome(),
            AttemptEnd::NotReady(error) => self.outcome(Err(error)),
            AttemptEnd::Returned(result) => self.outcome(result),
        };
        if state.failed.is_none() && matches!(outcome, Outcome::Success) {
            if let Some(budget) = self.policy.rules.budget(state.own_budget.as_ref()) {
                budget.succeeded();
            }
            return AfterAttempt::Done;
        }
        self.not_at_once(state, outcome, end, copy, now)
    }

    #[inline(always)]
    fn before(&self, state: &Self::CallState) -> AttemptsBefore {
        match &state.failed {
            None => AttemptsBefore::NONE,
            Some(failed) => {
                AttemptsBefore { count: failed.run.progress.previous(), may_have_run: failed.ran }
            }
        }
    }

    #[inline]
    fn kept<'s>(&self, state: &'s mut Self::CallState) -> Option<&'s mut Kept<T, E>> {
        state.failed.as_mut().map(|failed| &mut failed.kept)
    }

    #[cold]
    fn cut_short(&self, state: &mut Self::CallState) {
        if let Some(failed) = &mut state.failed
            && failed.granted.take().is_some()
        {
            failed.run.interrupted(&self.policy.rules, failed.outcome);
        }
    }
}

impl<T, E> Default for RetryCallState<T, E> {
    #[inline]
    fn default() -> RetryCallState<T, E> {
        RetryCallState { started: Tick::NEVER, own_budget: None, failed: None }
    }
}

/// An attempt that was not the first success, as the retry sees it.
struct Attempt<'e> {
    ended: Ended<'e>,
    /// `true` if the request was sent, and may have had an effect.
    ran: bool,
    /// `true` if a part kept the request from the service.
    by_part: bool,
    /// The reason not to send the request again, whatever the policy would decide.
    obstacle: Option<StopReason>,
}

impl<C, R, A> RetryLayer<C, R, A> {
    /// Returns the outcome of a result. The meaning of a rejection from below is not up to the
    /// classifier.
    #[inline]
    fn outcome<T, E: CarriesRejection>(&self, result: Result<&T, &E>) -> Outcome
    where
        C: Classify<T, E>,
    {
        match result.err().and_then(CarriesRejection::rejection) {
            Some(rejection) => rejection.as_outcome(),
            None => self.policy.classifier.classify(result),
        }
    }

    #[cold]
    fn not_at_once<Req, T, E>(
        &self,
        state: &mut RetryCallState<T, E>,
        outcome: Outcome,
        end: AttemptEnd<'_, T, E>,
        copy: Option<&Req>,
        now: &mut Now,
    ) -> AfterAttempt
    where
        E: CarriesRejection,
        C: Classify<T, E>,
        R: Replay<Req>,
        A: BudgetSelector<Req>,
    {
        let rules = &self.policy.rules;
        if let AttemptEnd::Rejected(rejection) = end
            && state.failed.is_none()
            && rules.stops_when_not_ready(outcome)
        {
            // A part rejected the first attempt: there is no progress to keep, nor a budget to
            // settle with.
            let ended = Ended { outcome, error: Some(rejection), ..Ended::SUCCESS };
            let verdict = Verdict::stop(StopReason::NotReady);
            rules.report(self.budget_selector.key().as_ref(), 1, ended, &verdict);
            return AfterAttempt::Done;
        }
        let responded = matches!(end, AttemptEnd::Returned(Ok(_)));
        let copy = copy.filter(|copy| self.replay.is_still_valid(copy, responded));
        let attempt = match end {
            AttemptEnd::Rejected(rejection) => Attempt {
                ended: Ended { outcome, error: Some(rejection), ..Ended::SUCCESS },
                ran: false,
                by_part: true,
                obstacle: if copy.is_none() { Some(StopReason::NotReplayable) } else { None },
            },
            AttemptEnd::NotReady(error) => self.returned(Err(error), false, outcome, copy),
            AttemptEnd::Returned(result) => self.returned(result, true, outcome, copy),
        };
        let failed = state.failed(|| self.budget_selector.key());
        failed.ended(rules, &attempt, now)
    }

    /// Describes an attempt that ended in `result`. `sent` if the service below had the request.
    fn returned<'e, Req, T, E>(
        &self,
        result: Result<&T, &'e E>,
        sent: bool,
        outcome: Outcome,
        copy: Option<&Req>,
    ) -> Attempt<'e>
    where
        E: CarriesRejection,
        C: Classify<T, E>,
        R: Replay<Req>,
    {
        let ran_below = rejection_in(result).is_some_and(Rejection::may_have_run);
        let ended = Ended::carrying(outcome, &self.policy.classifier, result);
        let ran = sent && self.may_have_run(result);
        let obstacle = match copy {
            None => Some(StopReason::NotReplayable),
            Some(copy) if ran && !self.replay.may_run_twice(copy) => Some(StopReason::MayHaveRun),
            Some(_) if self.forbids(result) => Some(StopReason::NotRetryable),
            Some(_) => None,
        };
        // A service that was not ready was contacted: another attempt repeats what may have failed.
        let repeats = !sent || ran_below;
        Attempt { ended: Ended { repeats, ..ended }, ran, by_part: false, obstacle }
    }

    /// Returns `true` if the request may have had an effect. For a rejection that is not up to the
    /// classifier.
    fn may_have_run<T, E: CarriesRejection>(&self, result: Result<&T, &E>) -> bool
    where
        C: Classify<T, E>,
    {
        // See docs/decisions/0020-a-second-run-needs-two-consents.md.
        match result {
            Err(error) if error.rejection().is_some() => !error.did_not_run(),
            _ => self.policy.classifier.may_have_run(result),
        }
    }

    /// Returns `true` if the classifier forbids to retry an attempt of ours that timed out.
    fn forbids<T, E: CarriesRejection>(&self, result: Result<&T, &E>) -> bool
    where
        C: Classify<T, E>,
    {
        let timed_out = rejection_in(result).is_some_and(|it| it.kind() == RejectionKind::TimedOut);
        timed_out && {
            let outcome = self.policy.classifier.classify(result);
            !self.policy.rules.is_retryable(outcome) || outcome.hint() == RetryHint::Never
        }
    }
}

impl<T, E> RetryCallState<T, E> {
    /// Returns the progress, begun with the first failure.
    fn failed(&mut self, key: impl FnOnce() -> Option<Name>) -> &mut Failed<T, E> {
        let RetryCallState { started, own_budget, failed } = self;
        failed.get_or_insert_with(|| {
            let started = Some(*started).filter(|started| *started != Tick::NEVER);
            Box::new(Failed {
                run: Run::since(started, own_budget.take(), key()),
                outcome: Outcome::Success,
                granted: None,
                ran: false,
                kept: Kept::NONE,
            })
        })
    }
}

impl<T, E> Failed<T, E> {
    fn ended(&mut self, rules: &RetryRules, attempt: &Attempt<'_>, now: &mut Now) -> AfterAttempt {
        let Failed { run, granted, .. } = self;
        self.outcome = attempt.ended.outcome;
        self.ran |= attempt.ran;
        // Still there: the attempt was not sent. Its price pays for the next one if a part kept the
        // call from the service, and is spent if the service was contacted: that was an attempt.
        let unsent = match granted.take() {
            Some(retry) if attempt.by_part => {
                run.progress.next(None);
                Some(retry)
            }
            Some(retry) => {
                retry.begin(&mut run.progress);
                None
            }
            None => None,
        };
        match run.ended(rules, attempt.ended, attempt.obstacle, now) {
            Verdict::Retry(retry) => {
                AfterAttempt::Again(granted.insert(retry.or_paid_by(unsent)).delay())
            }
            Verdict::Stop { pause, .. } if !pause.is_zero() => AfterAttempt::Pause(pause),
            Verdict::Stop { .. } | Verdict::Done => AfterAttempt::Done,
        }
    }
}

fn rejection_in<'r, T, E: CarriesRejection>(result: Result<&T, &'r E>) -> Option<&'r Rejection> {
    result.err().and_then(CarriesRejection::rejection)
}
