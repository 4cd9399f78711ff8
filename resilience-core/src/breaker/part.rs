//! The circuit breaker as a part of a call.

use super::circuit::Admission;
#[cfg(feature = "profiles")]
use super::guard::Admitted;
use super::handle::CircuitBreaker;
#[cfg(feature = "profiles")]
use super::handle::outcome_of;
use super::layer::CircuitBreakerLayer;
#[cfg(feature = "profiles")]
use crate::call::Carry;
use crate::call::Part;
use crate::clock::Now;
use crate::ended::Ended;
use crate::error::CarriesRejection;
use crate::outcome::{Classify, Outcome};
use crate::rejection::Rejection;
use crate::select::Select;

/// The admission of one attempt.
#[doc(hidden)]
#[derive(Debug, Default)]
pub struct BreakerCallState<L> {
    selected: L,
    admission: Option<Admission>,
}

impl<Req, T, E, C, Sel> Part<Req, T, E> for CircuitBreakerLayer<C, Sel>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    Sel: Select<Req, Handle = CircuitBreaker>,
{
    type CallState = BreakerCallState<Sel::Selected>;

    #[inline(always)]
    fn check(
        &self,
        state: &mut Self::CallState,
        request: &Req,
        now: &mut Now,
    ) -> Result<(), Rejection> {
        self.selector.select(&mut state.selected, request, now);
        let Some(breaker) = self.selector.handle(&state.selected) else { return Ok(()) };
        breaker.check(|| Sel::key(&state.selected), now)
    }

    #[inline(always)]
    fn admit(&self, state: &mut Self::CallState, now: &mut Now) -> Result<(), Rejection> {
        let Some(breaker) = self.selector.handle(&state.selected) else { return Ok(()) };
        state.admission = breaker.admit(|| Sel::key(&state.selected), now)?;
        Ok(())
    }

    #[inline(always)]
    fn settle(&self, state: &mut Self::CallState, result: Result<&T, &E>, now: &mut Now) {
        if state.admission.is_some()
            && let Some(breaker) = self.selector.handle(&state.selected)
        {
            // Before the admission is taken: if the classifier panics, the drop of the call
            // abandons it.
            let outcome = breaker.outcome_of(&self.classifier, result);
            let ended = match outcome {
                Outcome::Success => Ended::SUCCESS,
                _ => Ended::carrying(outcome, &self.classifier, result),
            };
            if let Some(admission) = state.admission.take() {
                breaker.record(admission, ended, || Sel::key(&state.selected), now);
            }
        }
        state.selected = Sel::Selected::default();
    }

    #[inline(always)]
    fn leave(&self, state: &mut Self::CallState) {
        if let Some(admission) = state.admission.take()
            && let Some(breaker) = self.selector.handle(&state.selected)
        {
            let key = || Sel::key(&state.selected);
            breaker.record(admission, Outcome::Abandoned.into(), key, &mut Now::unread());
        }
        state.selected = Sel::Selected::default();
    }
}

#[cfg(feature = "profiles")]
impl<Req, T, E, C, Sel> Carry<Req, T, E> for CircuitBreakerLayer<C, Sel>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    Sel: Select<Req, Handle = CircuitBreaker>,
{
    type Carried = Admitted;

    /// A failure counts at once, whatever is still to come of the call.
    fn carry(&self, state: &mut Self::CallState, result: &T) -> Option<Admitted> {
        if outcome_of(&self.classifier, Ok::<_, &E>(result)) != Outcome::Success {
            return None;
        }
        let breaker = self.selector.handle(&state.selected)?;
        let admission = state.admission.take()?;
        Some(Admitted::going_on(breaker.clone(), admission))
    }
}
