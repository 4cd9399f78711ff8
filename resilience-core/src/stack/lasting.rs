//! Calls that are not over with their result.
//!
//! The head of an HTTP answer is a result, and most of the call is still to come. What a bulkhead and a
//! circuit breaker gave such a call goes on with it: it is handed over to the result, and whoever has that
//! says when the call is over, and how.

use std::task::{Context, Poll};

use parking_lot::Mutex;

use super::absent::Absent;
use super::gate::Gate;
use crate::breaker::Admitted;
use crate::bulkhead::BulkheadPermit;
use crate::clock::Now;
use crate::rejection::Rejection;

/// Where a result has the rest of its call, if there is one.
pub trait Lasts<T> {
    /// Where what the call holds is handed over to; `None` if it is over.
    fn rest<'r>(&self, result: &'r T) -> Option<&'r Rest>;
}

/// Every call is over with its result.
impl<T> Lasts<T> for Absent {
    #[inline]
    fn rest<'r>(&self, _: &'r T) -> Option<&'r Rest> {
        None
    }
}

/// What a call still holds when its result is there. Dropped, it was abandoned, and its permits go back.
#[derive(Debug, Default)]
pub struct Rest(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    // First, and so dropped first: it was admitted last.
    circuit: Option<Admitted>,
    permit: Option<BulkheadPermit>,
}

impl Rest {
    /// The admission of the circuit, if the result is one that counts as a success so far, and the permits of
    /// the bulkhead. `None` of what the call has not passed, or what has judged it already.
    #[must_use]
    pub fn into_parts(self) -> (Option<Admitted>, Option<BulkheadPermit>) {
        let Kept { circuit, permit } = self.0.into_inner();
        (circuit, permit)
    }

    pub(crate) fn keep_circuit(&self, admitted: Admitted) {
        let former = self.0.lock().circuit.replace(admitted);
        drop(former);
    }

    pub(crate) fn keep_permit(&self, permit: BulkheadPermit) {
        let former = self.0.lock().permit.replace(permit);
        drop(former);
    }
}

/// A part whose seat goes on with the rest of the call, if `L` says that there is one.
#[derive(Debug, Clone)]
pub struct Lasting<P, L> {
    part: P,
    until: L,
}

impl<P, L> Lasting<P, L> {
    /// This part, until `until` says that the call is over.
    pub const fn new(part: P, until: L) -> Lasting<P, L> {
        Lasting { part, until }
    }
}

impl<P: Gate<Req, T, E>, L: Lasts<T>, Req, T, E> Gate<Req, T, E> for Lasting<P, L> {
    type Seat = P::Seat;

    #[inline]
    fn pass(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> bool {
        self.part.pass(seat, request, now)
    }

    #[inline]
    fn poll(
        &self,
        seat: &mut Self::Seat,
        request: &Req,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        self.part.poll(seat, request, now, cx)
    }

    #[inline]
    fn is_clear(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> bool {
        self.part.is_clear(seat, request, now)
    }

    #[inline]
    fn check(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> Result<(), Rejection> {
        self.part.check(seat, request, now)
    }

    #[inline]
    fn admit_at_once(&self, seat: &mut Self::Seat, now: &mut Now) -> bool {
        self.part.admit_at_once(seat, now)
    }

    #[inline]
    fn admit(&self, seat: &mut Self::Seat, now: &mut Now) -> Result<(), Rejection> {
        self.part.admit(seat, now)
    }

    #[inline]
    fn sent(&self, seat: &mut Self::Seat) {
        self.part.sent(seat);
    }

    /// What is handed over is not there to be settled any more.
    #[inline]
    fn settle(&self, seat: &mut Self::Seat, result: Result<&T, &E>, now: &mut Now) {
        if let Ok(answer) = result
            && let Some(rest) = self.until.rest(answer)
        {
            self.part.hand_over(seat, answer, rest);
        }
        self.part.settle(seat, result, now);
    }

    #[inline]
    fn leave(&self, seat: &mut Self::Seat) {
        self.part.leave(seat);
    }
}
