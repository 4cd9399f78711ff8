//! The circuit breaker as a part of a stack, which keeps the handle.

use std::marker::PhantomData;

use super::circuit::Admission;
use super::guard::Whose;
use super::handle::{CircuitBreaker, outcome};
use super::layer::CircuitBreakerLayer;
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::name::Name;
use crate::outcome::{Classify, Outcome};
use crate::rejection::Rejection;
use crate::select::Lend;
use crate::stack::Gate;

/// What one attempt holds of a circuit.
#[derive(Debug)]
pub struct CircuitSeat<L> {
    lent: L,
    admission: Option<Admission>,
}

/// The selector says whose circuit it lent.
struct Of<'a, Sel: Lend<Req>, Req>(&'a Sel::Lent, PhantomData<fn(&Req)>);

impl<Sel: Lend<Req>, Req> Whose for Of<'_, Sel, Req> {
    fn name(&self) -> Option<Name> {
        Sel::owner(self.0)
    }
}

impl<Req, T, E, C, Sel> Gate<Req, T, E> for CircuitBreakerLayer<C, Sel>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    Sel: Lend<Req, Handle = CircuitBreaker>,
{
    type Seat = CircuitSeat<Sel::Lent>;

    #[inline]
    fn seat(&self, request: &Req, now: &mut Now) -> Self::Seat {
        CircuitSeat { lent: self.selector().lend(request, now), admission: None }
    }

    #[inline]
    fn check(&self, seat: &Self::Seat, now: &mut Now) -> Result<(), Rejection> {
        let whose = Of::<Sel, Req>(&seat.lent, PhantomData);
        self.selector().handle(&seat.lent).check(&whose, now)
    }

    #[inline]
    fn admit(&self, seat: &mut Self::Seat, now: &mut Now) -> Result<(), Rejection> {
        seat.admission = self.selector().handle(&seat.lent).glance(now);
        if seat.admission.is_some() {
            return Ok(());
        }
        let whose = Of::<Sel, Req>(&seat.lent, PhantomData);
        seat.admission = self.selector().handle(&seat.lent).admit(&whose, now)?;
        Ok(())
    }

    #[inline]
    fn settle(&self, seat: &mut Self::Seat, result: Result<&T, &E>, now: &mut Now) {
        if let Some(admission) = seat.admission.take() {
            let whose = Of::<Sel, Req>(&seat.lent, PhantomData);
            let outcome = outcome(self.reader(), result);
            self.selector().handle(&seat.lent).record(admission, outcome, &whose, now);
        }
    }

    #[inline]
    fn leave(&self, seat: &mut Self::Seat) {
        if let Some(admission) = seat.admission.take() {
            let whose = Of::<Sel, Req>(&seat.lent, PhantomData);
            let breaker = self.selector().handle(&seat.lent);
            breaker.record(admission, Outcome::Abandoned, &whose, &mut Now::unread());
        }
    }
}
