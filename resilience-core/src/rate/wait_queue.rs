//! A bucket with a queue in front of it: decides which call is admitted now, waits or is rejected.
//!
//! A newcomer never overtakes a call that waits, even if there are tokens. The place of a task is
//! served when the task is polled, at that time. A reservation that is due is served by the next
//! call that comes: no call waits for an owner that does not return.

use std::task::Waker;

use super::gcra::{Ahead, Gcra, GcraDecision, Grant, LimitedBy};
use super::queue::{Queue, Ticket};
use super::quota::Shaping;
use crate::wakes::Wakes;

/// The calls that wait, and the reservations that were served since their owners polled.
#[derive(Debug, Default)]
pub(crate) struct WaitQueue {
    pub(crate) queue: Queue,
    pub(crate) served: Vec<(Ticket, Grant)>,
}

impl WaitQueue {
    pub(super) fn heap_bytes(&self) -> usize {
        self.queue.heap_bytes() + self.served.capacity() * size_of::<(Ticket, Grant)>()
    }

    fn take_served(&mut self, ticket: Ticket) -> Option<Grant> {
        let index = self.served.iter().position(|(served, _)| *served == ticket)?;
        Some(self.served.swap_remove(index).1)
    }
}

/// The reason of a rejection, and the time at which to retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateRejectReason {
    /// The call costs more than the burst.
    Never { burst: u32, cost: u32 },
    /// With the call, `wanted` tokens would be in use.
    Tokens { burst: u32, wanted: u64, at: u64 },
    /// Only `passed` of the minimum gap has passed since the last call.
    Gap { gap: u64, passed: u64, at: u64 },
    /// The limiter is paused.
    Paused { at: u64 },
    /// `waiting` other calls are ahead; `limit` is the length of a full queue.
    Queued { limit: Option<u32>, waiting: u32, at: u64 },
    /// The wait would exceed its limit.
    TooLong { limit: u64, wait: u64, at: u64 },
}

impl RateRejectReason {
    /// Returns the time at which to retry; `None` for never.
    pub(crate) const fn at(self) -> Option<u64> {
        match self {
            RateRejectReason::Never { .. } => None,
            RateRejectReason::Tokens { at, .. }
            | RateRejectReason::Gap { at, .. }
            | RateRejectReason::Paused { at }
            | RateRejectReason::Queued { at, .. }
            | RateRejectReason::TooLong { at, .. } => Some(at),
        }
    }
}

/// The result of polling a place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueuePoll {
    Granted(Grant),
    Rejected(RateRejectReason),
    /// The call waits on. The timer holder polls again at the given time; others are woken.
    Wait(Option<u64>),
}

/// The quota and the time of a decision.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conditions<'a> {
    pub(crate) shaping: &'a Shaping,
    pub(crate) now: u64,
}

impl Gcra {
    /// Returns the number of calls that wait.
    pub(crate) fn queued(&self) -> u32 {
        self.wait_queue().map_or(0, |wait_queue| wait_queue.queue.len())
    }

    pub(crate) fn has_waiters(&self) -> bool {
        self.queued() > 0
    }

    /// Takes tokens for a newcomer, or returns the reason to reject it.
    pub(crate) fn try_pass(
        &mut self,
        at: Conditions<'_>,
        cost: u32,
    ) -> Result<Grant, RateRejectReason> {
        if self.has_waiters() {
            self.serve_reserved(at);
        }
        if self.has_waiters() {
            return Err(self.behind_others(at, cost));
        }
        let burst = at.shaping.quota.burst();
        match self.take(at.shaping, at.now, cost) {
            GcraDecision::Granted(grant) => Ok(grant),
            GcraDecision::Never => Err(RateRejectReason::Never { burst, cost }),
            GcraDecision::NotBefore(then, limited_by) => {
                Err(self.not_before(at, cost, then, limited_by))
            }
        }
    }

    /// Returns the most tokens with which a newcomer [passes](Gcra::try_pass): those left by the
    /// reservations that are due, and none while another call waits.
    pub(crate) fn available_to_newcomer(&self, at: Conditions<'_>) -> u32 {
        let Some(wait_queue) = self.wait_queue().filter(|it| it.queue.len() > 0) else {
            return self.available(at.shaping, at.now);
        };
        let mut rest = self.without_queue();
        let served = wait_queue.queue.iter().all(|waiter| {
            waiter.is_reserved()
                && matches!(rest.take(at.shaping, at.now, waiter.cost), GcraDecision::Granted(_))
        });
        if served { rest.available(at.shaping, at.now) } else { 0 }
    }

    fn behind_others(&self, at: Conditions<'_>, cost: u32) -> RateRejectReason {
        let burst = at.shaping.quota.burst();
        if cost > burst {
            return RateRejectReason::Never { burst, cost };
        }
        let waiting = self.queued();
        RateRejectReason::Queued { limit: None, waiting, at: self.expected_last(at, cost) }
    }

    fn not_before(
        &self,
        at: Conditions<'_>,
        cost: u32,
        then: u64,
        limited_by: LimitedBy,
    ) -> RateRejectReason {
        match limited_by {
            LimitedBy::Tokens => {
                let burst = at.shaping.quota.burst();
                let wanted = self.used(at.shaping, at.now).saturating_add(cost.into());
                RateRejectReason::Tokens { burst, wanted, at: then }
            }
            LimitedBy::Gap => {
                let gap = at.shaping.min_gap;
                let passed = gap.saturating_sub(then - at.now);
                RateRejectReason::Gap { gap, passed, at: then }
            }
            LimitedBy::Pause => RateRejectReason::Paused { at: then },
        }
    }

    /// Returns the time at which a newcomer of this cost would be served.
    pub(super) fn expected_last(&self, at: Conditions<'_>, cost: u32) -> u64 {
        let all = |queue: &Queue| Ahead { tokens: queue.tokens(), calls: queue.len().into() };
        let ahead = self.wait_queue().map_or(Ahead::default(), |it| all(&it.queue));
        self.expected(at.shaping, at.now, cost.into(), ahead)
    }

    /// Returns the time at which this place will be served; `None` if it is not in the queue.
    pub(crate) fn expected_at(&self, at: Conditions<'_>, ticket: Ticket) -> Option<u64> {
        let mut ahead = Ahead::default();
        for waiter in self.wait_queue()?.queue.iter() {
            if waiter.ticket == ticket {
                return Some(self.expected(at.shaping, at.now, waiter.cost.into(), ahead));
            }
            ahead.tokens += u64::from(waiter.cost);
            ahead.calls += 1;
        }
        None
    }

    /// Joins the end of the queue, if the place would be served by `until`. For calls that did not
    /// [pass](Gcra::try_pass). Takes the waker only with a place: the caller drops it otherwise,
    /// outside of the lock.
    pub(crate) fn join(
        &mut self,
        at: Conditions<'_>,
        cost: u32,
        until: u64,
        max_queued: u32,
        waker: &mut Option<Waker>,
    ) -> Result<Ticket, RateRejectReason> {
        let burst = at.shaping.quota.burst();
        if cost > burst {
            return Err(RateRejectReason::Never { burst, cost });
        }
        let expected = self.expected_last(at, cost);
        if expected > until {
            let limit = until.saturating_sub(at.now);
            return Err(RateRejectReason::TooLong { limit, wait: expected - at.now, at: expected });
        }
        let wait_queue = self.wait_queue_mut();
        let waiting = wait_queue.queue.len();
        if waiting as usize + wait_queue.served.len() >= max_queued as usize {
            let limit = Some(max_queued);
            return Err(RateRejectReason::Queued { limit, waiting, at: expected });
        }
        // A reservation has no limit from now on: it is not rejected later.
        let until = if waker.is_some() { until } else { u64::MAX };
        Ok(wait_queue.queue.join(cost, until, waker.take()))
    }

    /// Polls a place of this cost for its owner. The waker is taken if the owner has to wait on.
    pub(crate) fn poll_place(
        &mut self,
        at: Conditions<'_>,
        ticket: Ticket,
        cost: u32,
        waker: &mut Option<Waker>,
    ) -> (QueuePoll, Wakes) {
        // The place itself first, and again after the reservations are served: it may be one of
        // them.
        if let Some(decided) = self.poll_own(at, ticket, cost) {
            return decided;
        }
        self.serve_reserved(at);
        if let Some(decided) = self.poll_own(at, ticket, cost) {
            return decided;
        }
        let mut wakes = Wakes::default();
        let queue = &mut self.wait_queue_mut().queue;
        if let Some(waiter) = queue.find(ticket)
            && let Some(waker) = waker.take()
        {
            wakes.keep_former(waiter.awaited_by(waker));
        }
        let holds_timer = queue.timer_holder() == Some(ticket);
        let due = if holds_timer { self.head_due(at) } else { None };
        (QueuePoll::Wait(due), wakes)
    }

    /// Decides about a place without serving those ahead; `None` if it has to wait.
    fn poll_own(
        &mut self,
        at: Conditions<'_>,
        ticket: Ticket,
        cost: u32,
    ) -> Option<(QueuePoll, Wakes)> {
        let wait_queue = self.wait_queue_mut();
        if let Some(grant) = wait_queue.take_served(ticket) {
            return Some((QueuePoll::Granted(grant), Wakes::default()));
        }
        let burst = at.shaping.quota.burst();
        let never = QueuePoll::Rejected(RateRejectReason::Never { burst, cost });
        let is_head = wait_queue.queue.head().is_some_and(|head| head.ticket == ticket);
        let Some(waiter) = wait_queue.queue.find(ticket) else {
            // A reservation that cost more than a former burst lost its place.
            let gone = QueuePoll::Rejected(self.behind_others(at, cost));
            return Some((gone, Wakes::default()));
        };
        let until = waiter.until;
        let polled = if cost > burst {
            never
        } else if waiter.too_late {
            self.too_long(at, ticket, until)
        } else if !is_head {
            return None;
        } else {
            match self.take(at.shaping, at.now, cost) {
                GcraDecision::Granted(grant) => QueuePoll::Granted(grant),
                GcraDecision::NotBefore(then, _) if then <= until => return None,
                _ => self.too_long(at, ticket, until),
            }
        };
        Some((polled, self.leave(ticket)))
    }

    fn too_long(&self, at: Conditions<'_>, ticket: Ticket, until: u64) -> QueuePoll {
        let expected = self.expected_at(at, ticket).unwrap_or(at.now);
        let limit = until.saturating_sub(at.now);
        let wait = expected.saturating_sub(at.now);
        QueuePoll::Rejected(RateRejectReason::TooLong { limit, wait, at: expected })
    }

    fn head_due(&self, at: Conditions<'_>) -> Option<u64> {
        let head = self.wait_queue()?.queue.head()?;
        Some(self.expected(at.shaping, at.now, head.cost.into(), Ahead::default()))
    }

    /// Removes the reservations that cost more than the burst: calls behind them would wait for
    /// ever.
    fn drop_reservations_over(&mut self, burst: u32) {
        let Some(wait_queue) = self.wait_queue() else { return };
        let too_large = wait_queue.queue.iter().filter(|it| it.is_reserved() && it.cost > burst);
        let tickets: Vec<_> = too_large.map(|waiter| waiter.ticket).collect();
        for ticket in tickets {
            self.wait_queue_mut().queue.leave(ticket);
        }
    }

    /// Serves the reservations at the head that are due.
    fn serve_reserved(&mut self, at: Conditions<'_>) {
        while let Some(head) = self.wait_queue_mut().queue.head()
            && head.is_reserved()
        {
            let ticket = head.ticket;
            let cost = head.cost;
            let GcraDecision::Granted(grant) = self.take(at.shaping, at.now, cost) else { return };
            let wait_queue = self.wait_queue_mut();
            wait_queue.served.push((ticket, grant));
            wait_queue.queue.leave(ticket);
        }
    }

    /// Gives up a place, and gives back the tokens that it was served with.
    pub(crate) fn give_up(&mut self, at: Conditions<'_>, ticket: Ticket) -> Wakes {
        let Some(grant) = self.wait_queue_mut().take_served(ticket) else {
            return self.leave(ticket);
        };
        self.give_back(at.shaping, grant);
        self.wake_timer_holder()
    }

    fn leave(&mut self, ticket: Ticket) -> Wakes {
        let queue = &mut self.wait_queue_mut().queue;
        let mut wakes = Wakes::default();
        let Some(left) = queue.leave(ticket) else { return wakes };
        wakes.keep_former(left.waker);
        if left.matters_to_timer {
            wakes.add(queue.take_timer_waker());
        }
        wakes
    }

    /// Wakes the timer holder, because the turn of the head may come sooner.
    pub(crate) fn wake_timer_holder(&mut self) -> Wakes {
        let mut wakes = Wakes::default();
        if self.wait_queue().is_some() {
            wakes.add(self.wait_queue_mut().queue.take_timer_waker());
        }
        wakes
    }

    /// Reconsiders all places after a change of the conditions, and wakes the calls that would now
    /// wait too long.
    pub(crate) fn reconsider(&mut self, at: Conditions<'_>) -> Wakes {
        let burst = at.shaping.quota.burst();
        self.drop_reservations_over(burst);
        let mut wakes = self.wake_timer_holder();
        let mut ahead = Ahead::default();
        let mut late = Vec::new();
        let waiters = self.wait_queue().into_iter().flat_map(|it| it.queue.iter());
        // Calls that were too late before are about to leave.
        for waiter in waiters.filter(|waiter| !waiter.too_late) {
            let expected = self.expected(at.shaping, at.now, waiter.cost.into(), ahead);
            // `until` of a reservation is never reached: only its owner gives it up.
            if expected > waiter.until || waiter.cost > burst {
                late.push(waiter.ticket);
                continue;
            }
            ahead.tokens += u64::from(waiter.cost);
            ahead.calls += 1;
        }
        if late.is_empty() {
            return wakes;
        }
        for waiter in self.wait_queue_mut().queue.iter_mut() {
            if late.binary_search(&waiter.ticket).is_ok() {
                waiter.too_late = true;
                wakes.add(waiter.take_waker());
            }
        }
        wakes
    }
}
