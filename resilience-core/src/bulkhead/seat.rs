//! The bulkhead as a part of a stack, which keeps the handle.

use std::task::{Context, Poll, ready};

use super::Bulkhead;
#[cfg(feature = "profiles")]
use super::BulkheadPermit;
use super::acquire::Wait;
use super::layer::{BulkheadLayer, Weigh};
use super::ledger::Charge;
use crate::clock::{self, Now};
use crate::rejection::Rejection;
use crate::select::Select;
use crate::stack::Gate;
#[cfg(feature = "profiles")]
use crate::stack::Rest;

/// A wait, and then the permits of one call.
#[derive(Debug, Default)]
pub struct BulkheadSeat<L> {
    selected: L,
    /// Of those who do not get them at once.
    wait: Option<Wait>,
    charge: Option<Charge>,
}

impl<Req, T, E, Sel, W> Gate<Req, T, E> for BulkheadLayer<Sel, W>
where
    Sel: Select<Req, Handle = Bulkhead>,
    W: Weigh<Req>,
{
    type Seat = BulkheadSeat<Sel::Selected>;

    #[inline(always)]
    fn pass(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> bool {
        if seat.wait.is_some() {
            return false;
        }
        self.selector().select(&mut seat.selected, request, now);
        let Some(bulkhead) = self.selector().handle(&seat.selected) else { return false };
        let weight = self.weigher().weigh(request);
        seat.charge = bulkhead.turnstile().try_take(weight).ok();
        if seat.charge.is_none() {
            // A request is weighed once.
            seat.wait = Some(Wait::new(weight));
        }
        seat.charge.is_some()
    }

    fn poll(
        &self,
        seat: &mut Self::Seat,
        request: &Req,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        if Gate::<Req, T, E>::pass(self, seat, request, now) {
            return Poll::Ready(Ok(()));
        }
        let Some(bulkhead) = self.selector().handle(&seat.selected) else { return Poll::Pending };
        let Some(wait) = &mut seat.wait else { return Poll::Pending };
        let charge = ready!(wait.poll(bulkhead, cx, || self.selector().whose(&seat.selected)));
        Poll::Ready(charge.map(|charge| seat.charge = Some(charge)))
    }

    /// However it ended.
    #[inline(always)]
    fn settle(&self, seat: &mut Self::Seat, _: Result<&T, &E>, _: &mut Now) {
        Gate::<Req, T, E>::leave(self, seat);
    }

    #[cfg(feature = "profiles")]
    #[inline]
    fn hand_over(&self, seat: &mut Self::Seat, _: &T, rest: &Rest) {
        if let Some(charge) = seat.charge.take()
            && let Some(bulkhead) = self.selector().handle(&seat.selected)
        {
            rest.keep_permit(BulkheadPermit::new(bulkhead.clone(), charge));
        }
    }

    #[inline(always)]
    fn leave(&self, seat: &mut Self::Seat) {
        let Some(bulkhead) = self.selector().handle(&seat.selected) else { return };
        if let Some(wait) = &mut seat.wait {
            wait.leave(bulkhead);
            seat.wait = None;
        }
        if let Some(charge) = seat.charge.take() {
            bulkhead.turnstile().release(charge, clock::now);
        }
        seat.selected = Sel::Selected::default();
    }
}
