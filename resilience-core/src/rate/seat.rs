//! The rate limit as a part of a stack, which keeps the handle.

use std::task::{Context, Poll, ready};

use super::acquire::TokenWait;
use super::bucket::ns_of_tick;
use super::gcra::Grant;
use super::layer::{Lesson, RateLimitLayer, lesson};
use super::limiter::RateLimiter;
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::outcome::Classify;
use crate::rejection::Rejection;
use crate::select::{Select, Weigh};
use crate::stack::Gate;

/// A wait, and then the tokens of one attempt.
#[derive(Debug, Default)]
pub struct RateSeat<L> {
    selected: L,
    /// Of those who do not get them at once.
    wait: Option<Box<TokenWait>>,
    grant: Option<Grant>,
    /// Whether the service below has the request.
    sent: bool,
}

impl<Req, T, E, C, Sel, W> Gate<Req, T, E> for RateLimitLayer<C, Sel, W>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    Sel: Select<Req, Handle = RateLimiter>,
    W: Weigh<Req>,
{
    type Seat = RateSeat<Sel::Selected>;

    #[inline(always)]
    fn pass(&self, seat: &mut Self::Seat, request: &Req, now: &mut Now) -> bool {
        if seat.wait.is_some() {
            return false;
        }
        self.select.select(&mut seat.selected, request, now);
        let Some(limiter) = self.select.handle(&seat.selected) else { return false };
        let cost = self.weigh.weigh(request);
        seat.grant = limiter.take_fast(ns_of_tick(now.tick()), cost);
        if seat.grant.is_none() {
            // A request is weighed once.
            seat.wait = Some(Box::new(TokenWait::new(cost)));
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
        let Some(limiter) = self.select.handle(&seat.selected) else { return Poll::Pending };
        let Some(wait) = &mut seat.wait else { return Poll::Pending };
        seat.grant = match ready!(wait.poll(limiter, now, cx)) {
            Ok(grant) => grant,
            Err(pending) => limiter.reject(pending, self.select.whose(&seat.selected))?,
        };
        Poll::Ready(Ok(()))
    }

    #[inline(always)]
    fn sent(&self, seat: &mut Self::Seat) {
        seat.sent = true;
    }

    #[inline(always)]
    fn settle(&self, seat: &mut Self::Seat, result: Result<&T, &E>, _: &mut Now) {
        if let Some(limiter) = self.select.handle(&seat.selected) {
            match lesson(&self.classifier, result) {
                // Given back by who leaves.
                Lesson::NeverMade => seat.sent = false,
                Lesson::Hint(hint) => limiter.follow_hint(hint, self.select.whose(&seat.selected)),
                Lesson::None => {}
            }
        }
        Gate::<Req, T, E>::leave(self, seat);
    }

    #[inline(always)]
    fn leave(&self, seat: &mut Self::Seat) {
        let Some(limiter) = self.select.handle(&seat.selected) else { return };
        if let Some(wait) = &mut seat.wait {
            wait.leave(limiter);
            seat.wait = None;
        }
        // Asked first: to read all of a grant that was just written in parts stalls. Taken before it goes
        // back, which wakes others: if that panics, the next look finds none.
        if !seat.sent
            && let Some(grant) = seat.grant.take()
        {
            limiter.refund(grant);
        }
        (seat.grant, seat.sent) = (None, false);
        seat.selected = Sel::Selected::default();
    }
}
