//! A call through all the parts.
//!
//! One state machine and not six: what is known to be in time, what is held and what it was sent for is
//! known in one place. A token, and the price of a retry, are spent when the service below takes the
//! request, and not before.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::gate::{Again, Gate, Next, Parts, TimeLimit};
use super::watch::Timer;
use crate::clock::{Now, later};
use crate::deadline::{Deadline, Entered};
use crate::error::CarriesRejection;
use crate::rejection::RejectionKind;
use crate::retry::scope::Numbered;
use crate::shutdown::ambient;

type Bulkhead<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::Bulkhead;
type Retry<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::Retry;
type RateLimit<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::RateLimit;
type Breaker<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::CircuitBreaker;

type Watch<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::Timer;

type Response<S, Req> = <S as Service<Req>>::Response;
type Error<S, Req> = <S as Service<Req>>::Error;
type Answer<S, Req> = Result<Response<S, Req>, Error<S, Req>>;
type Seat<G, S, Req> = <G as Gate<Req, Response<S, Req>, Error<S, Req>>>::Seat;
type Course<R, S, Req> = <R as Again<Req, Response<S, Req>, Error<S, Req>>>::Course;

/// New -> Entering -> (Pacing -> Readying -> Calling -> Waiting)* -> Pausing? -> Done
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Never polled: nothing is asked for, and no time counted.
    New,
    /// Not let in yet.
    Entering,
    /// An attempt, not due yet.
    Pacing,
    /// It is due; the service below is not ready yet.
    Readying,
    /// The service below has the request.
    Calling,
    /// Before another attempt.
    Waiting,
    /// There is no other, and the caller is kept for a moment.
    Pausing,
    /// Nothing is held.
    Done,
}

/// A call of a service `S` through the parts `P`.
pub type ResponseFuture<S, P, Req> =
    CallFuture<<S as Service<Req>>::Future, HeldBy<S, P, Req>, Watch<S, P, Req>>;

/// What such a call has. All types that are looked up by a bound on the error are here, and none in what
/// they are the parameters of: see `inherent.rs`.
type HeldBy<S, P, Req> = Held<
    S,
    P,
    Req,
    Seat<Bulkhead<S, P, Req>, S, Req>,
    Course<Retry<S, P, Req>, S, Req>,
    Seat<RateLimit<S, P, Req>, S, Req>,
    Seat<Breaker<S, P, Req>, S, Req>,
>;

pin_project! {
    /// A call of a [`StackService`](super::StackService). Dropping it cancels the attempt or the wait,
    /// leaves every queue, and gives back what was not used.
    pub struct CallFuture<F, H, W>
    where
        H: Leave,
    {
        #[pin]
        attempt: Option<F>,
        held: H,
        #[pin]
        watch: W,
    }

    impl<F, H, W> PinnedDrop for CallFuture<F, H, W>
    where
        H: Leave,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // First: what the parts admitted is over before it is given back.
            this.attempt.set(None);
            this.held.leave();
        }
    }
}

/// What a call holds, all but the attempt: its handle on the parts, what each of them has taken, and what
/// another attempt would send. Nothing is to be seen of it.
pub struct Held<S, P, Req, B, R, L, C> {
    parts: Arc<P>,
    stage: Stage,
    /// When the stage is over, if it is limited in time.
    due: Option<Instant>,
    deadline: Option<Deadline>,
    permit: B,
    course: R,
    token: L,
    circuit: C,
    /// The handle of the attempt under way. Replaced by a fresh one before each wait (R4).
    service: S,
    /// What the next attempt will send, if there may be one. In one place, since a request is large.
    request: Option<Req>,
}

/// Has something to give back when the call is over.
pub trait Leave {
    /// Gives back what is held, innermost first.
    fn leave(&mut self);
}

impl<S, P, Req> ResponseFuture<S, P, Req>
where
    S: Service<Req>,
    P: Parts<Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) fn new(service: S, parts: Arc<P>, request: Req) -> Self {
        let held = Held {
            parts,
            stage: Stage::New,
            due: None,
            deadline: None,
            permit: Default::default(),
            course: Default::default(),
            token: Default::default(),
            circuit: Default::default(),
            service,
            request: Some(request),
        };
        CallFuture { attempt: None, held, watch: Default::default() }
    }
}

impl<S, P, Req> Future for ResponseFuture<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: Parts<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let held = this.held;
        loop {
            let now = &mut Now::unread();
            if held.stage == Stage::New && held.begin(now) {
                return Poll::Ready(held.late());
            }
            // The answer first: at the deadline, one that is there counts.
            let entered = held.enter_deadline();
            if let Poll::Ready(answer) = held.go_on(this.attempt.as_mut(), now, cx) {
                return Poll::Ready(answer);
            }
            drop(entered);
            let Some(then) = held.expiry() else { return Poll::Pending };
            if let Some(answer) = held.interrupted(cx) {
                return Poll::Ready(answer);
            }
            ready!(this.watch.as_mut().poll(then, cx));
            this.attempt.set(None);
            if let Some(answer) = held.expired(then) {
                return Poll::Ready(answer);
            }
        }
    }
}

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: Parts<Req, S::Response, S::Error>,
{
    /// The call begins. Whether nobody waits for it any more.
    #[inline(always)]
    fn begin(&mut self, now: &mut Now) -> bool {
        self.stage = Stage::Entering;
        let Some(limit) = self.parts.parts().deadline.limit() else { return false };
        let deadline = Deadline::after(now.get(), limit).or_current();
        self.deadline = Some(deadline);
        deadline.has_passed(now.get())
    }

    /// What is inside goes by the call's deadline while this is kept.
    #[inline(always)]
    fn enter_deadline(&self) -> Option<Entered> {
        self.deadline.map(|deadline| deadline.or_current().entered())
    }

    /// As far as it goes.
    #[inline(always)]
    fn go_on(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<S, Req>> {
        if self.stage == Stage::Entering
            && let Err(refused) = ready!(self.enter(now, cx))
        {
            return Poll::Ready(self.end(Err(refused)));
        }
        loop {
            let result = ready!(self.attempt(attempt.as_mut(), now, cx));
            match self.ended(&result, now) {
                Next::Done => return Poll::Ready(self.end(result)),
                Next::Again(delay) => self.again(delay, result, now),
                Next::Pause(pause) => self.pause(pause, result, now),
            }
        }
    }

    /// One attempt, from where it stands: a stage that is over falls through to the next.
    #[inline(always)]
    fn attempt(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<S, Req>> {
        if self.stage == Stage::Pacing
            && let Err(refused) = ready!(self.pace(now, cx))
        {
            return Poll::Ready(Err(refused));
        }
        if self.stage == Stage::Readying {
            match ready!(self.send(now, cx)) {
                Ok(future) => attempt.set(Some(future)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        // Not under way: it waits, or was polled after it was ready, which a future's contract leaves
        // open and which is answered by silence.
        let Some(future) = attempt.as_mut().as_pin_mut() else { return Poll::Pending };
        let numbered = self.enter_attempt();
        let polled = future.poll(cx);
        drop(numbered);
        let Poll::Ready(result) = polled else {
            self.limit(now);
            return Poll::Pending;
        };
        // What it held is free when the answer is, not when this is dropped (T7).
        attempt.set(None);
        Poll::Ready(result)
    }

    /// Waits to be let in, and begins the first attempt.
    #[inline(always)]
    fn enter(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let parts = self.parts.parts();
        let Some(request) = &self.request else { return Poll::Pending };
        if let Err(refused) = ready!(parts.bulkhead.poll(&mut self.permit, request, now, cx)) {
            return Poll::Ready(Err(refused.into()));
        }
        parts.retry.start(&mut self.course, request, now);
        self.stage = Stage::Pacing;
        Poll::Ready(Ok(()))
    }

    /// Waits until the attempt is due.
    #[inline(always)]
    fn pace(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let parts = self.parts.parts();
        let Some(request) = &self.request else { return Poll::Pending };
        if let Err(refused) = ready!(parts.rate_limit.poll(&mut self.token, request, now, cx)) {
            return Poll::Ready(Err(refused.into()));
        }
        self.stage = Stage::Readying;
        Poll::Ready(Ok(()))
    }

    /// Waits until the service below is ready, and sends it the request if the circuit lets it.
    #[inline(always)]
    fn send(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<S::Future, S::Error>> {
        let parts = self.parts.parts();
        let Some(request) = &self.request else { return Poll::Pending };
        // An open circuit does not wait for a service that it will not call …
        if let Err(refused) = parts.circuit_breaker.check(&mut self.circuit, request, now) {
            return Poll::Ready(Err(refused.into()));
        }
        let readiness = ready!(self.service.poll_ready(cx));
        // … and what passes is decided last, when nothing stands between it and the wire.
        if let Err(refused) = parts.circuit_breaker.admit(&mut self.circuit, now) {
            return Poll::Ready(Err(refused.into()));
        }
        // A service that cannot become ready failed as one that answers so.
        readiness?;
        let Some(request) = self.request.take() else { return Poll::Pending };
        parts.rate_limit.sent(&mut self.token);
        self.request = parts.retry.sent(&mut self.course, &request);
        (self.stage, self.due) = (Stage::Calling, None);
        let _numbered = self.enter_attempt();
        Poll::Ready(Ok(self.service.call(request)))
    }

    /// On a retry, what is inside can read which it is while this is kept. Which it is is known once it is sent.
    #[inline(always)]
    fn enter_attempt(&self) -> Option<Numbered> {
        Numbered::on_retry(self.parts.parts().retry.previous(&self.course))
    }

    /// An attempt that is not ready at once may take so long.
    fn limit(&mut self, now: &mut Now) {
        if self.due.is_none() {
            let limit = self.parts.parts().attempt_timeout.limit();
            self.due = limit.map(|limit| later(now.get(), limit));
        }
    }

    /// The attempt ended so.
    #[inline(always)]
    fn ended(&mut self, result: &Answer<S, Req>, now: &mut Now) -> Next {
        let parts = self.parts.parts();
        parts.circuit_breaker.settle(&mut self.circuit, result.as_ref(), now);
        parts.circuit_breaker.leave(&mut self.circuit);
        parts.rate_limit.settle(&mut self.token, result.as_ref(), now);
        parts.rate_limit.leave(&mut self.token);
        parts.retry.ended(&mut self.course, result.as_ref(), self.request.as_ref(), now)
    }

    /// Another attempt, after so long.
    #[cold]
    fn again(&mut self, delay: Duration, result: Answer<S, Req>, now: &mut Now) {
        // It may hold something, and is kept only where it may be needed.
        if !delay.is_zero() && ambient::is_set() {
            self.parts.parts().retry.keep(&mut self.course, result);
        }
        // Before the wait: the old handle may hold a place in a queue below (T2).
        self.service = self.service.clone();
        self.stage = if delay.is_zero() { Stage::Pacing } else { Stage::Waiting };
        self.due = (!delay.is_zero()).then(|| later(now.get(), delay));
    }

    /// The answer, but not yet.
    #[cold]
    fn pause(&mut self, pause: Duration, answer: Answer<S, Req>, now: &mut Now) {
        self.parts.parts().retry.keep(&mut self.course, answer);
        (self.stage, self.due) = (Stage::Pausing, Some(later(now.get(), pause)));
    }

    /// The answer that there is, if it waits and must not wait any longer.
    #[inline]
    fn interrupted(&mut self, cx: &mut Context<'_>) -> Option<Answer<S, Req>> {
        let keeps = self.parts.parts().retry.keeps(&self.course);
        if keeps { self.stop_waiting(cx) } else { None }
    }

    #[cold]
    fn stop_waiting(&mut self, cx: &mut Context<'_>) -> Option<Answer<S, Req>> {
        let retry = &self.parts.parts().retry;
        if !retry.interrupted(&mut self.course, cx) {
            return None;
        }
        let answer = retry.kept(&mut self.course)?;
        Some(self.end(answer))
    }

    /// When something is over, if nothing else happens.
    fn expiry(&self) -> Option<Instant> {
        let deadline = self.deadline.map(Deadline::instant).filter(|_| self.stage != Stage::Done);
        match (self.due, deadline) {
            (Some(due), Some(deadline)) => Some(due.min(deadline)),
            (due, deadline) => due.or(deadline),
        }
    }

    /// It is. The attempt, if there was one, is gone.
    fn expired(&mut self, then: Instant) -> Option<Answer<S, Req>> {
        if self.deadline.is_some_and(|deadline| deadline.instant() <= then) {
            return Some(self.late());
        }
        self.due = None;
        match self.stage {
            Stage::Waiting => {
                self.stage = Stage::Pacing;
                drop(self.parts.parts().retry.kept(&mut self.course));
            }
            Stage::Pausing => {
                let answer = self.parts.parts().retry.kept(&mut self.course)?;
                return Some(self.end(answer));
            }
            _ => {
                let refusal = self.parts.parts().attempt_timeout.refuse(RejectionKind::TimedOut);
                let (now, result) = (&mut Now::unread(), Err(refusal.into()));
                let entered = self.enter_deadline();
                let next = self.ended(&result, now);
                drop(entered);
                match next {
                    Next::Done => return Some(self.end(result)),
                    Next::Again(delay) => self.again(delay, result, now),
                    Next::Pause(pause) => self.pause(pause, result, now),
                }
            }
        }
        None
    }

    #[cold]
    fn late(&mut self) -> Answer<S, Req> {
        self.leave();
        Err(self.parts.parts().deadline.refuse(RejectionKind::DeadlineExceeded).into())
    }

    #[inline(always)]
    fn end(&mut self, answer: Answer<S, Req>) -> Answer<S, Req> {
        let parts = self.parts.parts();
        parts.bulkhead.settle(&mut self.permit, answer.as_ref(), &mut Now::unread());
        self.leave();
        answer
    }
}

impl<S, P, Req> Leave for HeldBy<S, P, Req>
where
    S: Service<Req>,
    P: Parts<Req, S::Response, S::Error>,
{
    #[inline(always)]
    fn leave(&mut self) {
        if self.stage == Stage::Done {
            return;
        }
        let parts = self.parts.parts();
        parts.circuit_breaker.leave(&mut self.circuit);
        parts.rate_limit.leave(&mut self.token);
        parts.retry.leave(&mut self.course);
        parts.bulkhead.leave(&mut self.permit);
        self.request = None;
        (self.stage, self.due) = (Stage::Done, None);
    }
}

impl<S, P, Req, B, R, L, C> fmt::Debug for Held<S, P, Req, B, R, L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl<F, H: Leave + fmt::Debug, W> fmt::Debug for CallFuture<F, H, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("stack::ResponseFuture").field("held", &self.held).finish_non_exhaustive()
    }
}
