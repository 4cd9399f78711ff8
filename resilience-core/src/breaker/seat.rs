//! The circuit breaker as a part of a stack, which keeps the handle.

use std::marker::PhantomData;

use super::circuit::Admission;
#[cfg(feature = "profiles")]
use super::guard::Admitted;
use super::guard::KeySource;
use super::handle::CircuitBreaker;
#[cfg(feature = "profiles")]
use super::handle::outcome_of;
use super::layer::CircuitBreakerLayer;
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::name::Name;
use crate::outcome::{Classify, Ended, Outcome};
use crate::rejection::Rejection;
use crate::select::Select;
use crate::stack::Gate;
#[cfg(feature = "profiles")]
use crate::stack::Rest;

/// What one attempt holds of a circuit.
#[derive(Debug, Default)]
pub struct CircuitSeat<L> {
    selected: L,
    admission: Option<Admission>,
}

/// The selector says whose circuit it is.
struct Of<'a, Sel: Select<Req>, Req>(&'a Sel::Selected, PhantomData<fn(&Req)>);

impl<Sel: Select<Req>, Req> KeySource for Of<'_, Sel, Req> {
    fn name(&self) -> Option<Name> {
        Sel::key(self.0)
    }
}

impl<Req, T, E, C, Sel> Gate<Req, T, E> for CircuitBreakerLayer<C, Sel>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    Sel: Select<Req, Handle = CircuitBreaker>,
{
    type Seat = CircuitSeat<Sel::Selected>;

    #[inline(always)]
    fn is_clear(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> bool {
        self.selector().select(&mut seat.selected, request, now);
        self.selector().handle(&seat.selected).is_some_and(CircuitBreaker::passes_all)
    }

    fn check(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> Result<(), Rejection> {
        self.selector().select(&mut seat.selected, request, now);
        let whose = Of::<Sel, Req>(&seat.selected, PhantomData);
        let breaker = self.selector().handle(&seat.selected);
        breaker.map_or(Ok(()), |breaker| breaker.check(&whose, now))
    }

    #[inline(always)]
    fn admit_at_once(&self, seat: &mut Self::Seat, now: &mut Now) -> bool {
        let Some(breaker) = self.selector().handle(&seat.selected) else { return false };
        seat.admission = breaker.admit_fast(now);
        seat.admission.is_some()
    }

    fn admit(&self, seat: &mut Self::Seat, now: &mut Now) -> Result<(), Rejection> {
        let Some(breaker) = self.selector().handle(&seat.selected) else { return Ok(()) };
        seat.admission = breaker.admit_fast(now);
        if seat.admission.is_none() {
            let whose = Of::<Sel, Req>(&seat.selected, PhantomData);
            if let Some(rejection) = breaker.reject_fast(&whose, now) {
                return Err(rejection);
            }
            seat.admission = breaker.admit_slow(&whose, now)?;
        }
        Ok(())
    }

    #[inline(always)]
    fn settle(&self, seat: &mut Self::Seat, result: Result<&T, &E>, now: &mut Now) {
        if seat.admission.is_some()
            && let Some(breaker) = self.selector().handle(&seat.selected)
        {
            // Before the admission is taken: if this panics, the call's drop abandons it.
            let outcome = breaker.outcome_of(self.reader(), result);
            let whose = Of::<Sel, Req>(&seat.selected, PhantomData);
            if outcome == Outcome::Success {
                if let Some(admission) = seat.admission.take() {
                    breaker.record(admission, Outcome::Success.into(), &whose, now);
                }
            } else {
                let ended = Ended::carrying(outcome, self.reader(), result);
                breaker.record_failed(&mut seat.admission, ended, &whose, now);
            }
        }
        seat.selected = Sel::Selected::default();
    }

    /// A failure is one, whatever is still to come of it.
    #[cfg(feature = "profiles")]
    #[inline]
    fn hand_over(&self, seat: &mut Self::Seat, result: &T, rest: &Rest) {
        if outcome_of(self.reader(), Ok::<_, &E>(result)) == Outcome::Success
            && let Some(breaker) = self.selector().handle(&seat.selected)
            && let Some(admission) = seat.admission.take()
        {
            rest.keep_circuit(Admitted::going_on(breaker.clone(), admission));
        }
    }

    #[inline(always)]
    fn leave(&self, seat: &mut Self::Seat) {
        if let Some(admission) = seat.admission.take()
            && let Some(breaker) = self.selector().handle(&seat.selected)
        {
            let whose = Of::<Sel, Req>(&seat.selected, PhantomData);
            breaker.record(admission, Outcome::Abandoned.into(), &whose, &mut Now::unread());
        }
        seat.selected = Sel::Selected::default();
    }
}
