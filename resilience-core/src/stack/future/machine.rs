//! All that can become of a call, stage by stage.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tower_service::Service;

use super::{Answer, HeldBy, Leave, Stage, Watch};
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::error::CarriesRejection;
use crate::rejection::RejectionKind;
use crate::shutdown::ambient;
use crate::stack::gate::{Again, Gate, Next, Parts, TimeLimit};
use crate::stack::watch::Timer;

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: Parts<Req, S::Response, S::Error>,
{
    /// From where it stands to its end, or to where it has to wait.
    #[inline(never)]
    pub(super) fn go_on(
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

    /// Waits to be let in, and begins the first attempt.
    fn enter(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let parts = self.parts.parts();
        let Some(request) = &self.request else { return Poll::Pending };
        ready!(parts.bulkhead.poll(&mut self.permit, request, now, cx))?;
        parts.retry.start(&mut self.course, request, now);
        self.stage = Stage::Pacing;
        Poll::Ready(Ok(()))
    }

    /// Waits until the attempt is due.
    fn pace(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let Some(request) = &self.request else { return Poll::Pending };
        let rate_limit = &self.parts.parts().rate_limit;
        if let Err(rejection) = ready!(rate_limit.poll(&mut self.token, request, now, cx)) {
            return Poll::Ready(Err(self.refused(rejection)));
        }
        self.stage = Stage::Readying;
        Poll::Ready(Ok(()))
    }

    /// Waits until the service below is ready, if the circuit lets it be called.
    fn admit(&mut self, now: &mut Now, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        let circuit_breaker = &self.parts.parts().circuit_breaker;
        let Some(request) = &self.request else { return Poll::Pending };
        // An open circuit does not wait for a service that it will not call …
        if let Err(rejection) = circuit_breaker.check(&mut self.circuit, request, now) {
            return Poll::Ready(Err(self.refused(rejection)));
        }
        match self.service.poll_ready(cx) {
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(error)) => return Poll::Ready(self.not_ready(error, now).map(|_| ())),
            Poll::Pending => {
                self.limit(now);
                return Poll::Pending;
            }
        }
        // … and what passes is decided last, when nothing stands between it and the wire.
        let admitted = self.parts.parts().circuit_breaker.admit(&mut self.circuit, now);
        Poll::Ready(admitted.map_err(|rejection| self.refused(rejection)))
    }

    /// There is more to come.
    #[cold]
    pub(super) fn follow(&mut self, next: Next, result: Answer<S, Req>, now: &mut Now) {
        match next {
            Next::Again(delay) => self.again(delay, result, now),
            Next::Pause(pause) => self.pause(pause, result, now),
            Next::Done => {}
        }
    }

    /// Another attempt, after so long.
    fn again(&mut self, delay: Duration, result: Answer<S, Req>, now: &mut Now) {
        // It may hold something, and is kept only where it may be needed.
        if !delay.is_zero() && ambient::is_set() {
            self.parts.parts().retry.keep(&mut self.course, result);
        }
        // Before the wait: the old handle may hold a place in a queue below (T2).
        self.service = self.service.clone();
        self.stage = if delay.is_zero() { Stage::Pacing } else { Stage::Waiting };
        self.due = match self.stage {
            Stage::Waiting => Deadline::after_tick(now.tick(), delay),
            _ => Deadline::NEVER,
        };
    }

    /// The answer, but not yet.
    fn pause(&mut self, pause: Duration, answer: Answer<S, Req>, now: &mut Now) {
        self.parts.parts().retry.keep(&mut self.course, answer);
        (self.stage, self.due) = (Stage::Pausing, Deadline::after_tick(now.tick(), pause));
    }

    /// Until it may go on, or is over.
    #[inline(never)]
    pub(super) fn wait(
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
            Stage::Waiting => {
                self.stage = Stage::Pacing;
                drop(self.parts.parts().retry.kept(&mut self.course));
            }
            Stage::Pausing => {
                let answer = self.parts.parts().retry.kept(&mut self.course)?;
                return Some(self.end(answer));
            }
            _ => {
                let ran = self.may_have_run();
                let refusal = &self.parts.parts().attempt_timeout;
                let refusal = refusal.refuse(RejectionKind::TimedOut, ran);
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
        let ran = self.may_have_run();
        self.leave();
        Err(self.parts.parts().deadline.refuse(RejectionKind::DeadlineExceeded, ran).into())
    }
}
