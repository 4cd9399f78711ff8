//! Calls that go on after their result.
//!
//! The head of an HTTP response is a result, and most of the call is still to come. The permits of
//! the bulkhead and the admission of the circuit breaker are carried into the result; the code that
//! has the result ends the call.

use std::task::{Context, Poll};

use parking_lot::Mutex;

use crate::breaker::Admitted;
use crate::bulkhead::BulkheadPermit;
use crate::call::{Absent, Carry, Part, delegate_to_part};
use crate::clock::Now;
use crate::rejection::Rejection;

/// Decides whether a call goes on after its result.
pub trait CallLifetime<T> {
    /// Returns the place in `result` for the permits of the rest of the call. `None` if the call is
    /// over.
    fn carried<'r>(&self, result: &'r T) -> Option<&'r CarriedPermits>;
}

/// Every call is over with its result.
impl<T> CallLifetime<T> for Absent {
    #[inline]
    fn carried<'r>(&self, _: &'r T) -> Option<&'r CarriedPermits> {
        None
    }
}

/// The admission and the permits of a call that goes on after its result. Dropped, they count as
/// abandoned and go back.
#[derive(Debug, Default)]
pub struct CarriedPermits(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    // First, and so dropped first: it was admitted last.
    circuit: Option<Admitted>,
    permit: Option<BulkheadPermit>,
}

impl CarriedPermits {
    /// Returns the admission of the circuit, if the result counts as a success so far, and the
    /// permits of the bulkhead. `None` for a part that the stack does not have, or that has
    /// recorded the call already.
    #[must_use]
    pub fn into_parts(self) -> (Option<Admitted>, Option<BulkheadPermit>) {
        let Held { circuit, permit } = self.0.into_inner();
        (circuit, permit)
    }
}

/// An admission or a permit that is carried into a result.
pub trait Carried {
    /// Puts this into its place. Drops the former content outside of the lock.
    fn carry_in(self, carried: &CarriedPermits);
}

impl Carried for Admitted {
    fn carry_in(self, carried: &CarriedPermits) {
        let former = carried.0.lock().circuit.replace(self);
        drop(former);
    }
}

impl Carried for BulkheadPermit {
    fn carry_in(self, carried: &CarriedPermits) {
        let former = carried.0.lock().permit.replace(self);
        drop(former);
    }
}

/// A part that carries its permits into the result, if `L` finds a place there.
#[doc(hidden)]
#[derive(Debug, Clone)]
pub struct Carrying<P, L> {
    part: P,
    lifetime: L,
}

impl<P, L> Carrying<P, L> {
    pub(crate) const fn new(part: P, lifetime: L) -> Carrying<P, L> {
        Carrying { part, lifetime }
    }
}

impl<P, L, Req, T, E> Part<Req, T, E> for Carrying<P, L>
where
    P: Carry<Req, T, E, Carried: Carried>,
    L: CallLifetime<T>,
{
    type CallState = P::CallState;

    delegate_to_part!(self => Some(&self.part));

    /// Settles the part without the permits that are carried: each admission is settled once.
    #[inline]
    fn settle(&self, state: &mut Self::CallState, result: Result<&T, &E>, now: &mut Now) {
        // See docs/decisions/0021-a-calls-holdings-move-to-its-body.md.
        if let Ok(response) = result
            && let Some(place) = self.lifetime.carried(response)
            && let Some(held) = self.part.carry(state, response)
        {
            held.carry_in(place);
        }
        self.part.settle(state, result, now);
    }
}
