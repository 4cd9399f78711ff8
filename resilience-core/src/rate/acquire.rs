//! Waiting for tokens.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use std::time::Instant;

use super::bucket::{instant_at, ns_of};
use super::gcra::Grant;
use super::limiter::{RateLimiter, RatePermit};
use super::pending::PendingRejection;
use super::queue::Ticket;
use super::wait_queue::QueuePoll;
use crate::clock::{self, Now};
use crate::rejection::Rejection;
use crate::timer::Alarm;
use crate::wakes::Wakes;

/// A wait for tokens, made by [`RateLimiter::acquire`]. Dropping it gives up the place in the
/// queue.
#[must_use = "futures do nothing unless polled"]
#[derive(Debug)]
#[doc(hidden)]
pub struct Acquire(OwnedWait);

impl Acquire {
    pub(super) const fn new(limiter: RateLimiter, cost: u32) -> Acquire {
        Acquire(OwnedWait::new(limiter, TokenWait::new(cost)))
    }
}

impl Future for Acquire {
    type Output = Result<RatePermit, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx)
    }
}

/// A [`TokenWait`] with a handle of its own, which moves into the permit. Dropping it leaves the
/// queue.
pub(super) struct OwnedWait {
    limiter: Option<RateLimiter>,
    wait: TokenWait,
}

impl OwnedWait {
    pub(super) const fn new(limiter: RateLimiter, wait: TokenWait) -> OwnedWait {
        OwnedWait { limiter: Some(limiter), wait }
    }

    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<RatePermit, Rejection>> {
        // Polled after it was ready, which the contract of a future leaves open: stay pending.
        let Some(limiter) = &self.limiter else { return Poll::Pending };
        let waited = ready!(self.wait.poll(limiter, &mut Now::unread(), cx));
        let Some(limiter) = self.limiter.take() else { return Poll::Pending };
        let grant = waited.or_else(|pending| limiter.reject(pending, None))?;
        Poll::Ready(Ok(RatePermit::new(limiter, grant)))
    }

    /// Returns the permit if the turn has come. Sets no timer and registers no waker. A rejection
    /// is left to the next [`poll`](Self::poll).
    pub(super) fn try_take(&mut self) -> Option<RatePermit> {
        let grant = self.wait.try_take(self.limiter.as_ref()?)?;
        Some(RatePermit::new(self.limiter.take()?, Some(grant)))
    }
}

impl Drop for OwnedWait {
    fn drop(&mut self) {
        if let Some(limiter) = &self.limiter {
            self.wait.leave(limiter);
        }
    }
}

impl fmt::Debug for OwnedWait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TokenWait { cost, state, .. } = &self.wait;
        f.debug_struct("OwnedWait").field("cost", cost).field("state", state).finish()
    }
}

/// A wait for tokens, kept beside the limiter that they come from. The owner calls
/// [`leave`](TokenWait::leave) before it drops the wait.
#[derive(Debug)]
pub(super) struct TokenWait {
    cost: u32,
    state: WaitState,
    alarm: Alarm,
    /// The time that the alarm is set to.
    armed: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WaitState {
    /// Never polled.
    New,
    Queued(Ticket),
    /// The turn has come, and the tokens are held here.
    Granted(Grant),
    /// Over. Holds nothing.
    Done,
}

/// The state of a place in the queue.
enum PlaceState {
    Over(Result<Grant, PendingRejection>),
    /// The time of the next poll, for the waiter that holds the timer.
    Waits(Option<(u64, Instant)>),
}

impl TokenWait {
    pub(super) const fn new(cost: u32) -> TokenWait {
        TokenWait { cost, state: WaitState::New, alarm: Alarm::none(), armed: 0 }
    }

    /// Returns a wait for a place that is in the queue already.
    pub(super) const fn queued_as(cost: u32, ticket: Ticket) -> TokenWait {
        TokenWait { cost, state: WaitState::Queued(ticket), alarm: Alarm::none(), armed: 0 }
    }

    pub(super) fn poll(
        &mut self,
        limiter: &RateLimiter,
        now: &mut Now,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Grant>, PendingRejection>> {
        let waited = match self.state {
            WaitState::New => match limiter.take(now.get(), self.cost) {
                Ok(grant) => Ok(grant),
                Err(pending) => ready!(self.join(limiter, now, pending, cx)),
            },
            WaitState::Queued(ticket) => ready!(self.poll_queued(limiter, ticket, cx)),
            WaitState::Granted(grant) => Ok(grant),
            // Polled after it was ready, which the contract of a future leaves open: stay pending.
            WaitState::Done => return Poll::Pending,
        };
        // In this order: the drop of a waker in the timer may panic, and `leave` finds the grant
        // until then.
        self.alarm = Alarm::none();
        self.state = WaitState::Done;
        Poll::Ready(waited.map(Some))
    }

    #[cold]
    fn join(
        &mut self,
        limiter: &RateLimiter,
        now: &mut Now,
        pending: PendingRejection,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Grant, PendingRejection>> {
        if !pending.may_wait() {
            return Poll::Ready(Err(pending));
        }
        let mut waker = Some(cx.waker().clone());
        match limiter.join(now.get(), self.cost, &mut waker) {
            Ok(ticket) => {
                self.state = WaitState::Queued(ticket);
                self.poll_queued(limiter, ticket, cx)
            }
            Err(pending) => Poll::Ready(Err(pending)),
        }
    }

    fn poll_queued(
        &mut self,
        limiter: &RateLimiter,
        ticket: Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Grant, PendingRejection>> {
        loop {
            let mut waker = Some(cx.waker().clone());
            let due = match self.poll_place(limiter, ticket, &mut waker) {
                PlaceState::Over(waited) => return Poll::Ready(waited),
                PlaceState::Waits(due) => due,
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

    fn try_take(&mut self, limiter: &RateLimiter) -> Option<Grant> {
        if let WaitState::Queued(ticket) = self.state {
            self.poll_place(limiter, ticket, &mut None);
        }
        let WaitState::Granted(grant) = self.state else { return None };
        self.state = WaitState::Done;
        Some(grant)
    }

    /// Polls the place in the queue, and wakes the calls that this serves.
    fn poll_place(
        &mut self,
        limiter: &RateLimiter,
        ticket: Ticket,
        waker: &mut Option<Waker>,
    ) -> PlaceState {
        let (place, wakes) = limiter.poll_place(ticket, self.cost, waker);
        // Before others are woken: one of their wakers may panic.
        if let PlaceState::Over(Ok(grant)) = &place {
            self.state = WaitState::Granted(*grant);
        }
        wakes.wake();
        place
    }

    /// Gives up the place in the queue, or the tokens that were granted there.
    pub(super) fn leave(&mut self, limiter: &RateLimiter) {
        match std::mem::replace(&mut self.state, WaitState::Done) {
            WaitState::Queued(ticket) => limiter.give_up(ticket),
            WaitState::Granted(grant) => limiter.refund(grant),
            WaitState::New | WaitState::Done => {}
        }
    }
}

impl RateLimiter {
    /// Joins the queue with a call that was just rejected, and uncounts that rejection. A call
    /// without a waker is a reservation.
    pub(super) fn join(
        &self,
        now: Instant,
        cost: u32,
        waker: &mut Option<Waker>,
    ) -> Result<Ticket, PendingRejection> {
        let reserves = waker.is_none();
        self.with(ns_of(now), |gcra, at, config| {
            let until = config.latest_turn(now).or(reserves.then_some(u64::MAX));
            let joined = gcra.join(at, cost, until.unwrap_or(at.now), config.max_queued, waker);
            gcra.set_rejected(gcra.rejected().saturating_sub(1));
            joined.map_err(|reason| PendingRejection::new(gcra, at, config, reason))
        })
    }

    /// Polls a place in the queue. The caller wakes others when it has stored the grant.
    fn poll_place(
        &self,
        ticket: Ticket,
        cost: u32,
        waker: &mut Option<Waker>,
    ) -> (PlaceState, Wakes) {
        self.with(ns_of(clock::now()), |gcra, at, config| {
            let (polled, wakes) = gcra.poll_place(at, ticket, cost, waker);
            let place = match polled {
                QueuePoll::Granted(grant) => PlaceState::Over(Ok(grant)),
                QueuePoll::Rejected(reason) => {
                    PlaceState::Over(Err(PendingRejection::new(gcra, at, config, reason)))
                }
                QueuePoll::Wait(due) => PlaceState::Waits(due.map(|ns| (ns, instant_at(ns)))),
            };
            (place, wakes)
        })
    }

    fn give_up(&self, ticket: Ticket) {
        let wakes = self.with(ns_of(clock::now()), |gcra, at, _| gcra.give_up(at, ticket));
        wakes.wake();
    }
}
