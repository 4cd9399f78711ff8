//! The retry as a part of a stack, which keeps the rules.

use std::task::Context;

use super::budget::RetryBudget;
use super::budget_selector::BudgetSelector;
use super::layer::RetryLayer;
use super::progress::succeeded_at_once;
use super::replay::Replay;
use super::run::{Run, begin};
use super::verdict::{GrantedRetry, StopReason, Verdict};
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::{AsOutcome, Classify, Ended, Outcome, RetryHint};
use crate::rejection::{Rejection, RejectionKind};
use crate::shutdown::ambient::Draining;
use crate::stack::{Again, Next, Reached, Watch};
use crate::tick::Tick;

/// What one call has done so far. Small, until its first attempt fails: most do not.
#[derive(Debug)]
pub struct Course<T> {
    /// Never, if that will not be asked.
    started: Tick,
    /// An account of this call's key, in place of the policy's.
    own_budget: Option<RetryBudget>,
    failed: Option<Box<Failed<T>>>,
}

/// What a call has done that failed once.
#[derive(Debug)]
struct Failed<T> {
    run: Run,
    /// How.
    outcome: Outcome,
    /// A retry that is granted and has not reached the service below.
    granted: Option<GrantedRetry>,
    /// An attempt was sent that may have had an effect.
    ran: bool,
    /// Waits no longer than until then.
    draining: Draining,
    /// What the call ends in if there is no other attempt, while it waits.
    answer: Option<T>,
}

impl<Req, T, E, C, R, A> Again<Req, T, E> for RetryLayer<C, R, A>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    R: Replay<Req>,
    A: BudgetSelector<Req>,
{
    type Course = Course<Result<T, E>>;
    type Timer = Watch;

    #[inline(always)]
    fn start(&self, course: &mut Self::Course, request: &Req, now: &mut Now) {
        let rules = &*self.policy.rules;
        let own_budget = self.account.budget(request, now);
        course.started = begin(rules, own_budget.as_ref(), now).unwrap_or(Tick::NEVER);
        // There is none before: to put one there that is none is to look for what to drop.
        if own_budget.is_some() {
            course.own_budget = own_budget;
        }
    }

    #[inline(always)]
    fn sent(&self, course: &mut Self::Course, request: &Req) -> Option<Req> {
        let rules = &*self.policy.rules;
        let before = match &course.failed {
            None => 0,
            Some(failed) => failed.granted.as_ref().map(|_| failed.run.progress.made())?,
        };
        let any_left = before.saturating_add(1) < rules.max_attempts;
        // Before the price is paid: if it panics, nothing was sent.
        let copy = if any_left { self.replay.copy(request) } else { None };
        if let Some(failed) = &mut course.failed {
            failed.granted.take()?.begin(&mut failed.run.progress);
        }
        copy
    }

    #[inline(always)]
    fn ended(
        &self,
        course: &mut Self::Course,
        result: Result<&T, &E>,
        copy: Option<&Req>,
        reached: Reached,
        now: &mut Now,
    ) -> Next {
        let rules = &*self.policy.rules;
        let outcome = outcome(&self.policy.classifier, result);
        if course.failed.is_none() && outcome == Outcome::Success {
            succeeded_at_once(rules, course.own_budget.as_ref());
            return Next::Done;
        }
        let sent = reached == Reached::Service;
        let ran_below = rejection_in(result).is_some_and(Rejection::may_have_run);
        let ended = Ended::carrying(outcome, &self.policy.classifier, result);
        let attempt = Attempt {
            // Not ready without any contact repeats nothing.
            ended: Ended { repeats: sent && ran_below || reached == Reached::Readiness, ..ended },
            ran: sent && may_have_run(&self.policy.classifier, result),
            in_house: reached == Reached::Nothing,
        };
        // Not to be sent again, whatever came of it; or only if nothing came of it.
        let obstacle = match copy.filter(|copy| self.replay.is_still_valid(copy, result.is_ok())) {
            None => Some(StopReason::NotReplayable),
            Some(copy) if attempt.ran && !self.replay.may_run_twice(copy) => {
                Some(StopReason::MayHaveRun)
            }
            Some(_) if self.forbids(result) => Some(StopReason::NotRetryable),
            Some(_) => None,
        };
        course.ended::<Req, _, _, _>(self, &attempt, obstacle, now)
    }

    #[inline]
    fn ran_before(&self, course: &Self::Course) -> bool {
        course.failed.as_ref().is_some_and(|failed| failed.ran)
    }

    #[cold]
    fn keep(&self, course: &mut Self::Course, answer: Result<T, E>) {
        if let Some(failed) = &mut course.failed {
            failed.answer = Some(answer);
        }
    }

    #[inline]
    fn keeps(&self, course: &Self::Course) -> bool {
        course.failed.as_ref().is_some_and(|failed| failed.answer.is_some())
    }

    #[cold]
    fn kept(&self, course: &mut Self::Course) -> Option<Result<T, E>> {
        course.failed.as_mut()?.answer.take()
    }

    #[cold]
    fn interrupted(&self, course: &mut Self::Course, cx: &mut Context<'_>) -> bool {
        let Some(failed) = course.failed.as_deref_mut() else {
            return false;
        };
        let Failed { run, outcome, granted, draining, .. } = failed;
        let interrupted = draining.poll(cx).is_ready();
        // Dropped, its price goes back.
        if interrupted && granted.take().is_some() {
            run.interrupted(&self.policy.rules, *outcome);
        }
        interrupted
    }

    #[inline(always)]
    fn previous(&self, course: &Self::Course) -> u32 {
        course.failed.as_ref().map_or(0, |failed| failed.run.progress.previous())
    }

    #[inline(always)]
    fn leave(&self, course: &mut Self::Course) {
        if course.own_budget.is_some() || course.failed.is_some() {
            (course.own_budget, course.failed) = (None, None);
        }
    }
}

impl<T> Default for Course<T> {
    #[inline]
    fn default() -> Course<T> {
        Course { started: Tick::NEVER, own_budget: None, failed: None }
    }
}

impl<T> Course<T> {
    #[cold]
    fn ended<Req, C, R, A: BudgetSelector<Req>>(
        &mut self,
        layer: &RetryLayer<C, R, A>,
        attempt: &Attempt<'_>,
        obstacle: Option<StopReason>,
        now: &mut Now,
    ) -> Next {
        let rules = &*layer.policy.rules;
        let outcome = attempt.ended.outcome;
        let started = Some(self.started).filter(|started| *started != Tick::NEVER);
        let own_budget = self.own_budget.take();
        let begun = || {
            let run = Run::since(started, own_budget).of_key(layer.account.key());
            let draining = Draining::default();
            Box::new(Failed { run, outcome, granted: None, ran: false, draining, answer: None })
        };
        let failed = self.failed.get_or_insert_with(begun);
        failed.outcome = outcome;
        failed.ran |= attempt.ran;
        let Failed { run, granted, .. } = &mut **failed;
        // Still there: the attempt was not sent. Its price pays for the next one if a part of the stack kept the
        // call from the service, and is spent if the service was contacted: that was an attempt.
        let unsent = match granted.take() {
            Some(retry) if attempt.in_house => {
                run.progress.next(None);
                Some(retry)
            }
            Some(retry) => {
                retry.begin(&mut run.progress);
                None
            }
            None => None,
        };
        let verdict = match obstacle {
            None => run.ended(rules, attempt.ended, now),
            Some(obstacle) => run.ended_for_good(rules, attempt.ended, obstacle, now),
        };
        match verdict {
            Verdict::Retry(retry) => Next::Again(granted.insert(retry.or_paid_by(unsent)).delay()),
            Verdict::Stop { pause, .. } if !pause.is_zero() => Next::Pause(pause),
            Verdict::Stop { .. } | Verdict::Done => Next::Done,
        }
    }
}

/// How one attempt ended.
struct Attempt<'e> {
    ended: Ended<'e>,
    /// The request was sent, and may have had an effect.
    ran: bool,
    /// A part of the stack kept the request from the service.
    in_house: bool,
}

impl<C, R, A> RetryLayer<C, R, A> {
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

fn rejection_in<'r, T, E: CarriesRejection>(result: Result<&T, &'r E>) -> Option<&'r Rejection> {
    result.err().and_then(CarriesRejection::rejection)
}

/// What a rejection from below means is not the classifier's to say.
#[inline]
fn outcome<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Outcome {
    match rejection_in(result) {
        Some(rejection) => rejection.as_outcome(),
        None => classifier.classify(result),
    }
}

/// Nor whether the request may have had an effect.
fn may_have_run<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> bool {
    match result {
        Err(error) if error.rejection().is_some() => !error.did_not_run(),
        _ => classifier.may_have_run(result),
    }
}
