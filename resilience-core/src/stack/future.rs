//! A call through all the parts.
//!
//! One state machine and not six: what is known to be in time, what is held and what it was sent for is
//! known in one place. A token, and the price of a retry, are spent when the service below takes the
//! request, and not before.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use pin_project_lite::pin_project;
use tower_service::Service;

use super::gate::{Again, Gate, Next, Parts, TimeLimit};
use super::watch::Timer;
use crate::clock::Now;
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
    Answer<S, Req>,
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

/// What a call holds, all but the attempt: its handle on the parts, what each of them has taken, the request
/// and the copy of it. Nothing is to be seen of it.
pub struct Held<S, P, Req, B, R, L, C, T> {
    parts: Arc<P>,
    stage: Stage,
    /// When the stage is over, if ever.
    due: Deadline,
    /// When the call is.
    deadline: Deadline,
    permit: B,
    course: R,
    token: L,
    circuit: C,
    /// The handle of the attempt under way. Replaced by a fresh one before each wait (R4).
    service: S,
    /// What the next attempt will send, until it does.
    request: Option<Req>,
    copy: Option<Req>,
    /// What the call ends in if there is no other attempt, while it waits.
    answer: Option<T>,
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
    pub(super) fn new(service: S, parts: Arc<P>, request: Req) -> Self {
        let held = Held {
            parts,
            stage: Stage::New,
            due: Deadline::NEVER,
            deadline: Deadline::NEVER,
            permit: Default::default(),
            course: Default::default(),
            token: Default::default(),
            circuit: Default::default(),
            service,
            request: Some(request),
            copy: None,
            answer: None,
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
        let now = &mut Now::unread();
        if this.held.stage == Stage::New && this.held.begin(now) {
            match this.held.at_once(this.attempt.as_mut(), now, cx) {
                Some(Poll::Ready(answer)) => return Poll::Ready(answer),
                Some(Poll::Pending) => {
                    let answer = this.held.wait(this.attempt, this.watch, cx);
                    return answer.map_or(Poll::Pending, Poll::Ready);
                }
                None => {}
            }
        }
        this.held.go_on(this.attempt, this.watch, now, cx).map_or(Poll::Pending, Poll::Ready)
    }
}

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: Parts<Req, S::Response, S::Error>,
{
    /// The call begins, if somebody still waits for it.
    #[inline(always)]
    fn begin(&mut self, now: &mut Now) -> bool {
        if let Some(limit) = self.parts.parts().deadline.limit() {
            self.deadline = Deadline::after_tick(now.tick(), limit).or_current();
            if self.deadline.has_passed_at(now.tick()) {
                return false;
            }
        }
        self.stage = Stage::Entering;
        true
    }

    /// The way of most calls, from one end to the other: no part has anything to wait for, to refuse or to tell.
    /// As far as it goes; what is left of it, and what went otherwise, is for [`go_on`](Self::go_on).
    #[inline(always)]
    fn at_once(
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
        self.copy = parts.retry.start(&mut self.course, request, now);
        if !parts.rate_limit.pass(&mut self.token, request, now) {
            self.stage = Stage::Pacing;
            return None;
        }
        self.stage = Stage::Readying;
        if !parts.circuit_breaker.is_clear(&mut self.circuit, request, now) {
            return None;
        }
        let result = match self.service.poll_ready(cx) {
            Poll::Pending => return Some(Poll::Pending),
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

    /// What is inside goes by the call's deadline while this is kept.
    #[inline(always)]
    fn enter_deadline(&self) -> Entered {
        self.deadline.or_current().entered()
    }

    /// From where it stands to its end, or to where it has to wait.
    #[inline(never)]
    fn go_on(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        watch: Pin<&mut Watch<S, P, Req>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Option<Answer<S, Req>> {
        if self.stage == Stage::New {
            return Some(self.late());
        }
        // The answer first: at the deadline, one that is there counts.
        match self.work(attempt.as_mut(), now, cx) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => self.wait(attempt, watch, cx),
        }
    }

    /// As far as it goes.
    fn work(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<S, Req>> {
        let _entered = self.enter_deadline();
        if self.stage == Stage::Entering
            && let Err(refused) = ready!(self.enter(now, cx))
        {
            return Poll::Ready(self.end(Err(refused)));
        }
        loop {
            let result = ready!(self.attempt(attempt.as_mut(), now, cx));
            match self.ended(&result, now) {
                Next::Done => return Poll::Ready(self.end(result)),
                next => self.follow(next, result, now),
            }
        }
    }

    /// One attempt, from where it stands: a stage that is over falls through to the next.
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
            match ready!(self.admit(now, cx)) {
                Ok(()) => attempt.set(self.call()),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.poll_attempt(attempt, now, cx)
    }

    #[inline(always)]
    fn poll_attempt(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Answer<S, Req>> {
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
    fn enter(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let parts = self.parts.parts();
        let Some(request) = &self.request else { return Poll::Pending };
        ready!(parts.bulkhead.poll(&mut self.permit, request, now, cx))?;
        self.copy = parts.retry.start(&mut self.course, request, now);
        self.stage = Stage::Pacing;
        Poll::Ready(Ok(()))
    }

    /// Waits until the attempt is due.
    fn pace(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let Some(request) = &self.request else { return Poll::Pending };
        let rate_limit = &self.parts.parts().rate_limit;
        ready!(rate_limit.poll(&mut self.token, request, now, cx))?;
        self.stage = Stage::Readying;
        Poll::Ready(Ok(()))
    }

    /// Waits until the service below is ready, if the circuit lets it be called.
    fn admit(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let circuit_breaker = &self.parts.parts().circuit_breaker;
        let Some(request) = &self.request else { return Poll::Pending };
        // An open circuit does not wait for a service that it will not call …
        circuit_breaker.check(&mut self.circuit, request, now)?;
        if let Err(error) = ready!(self.service.poll_ready(cx)) {
            return Poll::Ready(self.not_ready(error, now).map(|_| ()));
        }
        // … and what passes is decided last, when nothing stands between it and the wire.
        Poll::Ready(Ok(self.parts.parts().circuit_breaker.admit(&mut self.circuit, now)?))
    }

    /// A service that cannot become ready failed as one that answers so.
    #[cold]
    fn not_ready(&mut self, error: S::Error, now: &mut Now) -> Answer<S, Req> {
        self.parts.parts().circuit_breaker.admit(&mut self.circuit, now)?;
        Err(error)
    }

    /// The service below takes the request.
    #[inline(always)]
    fn call(&mut self) -> Option<S::Future> {
        let request = self.request.take()?;
        let parts = self.parts.parts();
        parts.rate_limit.sent(&mut self.token);
        if let Some(copy) = parts.retry.sent(&mut self.course, &request) {
            self.copy = Some(copy);
        }
        (self.stage, self.due) = (Stage::Calling, Deadline::NEVER);
        let _numbered = self.enter_attempt();
        Some(self.service.call(request))
    }

    /// On a retry, what is inside can read which it is while this is kept. Which it is is known once it is sent.
    #[inline(always)]
    fn enter_attempt(&self) -> Option<Numbered> {
        Numbered::on_retry(self.parts.parts().retry.previous(&self.course))
    }

    /// An attempt that is not ready at once may take so long.
    fn limit(&mut self, now: &mut Now) {
        if self.due == Deadline::NEVER
            && let Some(limit) = self.parts.parts().attempt_timeout.limit()
        {
            self.due = Deadline::after_tick(now.tick(), limit);
        }
    }

    /// The attempt ended so.
    #[inline(always)]
    fn ended(&mut self, result: &Answer<S, Req>, now: &mut Now) -> Next {
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
        let copy = self.request.as_ref().or(self.copy.as_ref());
        parts.retry.ended(&mut self.course, result, copy, now)
    }

    /// There is more to come.
    #[cold]
    fn follow(&mut self, next: Next, result: Answer<S, Req>, now: &mut Now) {
        match next {
            Next::Again(delay) => self.again(delay, result, now),
            Next::Pause(pause) => self.pause(pause, result, now),
            Next::Done => {}
        }
    }

    /// Another attempt, after so long.
    fn again(&mut self, delay: Duration, result: Answer<S, Req>, now: &mut Now) {
        // It may hold something, and is kept only where it may be needed.
        self.answer = Some(result).filter(|_| !delay.is_zero() && ambient::is_set());
        // Before the wait: the old handle may hold a place in a queue below (T2).
        self.service = self.service.clone();
        // What was refused on the way was never sent, and needs no copy.
        self.request = self.request.take().or_else(|| self.copy.take());
        self.stage = if delay.is_zero() { Stage::Pacing } else { Stage::Waiting };
        self.due = match self.stage {
            Stage::Waiting => Deadline::after_tick(now.tick(), delay),
            _ => Deadline::NEVER,
        };
    }

    /// The answer, but not yet.
    fn pause(&mut self, pause: Duration, answer: Answer<S, Req>, now: &mut Now) {
        self.answer = Some(answer);
        (self.stage, self.due) = (Stage::Pausing, Deadline::after_tick(now.tick(), pause));
    }

    /// Until it may go on, or is over.
    #[inline(never)]
    fn wait(
        &mut self,
        mut attempt: Pin<&mut Option<S::Future>>,
        mut watch: Pin<&mut Watch<S, P, Req>>,
        cx: &mut Context<'_>,
    ) -> Option<Answer<S, Req>> {
        loop {
            let then = self.expiry()?;
            if let Some(answer) = self.interrupted(cx) {
                return Some(answer);
            }
            if watch.as_mut().poll(then, cx).is_pending() {
                return None;
            }
            attempt.set(None);
            if let Some(answer) = self.expired(then) {
                return Some(answer);
            }
            if let Poll::Ready(answer) = self.work(attempt.as_mut(), &mut Now::unread(), cx) {
                return Some(answer);
            }
        }
    }

    /// The answer that there is, if it waits and must not wait any longer.
    #[inline]
    fn interrupted(&mut self, cx: &mut Context<'_>) -> Option<Answer<S, Req>> {
        if self.answer.is_none() { None } else { self.stop_waiting(cx) }
    }

    #[cold]
    fn stop_waiting(&mut self, cx: &mut Context<'_>) -> Option<Answer<S, Req>> {
        if !self.parts.parts().retry.interrupted(&mut self.course, cx) {
            return None;
        }
        let answer = self.answer.take()?;
        Some(self.end(answer))
    }

    /// When something is over, if nothing else happens.
    fn expiry(&self) -> Option<Deadline> {
        if self.stage == Stage::Done { None } else { self.due.min(self.deadline).if_ever() }
    }

    /// It is. The attempt, if there was one, is gone.
    fn expired(&mut self, then: Deadline) -> Option<Answer<S, Req>> {
        if self.deadline <= then {
            return Some(self.late());
        }
        self.due = Deadline::NEVER;
        match self.stage {
            Stage::Waiting => (self.stage, self.answer) = (Stage::Pacing, None),
            Stage::Pausing => {
                let answer = self.answer.take()?;
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
                    next => self.follow(next, result, now),
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
        self.close();
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
        if self.stage != Stage::Done {
            self.give_up();
        }
    }
}

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req>,
    P: Parts<Req, S::Response, S::Error>,
{
    #[cold]
    fn give_up(&mut self) {
        let parts = self.parts.parts();
        parts.circuit_breaker.leave(&mut self.circuit);
        parts.rate_limit.leave(&mut self.token);
        parts.bulkhead.leave(&mut self.permit);
        self.close();
    }

    /// The call is over, and no gate holds anything of it.
    #[inline(always)]
    fn close(&mut self) {
        self.parts.parts().retry.leave(&mut self.course);
        if self.answer.is_some() {
            self.answer = None;
        }
        (self.request, self.copy) = (None, None);
        self.stage = Stage::Done;
    }
}

impl<S, P, Req, B, R, L, C, T> fmt::Debug for Held<S, P, Req, B, R, L, C, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl<F, H: Leave + fmt::Debug, W> fmt::Debug for CallFuture<F, H, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("stack::ResponseFuture").field("held", &self.held).finish_non_exhaustive()
    }
}
