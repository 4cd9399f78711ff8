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
#[derive(Debug)]
pub struct RateSeat<L> {
    lent: L,
    wait: Wait,
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

    #[inline]
    fn seat(&self, request: &Req, now: &mut Now) -> Self::Seat {
        let wait = Wait::new(self.0.weigh.weigh(request));
        RateSeat { lent: self.0.select.lend(request, now), wait, grant: None, sent: false }
    }

    #[inline]
    fn poll(
        &self,
        seat: &mut Self::Seat,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Rejection>> {
        let limiter = self.0.select.handle(&seat.lent);
        seat.grant = seat.wait.glance(limiter, now);
        if seat.grant.is_some() {
            return Poll::Ready(Ok(()));
        }
        seat.grant = match ready!(seat.wait.poll(limiter, now, cx)) {
            Ok(grant) => grant,
            Err(refused) => refused.told(Sel::owner(&seat.lent))?,
        };
        Poll::Ready(Ok(()))
    }

    #[inline]
    fn sent(&self, seat: &mut Self::Seat) {
        seat.sent = true;
    }

    #[inline]
    fn settle(&self, seat: &mut Self::Seat, result: Result<&T, &E>, _: &mut Now) {
        let limiter = self.0.select.handle(&seat.lent);
        match lesson(&self.0.classifier, result) {
            // Given back by who leaves.
            Lesson::NeverMade => seat.sent = false,
            Lesson::Hint(hint) => limiter.follow_hint(hint, Sel::owner(&seat.lent)),
            Lesson::None => {}
        }
    }

    #[inline]
    fn leave(&self, seat: &mut Self::Seat) {
        let limiter = self.0.select.handle(&seat.lent);
        seat.wait.leave(limiter);
        if let Some(grant) = seat.grant.take()
            && !seat.sent
        {
            limiter.refund(grant);
        }
    }
}
