//! The guard of an admitted call.

use std::borrow::Borrow;
use std::fmt;

use super::circuit::Admission;
use super::handle::CircuitBreaker;
use crate::clock::Now;
use crate::ended::Ended;
use crate::error::CarriesRejection;
use crate::outcome::{Classify, Outcome};
use crate::rejection::Rejection;

/// A call that a [`CircuitBreaker`] admitted. Dropped without an outcome, it counts as abandoned.
///
/// Borrows the handle, or [owns](CircuitBreaker::try_admit_owned) one.
#[must_use = "dropped at once, the call was abandoned"]
pub struct Admitted<H: Borrow<CircuitBreaker> = CircuitBreaker> {
    breaker: H,
    /// `None` once an outcome was recorded, and if the breaker only observes and would have
    /// rejected the call.
    admission: Option<Admission>,
}

impl<H: Borrow<CircuitBreaker>> Admitted<H> {
    #[inline(always)]
    pub(super) fn new(breaker: H) -> Result<Admitted<H>, Rejection> {
        let admission = breaker.borrow().admit(|| None, &mut Now::unread())?;
        Ok(Admitted { breaker, admission })
    }

    /// Returns the guard of a call that was admitted already.
    #[cfg(feature = "profiles")]
    #[inline]
    pub(super) const fn going_on(breaker: H, admission: Admission) -> Admitted<H> {
        Admitted { breaker, admission: Some(admission) }
    }

    /// Returns the outcome of a result as this circuit counts it, for [`outcome`](Self::outcome) in
    /// layers of your own. As [`outcome_of`](super::outcome_of), except for the rejections that the
    /// breaker [counts](super::CircuitBreakerBuilder::count_rejections).
    pub fn outcome_of<T, E: CarriesRejection, C: Classify<T, E>>(
        &self,
        classifier: &C,
        result: Result<&T, &E>,
    ) -> Outcome {
        self.breaker.borrow().outcome_of(classifier, result)
    }

    /// Records a success.
    #[inline(always)]
    pub fn success(mut self) {
        if let Some(admission) = self.admission.take()
            && !self.breaker.borrow().count(&admission)
        {
            self.breaker.borrow().record_unkeyed(admission, Ended::SUCCESS);
        }
    }

    /// Records the outcome of the call.
    pub fn outcome(self, outcome: Outcome) {
        self.ended(outcome.into());
    }

    /// Records the outcome of the call, with its error.
    pub(super) fn ended(mut self, ended: Ended<'_>) {
        if let Some(admission) = self.admission.take() {
            self.breaker.borrow().record_unkeyed(admission, ended);
        }
    }
}

impl<H: Borrow<CircuitBreaker>> Drop for Admitted<H> {
    #[inline]
    fn drop(&mut self) {
        if let Some(admission) = self.admission.take() {
            self.breaker.borrow().record_unkeyed(admission, Outcome::Abandoned.into());
        }
    }
}

impl<H: Borrow<CircuitBreaker>> fmt::Debug for Admitted<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").finish_non_exhaustive()
    }
}
