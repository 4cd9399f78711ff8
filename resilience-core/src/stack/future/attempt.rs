//! One attempt, and what comes of it: the same on either way.

use std::pin::Pin;
use std::task::{Context, Poll};

use tower_service::Service;

use super::{Answer, HeldBy, Stage};
use crate::clock::Now;
use crate::deadline::{Deadline, Entered};
use crate::error::CarriesRejection;
use crate::rejection::Rejection;
use crate::retry::scope::Numbered;
use crate::stack::gate::{Again, Gate, Next, Parts, Reached, TimeLimit};
use crate::timeout::{AttemptLimit, EnteredLimit};

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: Parts<Req, S::Response, S::Error>,
{
    /// What is inside goes by the call's deadline while this is kept.
    #[inline(always)]
    pub(super) fn enter_deadline(&self) -> Entered {
        self.deadline.or_current().entered()
    }

    /// A service that cannot become ready failed as one that answers so.
    #[cold]
    pub(super) fn not_ready(&mut self, error: S::Error, now: &mut Now) -> Answer<S, Req> {
        match self.parts.parts().circuit_breaker.admit(&mut self.circuit, now) {
            Ok(()) => Err(error),
            Err(rejection) => Err(self.refused(rejection)),
        }
    }

    /// The service below takes the request.
    #[inline(always)]
    pub(super) fn call(&mut self) -> Option<S::Future> {
        let parts = self.parts.parts();
        // The copy first: if that panics, the request was never sent, and the token goes back.
        let copy = parts.retry.sent(&mut self.course, self.request.as_ref()?);
        parts.rate_limit.sent(&mut self.token);
        let request = std::mem::replace(&mut self.request, copy)?;
        // The limit on the attempt covers the wait for readiness: `due` stays what it is.
        self.stage = Stage::Calling;
        let (_numbered, _limited) = (self.enter_attempt(), self.enter_limit());
        Some(self.service.call(request))
    }

    #[inline(always)]
    pub(super) fn poll_attempt(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<S, Req>> {
        // Not under way: it waits, or was polled after it was ready, which a future's contract leaves
        // open and which is answered by silence.
        let Some(future) = attempt.as_mut().as_pin_mut() else { return Poll::Pending };
        let entered = (self.enter_attempt(), self.enter_limit());
        let polled = future.poll(cx);
        drop(entered);
        let Poll::Ready(result) = polled else {
            self.limit(now);
            return Poll::Pending;
        };
        // What it held is free when the answer is, not when this is dropped (T7).
        attempt.set(None);
        Poll::Ready(result)
    }

    /// On a retry, what is inside can read which it is while this is kept. Which it is is known once it is sent.
    #[inline(always)]
    fn enter_attempt(&self) -> Option<Numbered> {
        Numbered::on_retry(self.parts.parts().retry.previous(&self.course))
    }

    /// Lets what is inside read the time that the attempt has left, while the result is kept.
    #[inline(always)]
    fn enter_limit(&self) -> Option<EnteredLimit> {
        let nanos = self.parts.parts().attempt_timeout.limit_nanos()?;
        Some(AttemptLimit::new(nanos, self.due).entered())
    }

    /// Limits an attempt that has to wait, for the service to be ready or for its result.
    pub(super) fn limit(&mut self, now: &mut Now) {
        if self.due == Deadline::NEVER
            && let Some(due) = self.parts.parts().attempt_timeout.due(now)
        {
            self.due = due;
        }
    }

    /// The attempt ended so.
    #[inline(always)]
    pub(super) fn ended(&mut self, result: &Answer<S, Req>, now: &mut Now) -> Next {
        match result {
            Ok(answer) => self.settle(Ok(answer), now),
            Err(error) => self.failed(error, now),
        }
    }

    #[cold]
    fn failed(&mut self, error: &S::Error, now: &mut Now) -> Next {
        self.settle(Err(error), now)
    }

    #[inline(always)]
    fn settle(&mut self, result: Result<&S::Response, &S::Error>, now: &mut Now) -> Next {
        let parts = self.parts.parts();
        parts.circuit_breaker.settle(&mut self.circuit, result, now);
        parts.rate_limit.settle(&mut self.token, result, now);
        let reached = match self.stage {
            Stage::Calling => Reached::Service,
            _ if std::mem::take(&mut self.rejected) => Reached::Nothing,
            _ => Reached::Readiness,
        };
        parts.retry.ended(&mut self.course, result, self.request.as_ref(), reached, now)
    }

    /// Returns `true` if an attempt of this call may have had an effect.
    #[cold]
    pub(super) fn may_have_run(&self) -> bool {
        self.stage == Stage::Calling || self.parts.parts().retry.ran_before(&self.course)
    }

    /// Puts a rejection by one of the parts into the service's error type.
    #[cold]
    pub(super) fn refused(&mut self, rejection: Rejection) -> S::Error {
        self.rejected = true;
        if self.may_have_run() {
            rejection.with_may_have_run(true).into()
        } else {
            rejection.into()
        }
    }

    /// Returns the error of the call, which has an earlier attempt behind it if there was one.
    #[cold]
    fn after_others(&self, error: S::Error) -> S::Error {
        let ran = self.parts.parts().retry.ran_before(&self.course);
        if ran { error.with_may_have_run() } else { error }
    }

    #[inline(always)]
    pub(super) fn end(&mut self, answer: Answer<S, Req>) -> Answer<S, Req> {
        let answer = answer.map_err(|error| self.after_others(error));
        let parts = self.parts.parts();
        parts.bulkhead.settle(&mut self.permit, answer.as_ref(), &mut Now::unread());
        self.close();
        answer
    }
}
