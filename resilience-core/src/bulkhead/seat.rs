//! The bulkhead as a part of a stack, which keeps the handle.

use std::task::{Context, Poll, ready};

use super::Bulkhead;
#[cfg(feature = "profiles")]
use super::BulkheadPermit;
use super::acquire::PermitWait;
use super::layer::BulkheadLayer;
use super::permits::PermitGrant;
use crate::clock::{self, Now};
use crate::rejection::Rejection;
use crate::select::{Select, Weigh};
use crate::stack::Gate;
#[cfg(feature = "profiles")]
use crate::stack::Rest;

/// A wait, and then the permits of one call.
#[derive(Debug, Default)]
pub struct BulkheadSeat<L> {
    selected: L,
    /// Of those who do not get them at once.
    wait: Option<PermitWait>,
    grant: Option<PermitGrant>,
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
        seat.grant = bulkhead.admission_queue().try_take(weight).ok();
        if seat.grant.is_none() {
            // A request is weighed once.
            seat.wait = Some(PermitWait::new(weight));
        }
        seat.grant.is_some()
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
        let grant = ready!(wait.poll(bulkhead, cx, || self.selector().whose(&seat.selected)));
        Poll::Ready(grant.map(|grant| seat.grant = Some(grant)))
    }

    /// However it ended.
    #[inline(always)]
    fn settle(&self, seat: &mut Self::Seat, _: Result<&T, &E>, _: &mut Now) {
        Gate::<Req, T, E>::leave(self, seat);
    }

    #[cfg(feature = "profiles")]
    #[inline]
    fn hand_over(&self, seat: &mut Self::Seat, _: &T, rest: &Rest) {
        if let Some(grant) = seat.grant.take()
            && let Some(bulkhead) = self.selector().handle(&seat.selected)
        {
            rest.keep_permit(BulkheadPermit::new(bulkhead.clone(), grant));
        }
    }

    #[inline(always)]
    fn leave(&self, seat: &mut Self::Seat) {
        let Some(bulkhead) = self.selector().handle(&seat.selected) else { return };
        if let Some(wait) = &mut seat.wait {
            wait.leave(bulkhead);
            seat.wait = None;
        }
        if let Some(grant) = seat.grant.take() {
            bulkhead.admission_queue().release(grant, clock::now);
        }
        seat.selected = Sel::Selected::default();
    }
}
