use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::gate::Turn;
use super::limiter::RateLimiter;
use super::meter::Grant;
use super::permit::RatePermit;
use super::queue::Ticket;
use super::refused::Refused;
use crate::clock;
use crate::rejection::Rejection;
use crate::timer::Alarm;

/// A wait for tokens, of [`RateLimiter::acquire`]. Dropping it gives up the place.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
pub struct Acquire(Wait);

impl Acquire {
    pub(super) fn new(limiter: RateLimiter, cost: u32) -> Acquire {
        Acquire(Wait::new(limiter, cost))
    }
}

impl Future for Acquire {
    type Output = Result<RatePermit, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map(|waited| {
            let grant = waited.or_else(|refused| refused.told(None))?;
            Ok(RatePermit::new(self.0.limiter.clone(), grant))
        })
    }
}

/// A wait for tokens, that does not say yet whose they are.
pub(super) struct Wait {
    pub(super) limiter: RateLimiter,
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
    /// Nothing is held, whatever the outcome was.
    Done,
}

type Waited = Result<Option<Grant>, Refused>;

impl Wait {
    pub(super) const fn new(limiter: RateLimiter, cost: u32) -> Wait {
        Wait { limiter, cost, place: Place::None, alarm: Alarm::none(), armed: 0 }
    }

    /// A place that was taken before.
    pub(super) const fn from(limiter: RateLimiter, cost: u32, ticket: Ticket) -> Wait {
        let place = Place::Queued(ticket);
        Wait { limiter, cost, place, alarm: Alarm::none(), armed: 0 }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Waited> {
        let waited = match self.place {
            Place::None => match self.begin(cx) {
                Some(waited) => waited,
                None => return self.poll(cx),
            },
            Place::Queued(ticket) => match self.queued(ticket, cx) {
                Poll::Ready(waited) => waited,
                Poll::Pending => return Poll::Pending,
            },
            // Polled after it was ready, which a future's contract leaves open: stay silent.
            Place::Done => return Poll::Pending,
        };
        self.place = Place::Done;
        self.alarm = Alarm::none();
        Poll::Ready(waited)
    }

    /// Goes at once, is refused at once, or takes a place.
    fn begin(&mut self, cx: &Context<'_>) -> Option<Waited> {
        let now = clock::now();
        let refused = match self.limiter.pass(now, self.cost) {
            Ok(grant) => return Some(Ok(Some(grant))),
            Err(refused) => refused,
        };
        if !refused.may_wait() {
            return Some(Err(refused));
        }
        let waker = cx.waker().clone();
        match self.limiter.join(now, self.cost, Some(waker), refused) {
            Ok(ticket) => self.place = Place::Queued(ticket),
            Err(refused) => return Some(Err(refused)),
        }
        None
    }

    fn queued(&mut self, ticket: Ticket, cx: &mut Context<'_>) -> Poll<Waited> {
        loop {
            let waker = cx.waker().clone();
            let (waited, due) = self.limiter.turn(ticket, self.cost, Some(waker));
            if let Some(waited) = waited {
                return Poll::Ready(waited.map(Some));
            }
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
    pub(super) fn now(&mut self) -> Option<Waited> {
        let Place::Queued(ticket) = self.place else { return None };
        let (waited, _) = self.limiter.turn(ticket, self.cost, None);
        waited.map(|waited| {
            self.place = Place::Done;
            waited.map(Some)
        })
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Place::Queued(ticket) = self.place {
            self.limiter.give_up(ticket);
        }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("cost", &self.cost).field("place", &self.place).finish()
    }
}

impl RateLimiter {
    /// Takes a place in the queue for a call that was refused just now.
    pub(super) fn join(
        &self,
        now: std::time::Instant,
        cost: u32,
        waker: Option<std::task::Waker>,
        refused: Refused,
    ) -> Result<Ticket, Refused> {
        drop(refused);
        let patient = waker.is_none();
        self.with(now, |meter, at, seen| {
            let until = self.until(seen, now).or(patient.then_some(u64::MAX));
            let until = until.unwrap_or(at.now);
            let joined = meter.join(at, cost, until, seen.max_queued, waker);
            // It was counted as refused, and is not yet.
            meter.set_rejected(meter.rejected().saturating_sub(1));
            joined.map_err(|refusal| Refused::new(meter, at, seen, refusal))
        })
    }

    #[expect(clippy::type_complexity, reason = "an outcome, or when to look again")]
    fn turn(
        &self,
        ticket: Ticket,
        cost: u32,
        waker: Option<std::task::Waker>,
    ) -> (Option<Result<Grant, Refused>>, Option<(u64, std::time::Instant)>) {
        let (looked, wakes) = self.with(clock::now(), |meter, at, seen| {
            let (turn, wakes) = meter.turn(at, (ticket, cost), waker);
            let looked = match turn {
                Turn::Granted(grant) => (Some(Ok(grant)), None),
                Turn::Refused(refusal) => (Some(Err(Refused::new(meter, at, seen, refusal))), None),
                Turn::Wait(due) => (None, due.map(|ns| (ns, self.instant(ns)))),
            };
            (looked, wakes)
        });
        wakes.wake();
        looked
    }

    fn give_up(&self, ticket: Ticket) {
        let wakes = self.with(clock::now(), |meter, at, _| meter.give_up(at, ticket));
        wakes.wake();
    }
}
