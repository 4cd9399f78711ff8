//! The retry as a part of a stack, which keeps the rules.

use super::account::Account;
use super::layer::RetryLayer;
use super::replay::Replay;
use super::run::Run;
use super::verdict::{GrantedRetry, Verdict};
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::{AsOutcome, Classify, Outcome};
use crate::stack::{Again, Next, Watch};

/// What one call has done so far.
#[derive(Debug, Default)]
pub struct Course {
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
        course.run.begin(rules, self.account.budget(request, now), now);
        if course.run.progress.any_left(rules) { self.replay.copy(request) } else { None }
    }

    #[inline(always)]
    fn sent(&self, course: &mut Course, request: &Req) -> Option<Req> {
        course.granted.as_ref()?;
        course.granted.take()?.begin(&mut course.run.progress);
        let any_left = course.run.progress.any_left(&self.policy.rules);
        if any_left { self.replay.copy(request) } else { None }
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
        // Looked at and not taken: a move of what is not there costs as much as of what is.
        if course.granted.is_some() {
            // Refused on the way: it counts as an attempt, and its price goes back.
            course.granted = None;
            course.run.progress.next(None);
        }
        let outcome = outcome(&self.policy.classifier, result);
        let verdict = if copied {
            course.run.ended(rules, outcome, now)
        } else {
            course.run.ended_without_copy(rules, outcome, now)
        };
        match verdict {
            Verdict::Retry(retry) => {
                let delay = retry.delay();
                course.granted = Some(retry);
                Next::Again(delay)
            }
            Verdict::Stop { pause, .. } if !pause.is_zero() => Next::Pause(pause),
            Verdict::Stop { .. } | Verdict::Done => Next::Done,
        }
    }

    #[inline(always)]
    fn leave(&self, course: &mut Course) {
        if course.granted.is_some() {
            course.granted = None;
        }
        course.run.progress.leave();
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
