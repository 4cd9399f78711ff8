//! The retry as a part of a stack, which keeps the rules.

use std::task::Context;

use super::account::Account;
use super::budget::RetryBudget;
use super::layer::RetryLayer;
use super::progress::succeeded_at_once;
use super::replay::Replay;
use super::run::{Run, begin};
use super::verdict::{GrantedRetry, StopReason, Verdict};
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::{AsOutcome, Classify, Outcome};
use crate::shutdown::ambient::Draining;
use crate::stack::{Again, Next, Watch};
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
    A: Account<Req>,
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
        let any_left = match &mut course.failed {
            None => rules.max_attempts > 1,
            Some(failed) => {
                failed.granted.take()?.begin(&mut failed.run.progress);
                failed.run.progress.any_left(rules)
            }
        };
        if any_left { self.replay.copy(request) } else { None }
    }

    #[inline(always)]
    fn ended(
        &self,
        course: &mut Self::Course,
        result: Result<&T, &E>,
        copy: Option<&Req>,
        now: &mut Now,
    ) -> Next {
        let rules = &*self.policy.rules;
        let outcome = outcome(&self.policy.classifier, result);
        if course.failed.is_none() && outcome == Outcome::Success {
            succeeded_at_once(rules, course.own_budget.as_ref());
            return Next::Done;
        }
        // Not to be sent again, whatever came of it; or only if nothing came of it.
        let obstacle = match copy.filter(|copy| self.replay.is_good(copy, result.is_ok())) {
            None => Some(StopReason::NotReplayable),
            Some(copy) if self.replay.may_run_twice(copy) => None,
            Some(_) => {
                may_have_run(&self.policy.classifier, result).then_some(StopReason::MayHaveRun)
            }
        };
        course.ended::<Req, _, _, _>(self, outcome, obstacle, now)
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
    fn ended<Req, C, R, A: Account<Req>>(
        &mut self,
        layer: &RetryLayer<C, R, A>,
        outcome: Outcome,
        obstacle: Option<StopReason>,
        now: &mut Now,
    ) -> Next {
        let rules = &*layer.policy.rules;
        let started = Some(self.started).filter(|started| *started != Tick::NEVER);
        let own_budget = self.own_budget.take();
        let begun = || {
            let run = Run::since(started, own_budget).of_key(layer.account.key());
            let draining = Draining::default();
            Box::new(Failed { run, outcome, granted: None, draining, answer: None })
        };
        let failed = self.failed.get_or_insert_with(begun);
        failed.outcome = outcome;
        let Failed { run, granted, .. } = &mut **failed;
        if granted.take().is_some() {
            // Refused on the way: it counts as an attempt, and its price has just gone back.
            run.progress.next(None);
        }
        let verdict = match obstacle {
            None => run.ended(rules, outcome, now),
            Some(obstacle) => run.ended_for_good(rules, outcome, obstacle, now),
        };
        match verdict {
            Verdict::Retry(retry) => Next::Again(granted.insert(retry).delay()),
            Verdict::Stop { pause, .. } if !pause.is_zero() => Next::Pause(pause),
            Verdict::Stop { .. } | Verdict::Done => Next::Done,
        }
    }
}

/// What a rejection from below means is not the classifier's to say.
#[inline]
fn outcome<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Outcome {
    match result.err().and_then(CarriesRejection::rejection) {
        Some(rejection) => rejection.as_outcome(),
        None => classifier.classify(result),
    }
}

/// Nor whether the request may have had an effect.
fn may_have_run<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> bool {
    match result.err().and_then(CarriesRejection::rejection) {
        Some(rejection) => rejection.may_have_run(),
        None => classifier.may_have_run(result),
    }
}
