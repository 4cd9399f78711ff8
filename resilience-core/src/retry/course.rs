//! The retry as a part of a stack, which keeps the rules.

use super::account::Account;
use super::future::outcome;
use super::layer::RetryLayer;
use super::replay::Replay;
use super::run::Run;
use super::verdict::{GrantedRetry, Verdict};
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::Classify;
use crate::stack::{Again, Next};

/// What one call has done so far.
#[derive(Debug)]
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

    #[inline]
    fn start(&self, request: &Req, now: &mut Now) -> (Course, Option<Req>) {
        let own_budget = self.account.budget(request, now);
        let run = Run::start(&self.policy.rules, own_budget, now);
        let any_left = run.progress.any_left(&self.policy.rules);
        let copy = if any_left { self.replay.copy(request) } else { None };
        (Course { run, granted: None }, copy)
    }

    #[inline]
    fn sent(&self, course: &mut Course, request: &Req) -> Option<Req> {
        course.granted.take()?.begin(&mut course.run.progress);
        let any_left = course.run.progress.any_left(&self.policy.rules);
        if any_left { self.replay.copy(request) } else { None }
    }

    #[inline]
    fn ended(
        &self,
        course: &mut Course,
        result: Result<&T, &E>,
        copied: bool,
        now: &mut Now,
    ) -> Next {
        let rules = &*self.policy.rules;
        if course.granted.take().is_some() {
            // Refused on the way: it counts as an attempt, and its price has just gone back.
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
}
