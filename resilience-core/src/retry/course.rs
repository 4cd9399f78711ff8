//! The retry as a part of a stack, which keeps the rules.

use super::account::Account;
use super::budget::RetryBudget;
use super::layer::RetryLayer;
use super::policy::Rules;
use super::progress::succeeded_at_once;
use super::replay::Replay;
use super::run::{Run, begin};
use super::verdict::{GrantedRetry, Verdict};
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::{AsOutcome, Classify, Outcome};
use crate::stack::{Again, Next, Watch};
use crate::tick::Tick;

/// What one call has done so far. Small, until its first attempt fails: most do not.
#[derive(Debug)]
pub struct Course {
    /// Never, if that will not be asked.
    started: Tick,
    /// An account of this call's key, in place of the policy's.
    own_budget: Option<RetryBudget>,
    failed: Option<Box<Failed>>,
}

/// What a call has done that failed once.
#[derive(Debug)]
struct Failed {
    run: Run,
    /// A retry that is granted and has not reached the service below.
    granted: Option<GrantedRetry>,
}

impl<Req, T, E, C, R, A> Again<Req, T, E> for RetryLayer<C, R, A>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    R: Replay<Req>,
    A: Account<Req>,
{
    type Course = Course;
    type Timer = Watch;

    #[inline(always)]
    fn start(&self, course: &mut Course, request: &Req, now: &mut Now) -> Option<Req> {
        let rules = &*self.policy.rules;
        course.own_budget = self.account.budget(request, now);
        course.started = begin(rules, course.own_budget.as_ref(), now).unwrap_or(Tick::NEVER);
        if rules.max_attempts > 1 { self.replay.copy(request) } else { None }
    }

    #[inline(always)]
    fn sent(&self, course: &mut Course, request: &Req) -> Option<Req> {
        let Failed { run, granted } = &mut **course.failed.as_mut()?;
        granted.take()?.begin(&mut run.progress);
        let any_left = run.progress.any_left(&self.policy.rules);
        if any_left { self.replay.copy(request) } else { None }
    }

    #[inline(always)]
    fn is_good(&self, copy: &Req, answered: bool) -> bool {
        self.replay.is_good(copy, answered)
    }

    #[inline(always)]
    fn ended(
        &self,
        course: &mut Course,
        result: Result<&T, &E>,
        copied: bool,
        now: &mut Now,
    ) -> Next {
        let rules = &*self.policy.rules;
        let outcome = outcome(&self.policy.classifier, result);
        if course.failed.is_none() && outcome == Outcome::Success {
            succeeded_at_once(rules, course.own_budget.as_ref());
            return Next::Done;
        }
        course.ended(rules, outcome, copied, now)
    }

    #[inline(always)]
    fn leave(&self, course: &mut Course) {
        if course.own_budget.is_some() || course.failed.is_some() {
            (course.own_budget, course.failed) = (None, None);
        }
    }
}

impl Default for Course {
    #[inline]
    fn default() -> Course {
        Course { started: Tick::NEVER, own_budget: None, failed: None }
    }
}

impl Course {
    #[cold]
    fn ended(&mut self, rules: &Rules, outcome: Outcome, copied: bool, now: &mut Now) -> Next {
        let started = Some(self.started).filter(|started| *started != Tick::NEVER);
        let own_budget = self.own_budget.take();
        let begun = || Box::new(Failed { run: Run::since(started, own_budget), granted: None });
        let Failed { run, granted } = &mut **self.failed.get_or_insert_with(begun);
        if granted.take().is_some() {
            // Refused on the way: it counts as an attempt, and its price has just gone back.
            run.progress.next(None);
        }
        let verdict = if copied {
            run.ended(rules, outcome, now)
        } else {
            run.ended_without_copy(rules, outcome, now)
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
