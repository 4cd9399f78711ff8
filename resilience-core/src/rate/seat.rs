//! The rate limit as a part of a stack, which keeps the handle.

use std::task::{Context, Poll, ready};

use super::acquire::Wait;
use super::layer::{Lesson, RateLimitLayer, Weigh, lesson};
use super::limiter::RateLimiter;
use super::meter::Grant;
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::Classify;
use crate::rejection::Rejection;
use crate::select::Lend;
use crate::stack::Gate;

/// A wait, and then the tokens of one attempt.
#[derive(Debug, Default)]
pub struct RateSeat<L> {
    lent: L,
    /// Of those who do not get them at once.
    wait: Option<Wait>,
    grant: Option<Grant>,
    /// Whether the service below has the request.
    sent: bool,
}

impl<Req, T, E, C, Sel, W> Gate<Req, T, E> for RateLimitLayer<C, Sel, W>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    Sel: Lend<Req, Handle = RateLimiter>,
    W: Weigh<Req>,
{
    type Seat = RateSeat<Sel::Lent>;

    #[inline(always)]
    fn poll(
        &self,
        seat: &mut Self::Seat,
        request: &Req,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        self.0.select.lend(&mut seat.lent, request, now);
        let Some(limiter) = self.0.select.handle(&seat.lent) else { return Poll::Pending };
        let wait = match &mut seat.wait {
            Some(wait) => wait,
            none => {
                let cost = self.0.weigh.weigh(request);
                seat.grant = limiter.glance(now.tick(), cost);
                if seat.grant.is_some() {
                    return Poll::Ready(Ok(()));
                }
                none.insert(Wait::new(cost))
            }
        };
        seat.grant = match ready!(wait.poll(limiter, now, cx)) {
            Ok(grant) => grant,
            Err(refused) => refused.told(Sel::owner(&seat.lent))?,
        };
        Poll::Ready(Ok(()))
    }

    #[inline(always)]
    fn sent(&self, seat: &mut Self::Seat) {
        seat.sent = true;
    }

    #[inline(always)]
    fn settle(&self, seat: &mut Self::Seat, result: Result<&T, &E>, _: &mut Now) {
        let Some(limiter) = self.0.select.handle(&seat.lent) else { return };
        match lesson(&self.0.classifier, result) {
            // Given back by who leaves.
            Lesson::NeverMade => seat.sent = false,
            Lesson::Hint(hint) => limiter.follow_hint(hint, Sel::owner(&seat.lent)),
            Lesson::None => {}
        }
    }

    #[inline(always)]
    fn leave(&self, seat: &mut Self::Seat) {
        let Some(limiter) = self.0.select.handle(&seat.lent) else { return };
        if let Some(wait) = &mut seat.wait {
            wait.leave(limiter);
            seat.wait = None;
        }
        if let Some(grant) = seat.grant
            && !seat.sent
        {
            limiter.refund(grant);
        }
        (seat.grant, seat.sent) = (None, false);
        seat.lent = Sel::Lent::default();
    }
}
