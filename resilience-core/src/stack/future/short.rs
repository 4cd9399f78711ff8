//! The way of most calls, from one end to the other: no part has anything to wait for, to refuse or to tell.
//!
//! It has no loop, and asks no part a question whose answer is larger than a bit: what can go otherwise is in
//! [`machine`](super::machine), which goes on from the stage at which this stops.

use std::pin::Pin;
use std::task::{Context, Poll};

use tower_service::Service;

use super::{Answer, HeldBy, Stage};
use crate::clock::Now;
use crate::error::CarriesRejection;
use crate::stack::gate::{Again, Gate, Next, Parts, TimeLimit};

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: Parts<Req, S::Response, S::Error>,
{
    /// The call begins, if somebody still waits for it.
    #[inline(always)]
    pub(super) fn begin(&mut self, now: &mut Now) -> bool {
        if let Some(due) = self.parts.parts().deadline.due(now) {
            self.deadline = due.or_current();
            if self.deadline.has_passed_at(now.tick()) {
                return false;
            }
        }
        self.stage = Stage::Entering;
        true
    }

    /// As far as it goes. What is left, and what went otherwise, is for [`go_on`](Self::go_on).
    #[inline(always)]
    pub(super) fn at_once(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Option<Poll<Answer<S, Req>>> {
        let _entered = self.enter_deadline();
        let parts = self.parts.parts();
        let request = self.request.as_ref()?;
        if !parts.bulkhead.pass(&mut self.permit, request, now) {
            return None;
        }
        parts.retry.start(&mut self.course, request, now);
        if !parts.rate_limit.pass(&mut self.token, request, now) {
            self.stage = Stage::Pacing;
            return None;
        }
        self.stage = Stage::Readying;
        if !parts.circuit_breaker.is_clear(&mut self.circuit, request, now) {
            return None;
        }
        let result = match self.service.poll_ready(cx) {
            Poll::Pending => {
                self.limit(now);
                return Some(Poll::Pending);
            }
            Poll::Ready(Err(error)) => self.not_ready(error, now),
            Poll::Ready(Ok(())) => {
                let circuit_breaker = &self.parts.parts().circuit_breaker;
                if !circuit_breaker.admit_at_once(&mut self.circuit, now) {
                    return None;
                }
                attempt.set(self.call());
                match self.poll_attempt(attempt, now, cx) {
                    Poll::Pending => return Some(Poll::Pending),
                    Poll::Ready(result) => result,
                }
            }
        };
        match self.ended(&result, now) {
            Next::Done => Some(Poll::Ready(self.end(result))),
            next => {
                self.follow(next, result, now);
                None
            }
        }
    }
}
