use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use super::bucket::instant_at;
use super::gate::Turn;
use super::limiter::RateLimiter;
use super::meter::Grant;
use super::permit::RatePermit;
use super::queue::Ticket;
use super::refused::Refused;
use crate::clock::{self, Now};
use crate::rejection::Rejection;
use crate::timer::Alarm;
use crate::wakes::Wakes;

/// A wait for tokens, of [`RateLimiter::acquire`]. Dropping it gives up the place.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Acquire(Waiting);

impl Acquire {
    pub(super) const fn new(limiter: RateLimiter, cost: u32) -> Acquire {
        Acquire(Waiting::new(limiter, Wait::new(cost)))
    }
}

impl Future for Acquire {
    type Output = Result<RatePermit, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (limiter, waited) = ready!(self.0.poll(cx));
        let grant = waited.or_else(|refused| refused.told(None))?;
        Poll::Ready(Ok(RatePermit::new(limiter, grant)))
    }
}

/// A [`Wait`] with a handle of its own, which goes on to the permit. Left when it is dropped.
pub(super) struct Waiting {
    limiter: Option<RateLimiter>,
    wait: Wait,
}

impl Waiting {
    pub(super) const fn new(limiter: RateLimiter, wait: Wait) -> Waiting {
        Waiting { limiter: Some(limiter), wait }
    }

    #[inline]
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(RateLimiter, Waited)> {
        // Polled after it was ready, which a future's contract leaves open: stay silent.
        let Some(limiter) = &self.limiter else { return Poll::Pending };
        let waited = ready!(self.wait.poll(limiter, &mut Now::unread(), cx));
        match self.limiter.take() {
            Some(limiter) => Poll::Ready((limiter, waited)),
            None => Poll::Pending,
        }
    }

    /// Whether it is served by now. No timer, no waker. If it is refused, the next poll says so.
    pub(super) fn now(&mut self) -> Option<(RateLimiter, Grant)> {
        let grant = self.wait.now(self.limiter.as_ref()?)?;
        self.limiter.take().map(|limiter| (limiter, grant))
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(limiter) = &self.limiter {
            self.wait.leave(limiter);
        }
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Wait { cost, place, .. } = &self.wait;
        f.debug_struct("Waiting").field("cost", cost).field("place", place).finish()
    }
}

/// A wait for tokens, beside the limiter that they are of. Does not say yet whose they are. To be
/// [left](Wait::leave) before it is dropped.
#[derive(Debug)]
pub(super) struct Wait {
    cost: u32,
    place: Place,
    alarm: Alarm,
    /// When the alarm rings.
    armed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Never polled.
    None,
    Queued(Ticket),
    /// Its turn has come, and it holds what was granted.
    Served(Grant),
    /// Nothing is held, whatever the outcome was.
    Done,
}

pub(super) type Waited = Result<Option<Grant>, Refused>;

/// What became of a look at a place.
enum Looked {
    Over(Result<Grant, Refused>),
    /// When to look again, if this is who looks for all.
    Waits(Option<(u64, Instant)>),
}

impl Wait {
    #[inline]
    pub(super) const fn new(cost: u32) -> Wait {
        Wait { cost, place: Place::None, alarm: Alarm::none(), armed: 0 }
    }

    /// A place that was taken before.
    pub(super) const fn from(cost: u32, ticket: Ticket) -> Wait {
        Wait { cost, place: Place::Queued(ticket), alarm: Alarm::none(), armed: 0 }
    }

    #[inline]
    pub(super) fn poll(
        &mut self,
        limiter: &RateLimiter,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Waited> {
        let waited = match self.place {
            Place::None => match limiter.take(now.get(), self.cost) {
                Ok(grant) => Ok(Some(grant)),
                Err(refused) => ready!(self.begin(limiter, now, refused, cx)),
            },
            Place::Queued(ticket) => ready!(self.queued(limiter, ticket, cx)),
            Place::Served(grant) => Ok(Some(grant)),
            // Polled after it was ready, which a future's contract leaves open: stay silent.
            Place::Done => return Poll::Pending,
        };
        // A waker in the timer may panic as it is dropped: until then a grant is in the place.
        self.alarm = Alarm::none();
        self.place = Place::Done;
        Poll::Ready(waited)
    }

    /// What is rare: there are no tokens, or others wait.
    #[cold]
    fn begin(
        &mut self,
        limiter: &RateLimiter,
        now: &mut Now,
        refused: Refused,
        cx: &mut Context<'_>,
    ) -> Poll<Waited> {
        if !refused.may_wait() {
            return Poll::Ready(Err(refused));
        }
        let mut waker = Some(cx.waker().clone());
        match limiter.join(now.get(), self.cost, &mut waker, refused) {
            Ok(ticket) => {
                self.place = Place::Queued(ticket);
                self.queued(limiter, ticket, cx)
            }
            Err(refused) => Poll::Ready(Err(refused)),
        }
    }

    fn queued(
        &mut self,
        limiter: &RateLimiter,
        ticket: Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Waited> {
        loop {
            let mut waker = Some(cx.waker().clone());
            let due = match self.turn(limiter, ticket, &mut waker) {
                Looked::Over(waited) => return Poll::Ready(waited.map(Some)),
                Looked::Waits(due) => due,
            };
            let Some((ns, instant)) = due else {
                self.alarm = Alarm::none();
                self.armed = 0;
                return Poll::Pending;
            };
            if ns != self.armed {
                self.alarm = Alarm::at(instant);
                self.armed = ns;
            }
            if self.alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = 0;
        }
    }

    /// Whether it is this one's turn, without waiting for it.
    fn now(&mut self, limiter: &RateLimiter) -> Option<Grant> {
        if let Place::Queued(ticket) = self.place {
            self.turn(limiter, ticket, &mut None);
        }
        let Place::Served(grant) = self.place else { return None };
        self.place = Place::Done;
        Some(grant)
    }

    /// Comes for its turn. What is granted is kept in the place before others are woken: one of their
    /// wakers may panic.
    fn turn(&mut self, limiter: &RateLimiter, ticket: Ticket, waker: &mut Option<Waker>) -> Looked {
        let (looked, wakes) = limiter.turn(ticket, self.cost, waker);
        if let Looked::Over(Ok(grant)) = &looked {
            self.place = Place::Served(*grant);
        }
        wakes.wake();
        looked
    }

    /// Gives up the place, or what was granted there, if there is one.
    #[inline]
    pub(super) fn leave(&mut self, limiter: &RateLimiter) {
        match std::mem::replace(&mut self.place, Place::Done) {
            Place::Queued(ticket) => limiter.give_up(ticket),
            Place::Served(grant) => limiter.refund(grant),
            Place::None | Place::Done => {}
        }
    }
}

impl RateLimiter {
    /// Takes a place in the queue for a call that was refused just now.
    pub(super) fn join(
        &self,
        now: Instant,
        cost: u32,
        waker: &mut Option<Waker>,
        refused: Refused,
    ) -> Result<Ticket, Refused> {
        drop(refused);
        let patient = waker.is_none();
        self.with(now, |meter, at, terms| {
            let until = terms.until(now).or(patient.then_some(u64::MAX));
            let until = until.unwrap_or(at.now);
            let joined = meter.join(at, cost, until, terms.max_queued, waker);
            // It was counted as refused, and is not yet.
            meter.set_rejected(meter.rejected().saturating_sub(1));
            joined.map_err(|refusal| Refused::new(meter, at, terms, refusal))
        })
    }

    /// Looks whether a place's turn has come. Wakes nobody yet, so that what is granted can be kept first.
    fn turn(&self, ticket: Ticket, cost: u32, waker: &mut Option<Waker>) -> (Looked, Wakes) {
        self.with(clock::now(), |meter, at, terms| {
            let (turn, wakes) = meter.turn(at, (ticket, cost), waker);
            let looked = match turn {
                Turn::Granted(grant) => Looked::Over(Ok(grant)),
                Turn::Refused(refusal) => {
                    Looked::Over(Err(Refused::new(meter, at, terms, refusal)))
                }
                Turn::Wait(due) => Looked::Waits(due.map(|ns| (ns, instant_at(ns)))),
            };
            (looked, wakes)
        })
    }

    fn give_up(&self, ticket: Ticket) {
        let wakes = self.with(clock::now(), |meter, at, _| meter.give_up(at, ticket));
        wakes.wake();
    }
}
