//! The bulkhead as a part of a stack, which keeps the handle.

use std::task::{Context, Poll, ready};

use super::Bulkhead;
use super::acquire::Wait;
use super::layer::{BulkheadLayer, Weigh};
use super::ledger::Charge;
use crate::clock::{self, Now};
use crate::rejection::Rejection;
use crate::select::Lend;
use crate::stack::Gate;

/// A wait, and then the permits of one call.
#[derive(Debug)]
pub struct BulkheadSeat<L> {
    lent: L,
    wait: Wait,
    charge: Option<Charge>,
}

impl<Req, T, E, Sel, W> Gate<Req, T, E> for BulkheadLayer<Sel, W>
where
    Sel: Lend<Req, Handle = Bulkhead>,
    W: Weigh<Req>,
{
    type Seat = BulkheadSeat<Sel::Lent>;

    #[inline]
    fn seat(&self, request: &Req, now: &mut Now) -> Self::Seat {
        let wait = Wait::new(self.weigher().weigh(request));
        BulkheadSeat { lent: self.selector().lend(request, now), wait, charge: None }
    }

    #[inline]
    fn poll(
        &self,
        seat: &mut Self::Seat,
        _: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        let bulkhead = self.selector().handle(&seat.lent);
        let charge = ready!(seat.wait.poll(bulkhead, cx, || Sel::owner(&seat.lent)));
        Poll::Ready(charge.map(|charge| seat.charge = Some(charge)))
    }

    #[inline]
    fn leave(&self, seat: &mut Self::Seat) {
        let bulkhead = self.selector().handle(&seat.lent);
        seat.wait.leave(bulkhead);
        if let Some(charge) = seat.charge.take() {
            bulkhead.turnstile().release(charge, clock::now);
        }
    }
}
