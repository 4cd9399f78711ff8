//! The circuit breaker as a part of a call.

use std::marker::PhantomData;

use super::circuit::Admission;
#[cfg(feature = "profiles")]
use super::guard::Admitted;
use super::guard::KeySource;
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
use crate::name::Name;
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

/// The key of the circuit, as the selector has it.
struct Of<'a, Sel: Select<Req>, Req>(&'a Sel::Selected, PhantomData<fn(&Req)>);

impl<Sel: Select<Req>, Req> KeySource for Of<'_, Sel, Req> {
    fn name(&self) -> Option<Name> {
        Sel::key(self.0)
    }
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
        breaker.check(&Of::<Sel, Req>(&state.selected, PhantomData), now)
    }

    #[inline(always)]
    fn admit(&self, state: &mut Self::CallState, now: &mut Now) -> Result<(), Rejection> {
        let Some(breaker) = self.selector.handle(&state.selected) else { return Ok(()) };
        state.admission = breaker.admit_fast(now);
        if state.admission.is_none() {
            let whose = Of::<Sel, Req>(&state.selected, PhantomData);
            state.admission = breaker.reject_or_admit(&whose, now)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn settle(&self, state: &mut Self::CallState, result: Result<&T, &E>, now: &mut Now) {
        if state.admission.is_some()
            && let Some(breaker) = self.selector.handle(&state.selected)
        {
            // Before the admission is taken: if the classifier panics, the drop of the call abandons it.
            let outcome = breaker.outcome_of(&self.classifier, result);
            let ended = match outcome {
                Outcome::Success => Ended::SUCCESS,
                _ => Ended::carrying(outcome, &self.classifier, result),
            };
            if let Some(admission) = state.admission.take() {
                let whose = Of::<Sel, Req>(&state.selected, PhantomData);
                breaker.record(admission, ended, &whose, now);
            }
        }
        state.selected = Sel::Selected::default();
    }

    #[inline(always)]
    fn leave(&self, state: &mut Self::CallState) {
        if let Some(admission) = state.admission.take()
            && let Some(breaker) = self.selector.handle(&state.selected)
        {
            let whose = Of::<Sel, Req>(&state.selected, PhantomData);
            breaker.record(admission, Outcome::Abandoned.into(), &whose, &mut Now::unread());
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
