//! The order of one call.
//!
//! | stage | what runs | what the call may hold |
//! |---|---|---|
//! | New | [`due`](TimeLimit::due) of the deadline | nothing |
//! | Entering | [`enter`](Part::enter) of the bulkhead, then [`start`](RetryPart::start) of the retry | a place in the bulkhead's queue |
//! | Pacing | `enter` of the rate limit | the permits, a place in the limit's queue |
//! | Readying | [`check`](Part::check) of the breaker, `poll_ready` of the service, [`admit`](Part::admit) of the breaker | the permits, the tokens |
//! | Calling | [`sent`](RetryPart::sent) of the retry and the [rate limit](Part::sent), `call` and the polls of the future | the permits, the tokens, an admission of the circuit, a copy of the request |
//! | attempt over | [`settle`](Part::settle) of the breaker and the rate limit, [`ended`](RetryPart::ended) of the retry | the permits |
//! | Waiting | nothing; then Pacing | the permits, the price of the retry, the last result if the process may shut down |
//! | Pausing | nothing; then the call is over | the permits, the result |
//! | call over | `settle` of the bulkhead | nothing |
//!
//! - A rejection by the rate limit or the breaker is an attempt that is over: both parts are
//!   [left](Part::leave) instead of settled, and the retry decides. A rejection by the bulkhead
//!   ends the call.
//! - A timeout of the attempt drops the attempt, and is its result.
//! - The breaker checks before the service is polled for readiness: an open circuit does not wait
//!   for a service that it will not call. The breaker admits last, directly before the service gets
//!   the request.
//! - A service that fails to become ready was admitted: its error counts as the result of a call.
//! - The request is copied before the token and the price of a retry are spent: if that panics,
//!   both go back.
//! - Whenever the call is dropped, [`Leave`] leaves every part.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tower_service::Service;

use super::context::{self, CallContext};
use super::draining;
use super::future::{CallResult, CallTimer, HeldBy, Leave, Stage};
use super::part::{AfterAttempt, AttemptEnd, Part, RetryPart, TimeLimit};
use super::parts::PartSet;
use super::timer::Timer;
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::error::CarriesRejection;
use crate::rejection::{Rejection, RejectionKind};

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: PartSet<Req, S::Response, S::Error>,
{
    /// Sets the deadline. Returns `false` if it has passed.
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

    /// Advances the call until it waits or ends.
    #[inline]
    pub(super) fn advance(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<CallResult<S, Req>> {
        // See docs/decisions/0039-one-sequence-for-a-call.md.
        let _deadline = self.deadline.or_current().entered();
        loop {
            match ready!(self.attempt(attempt.as_mut(), now, cx)) {
                Ok(result) => match self.settle(&result, now) {
                    AfterAttempt::Done => return Poll::Ready(self.end(result)),
                    after => self.follow(after, result, now),
                },
                Err(rejection) => {
                    if let Some(result) = self.rejected(rejection, now) {
                        return Poll::Ready(result);
                    }
                }
            }
        }
    }

    /// Advances an attempt until it waits or ends, in a result or the rejection of a part. A stage
    /// that is over falls through to the next.
    #[inline(always)]
    fn attempt(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<CallResult<S, Req>, Rejection>> {
        let parts = self.parts.parts();
        if let Some(request) = &self.request {
            if matches!(self.stage, Stage::Entering) {
                ready!(parts.bulkhead.enter(&mut self.bulkhead, request, now, cx))?;
                parts.retry.start(&mut self.retry, request, now);
                self.stage = Stage::Pacing;
            }
            if matches!(self.stage, Stage::Pacing) {
                ready!(parts.rate_limit.enter(&mut self.rate_limit, request, now, cx))?;
                self.stage = Stage::Readying;
            }
            if matches!(self.stage, Stage::Readying) {
                parts.circuit_breaker.check(&mut self.circuit_breaker, request, now)?;
                let Poll::Ready(ready) = self.service.poll_ready(cx) else {
                    self.limit(now);
                    return Poll::Pending;
                };
                parts.circuit_breaker.admit(&mut self.circuit_breaker, now)?;
                if let Err(error) = ready {
                    return Poll::Ready(Ok(Err(error)));
                }
                attempt.set(self.call());
            }
        }
        // Without an attempt the call waits, or was polled after it was ready: it stays pending.
        let Some(future) = attempt.as_mut().as_pin_mut() else { return Poll::Pending };
        let context = self.enter_context();
        let polled = future.poll(cx);
        drop(context);
        let Poll::Ready(result) = polled else {
            self.limit(now);
            return Poll::Pending;
        };
        // The attempt is dropped with the result, not with the call.
        attempt.set(None);
        Poll::Ready(Ok(result))
    }

    /// Hands the request to the service below.
    #[inline(always)]
    fn call(&mut self) -> Option<S::Future> {
        let parts = self.parts.parts();
        let copy = parts.retry.sent(&mut self.retry, self.request.as_ref()?);
        parts.rate_limit.sent(&mut self.rate_limit);
        let request = std::mem::replace(&mut self.request, copy)?;
        self.stage = Stage::Calling;
        let _context = self.enter_context();
        Some(self.service.call(request))
    }

    /// Lets the attempt read its number and its limit while the result is kept.
    #[inline(always)]
    fn enter_context(&self) -> Option<context::Entered> {
        let parts = self.parts.parts();
        let limit = parts.attempt_timeout.limit_nanos();
        let previous = parts.retry.before(&self.retry).count;
        if limit.is_none() && previous == 0 {
            return None;
        }
        let mut context = CallContext::current();
        if let Some(nanos) = limit {
            context = context.with_limit(nanos, self.due);
        }
        if previous > 0 {
            context = context.with_previous(previous);
        }
        Some(context.entered())
    }

    /// Limits an attempt that was pending, for readiness or for the result: one limit covers both.
    fn limit(&mut self, now: &mut Now) {
        if self.due == Deadline::NEVER
            && let Some(due) = self.parts.parts().attempt_timeout.due(now)
        {
            self.due = due;
        }
    }

    /// Settles an attempt, and decides what follows.
    #[inline(always)]
    fn settle(&mut self, result: &CallResult<S, Req>, now: &mut Now) -> AfterAttempt {
        let parts = self.parts.parts();
        parts.circuit_breaker.settle(&mut self.circuit_breaker, result.as_ref(), now);
        parts.rate_limit.settle(&mut self.rate_limit, result.as_ref(), now);
        let end = match result {
            Err(error) if matches!(self.stage, Stage::Readying) => AttemptEnd::NotReady(error),
            _ => AttemptEnd::Returned(result.as_ref()),
        };
        parts.retry.ended(&mut self.retry, end, self.request.as_ref(), now)
    }

    /// Follows the rejection of a part. Returns the result of the call, if it is over.
    #[cold]
    fn rejected(&mut self, rejection: Rejection, now: &mut Now) -> Option<CallResult<S, Req>> {
        let parts = self.parts.parts();
        let ran = parts.retry.before(&self.retry).may_have_run;
        let rejection = if ran { rejection.with_may_have_run(true) } else { rejection };
        let mut after = AfterAttempt::Done;
        if !matches!(self.stage, Stage::Entering) {
            parts.circuit_breaker.leave(&mut self.circuit_breaker);
            parts.rate_limit.leave(&mut self.rate_limit);
            let end = AttemptEnd::Rejected(&rejection);
            after = parts.retry.ended(&mut self.retry, end, self.request.as_ref(), now);
        }
        let result = Err(rejection.into());
        if matches!(after, AfterAttempt::Done) {
            return Some(self.end(result));
        }
        self.follow(after, result, now);
        None
    }

    /// Prepares what follows an attempt that was not the end of the call.
    #[cold]
    fn follow(&mut self, after: AfterAttempt, result: CallResult<S, Req>, now: &mut Now) {
        let (stage, wait, keep) = match after {
            AfterAttempt::Again(Duration::ZERO) => (Stage::Pacing, None, false),
            // The result may hold a resource, and is kept only where it may be returned.
            AfterAttempt::Again(wait) => (Stage::Waiting, Some(wait), draining::can_drain()),
            AfterAttempt::Pause(wait) => (Stage::Pausing, Some(wait), true),
            AfterAttempt::Done => return,
        };
        let kept = self.parts.parts().retry.kept(&mut self.retry);
        if keep && let Some(kept) = kept {
            kept.put(result);
        }
        if !matches!(stage, Stage::Pausing) {
            // Before the wait: the old handle may hold a place in a queue below.
            self.service = self.service.clone();
        }
        self.stage = stage;
        self.due = wait.map_or(Deadline::NEVER, |wait| Deadline(now.tick().after(wait)));
    }

    /// Waits for the timer, and goes on after it.
    #[inline(never)]
    pub(super) fn wait(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        mut timer: Pin<&mut CallTimer<S, P, Req>>,
        cx: &mut Context<'_>,
    ) -> Poll<CallResult<S, Req>> {
        loop {
            let due = self.due.min(self.deadline);
            if matches!(self.stage, Stage::Done) || due == Deadline::NEVER {
                return Poll::Pending;
            }
            if let Some(result) = self.cut_short(cx) {
                return Poll::Ready(self.end(result));
            }
            ready!(timer.as_mut().poll(due, cx));
            attempt.set(None);
            if self.deadline <= due {
                return Poll::Ready(self.too_late());
            }
            if let Some(result) = self.stage_over() {
                return Poll::Ready(self.end(result));
            }
            if let Poll::Ready(result) = self.advance(attempt.as_mut(), &mut Now::unread(), cx) {
                return Poll::Ready(result);
            }
        }
    }

    /// Returns the result that is kept, if the process shuts down.
    fn cut_short(&mut self, cx: &mut Context<'_>) -> Option<CallResult<S, Req>> {
        let retry = &self.parts.parts().retry;
        if !retry.kept(&mut self.retry)?.is_cut_short(cx) {
            return None;
        }
        retry.cut_short(&mut self.retry);
        retry.kept(&mut self.retry)?.take()
    }

    /// Goes on after the end of the stage. Returns the result of the call, if that is its end.
    fn stage_over(&mut self) -> Option<CallResult<S, Req>> {
        self.due = Deadline::NEVER;
        let parts = self.parts.parts();
        match self.stage {
            Stage::Waiting => {
                self.stage = Stage::Pacing;
                drop(parts.retry.kept(&mut self.retry)?.take());
                None
            }
            Stage::Pausing => parts.retry.kept(&mut self.retry)?.take(),
            _ => {
                let rejection =
                    parts.attempt_timeout.reject(RejectionKind::TimedOut, self.may_have_run());
                let now = &mut Now::unread();
                let result = Err(rejection.into());
                let deadline = self.deadline.or_current().entered();
                let after = self.settle(&result, now);
                drop(deadline);
                if matches!(after, AfterAttempt::Done) {
                    return Some(result);
                }
                self.follow(after, result, now);
                None
            }
        }
    }

    /// Ends the call at its deadline.
    #[cold]
    pub(super) fn too_late(&mut self) -> CallResult<S, Req> {
        let ran = self.may_have_run();
        self.leave();
        Err(self.parts.parts().deadline.reject(RejectionKind::DeadlineExceeded, ran).into())
    }

    /// Returns `true` if an attempt of this call may have had an effect.
    fn may_have_run(&self) -> bool {
        matches!(self.stage, Stage::Calling)
            || self.parts.parts().retry.before(&self.retry).may_have_run
    }

    #[inline(always)]
    fn end(&mut self, result: CallResult<S, Req>) -> CallResult<S, Req> {
        let parts = self.parts.parts();
        let result = match result {
            // An earlier attempt may have run, even if the last one did not.
            Err(error) if parts.retry.before(&self.retry).may_have_run => {
                Err(error.with_may_have_run())
            }
            result => result,
        };
        parts.bulkhead.settle(&mut self.bulkhead, result.as_ref(), &mut Now::unread());
        self.retry = Default::default();
        self.request = None;
        self.stage = Stage::Done;
        result
    }
}
