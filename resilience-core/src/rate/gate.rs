//! A bucket with a queue before it: who goes now, who waits, who is sent away.
//!
//! There is no barging: while somebody waits, a newcomer does not go, whatever is in the bucket. A place
//! that is awaited is served when its task comes for it, at the instant when it does. One that is reserved
//! and due is served on behalf of its owner by whoever comes next, so that nobody waits for somebody who
//! forgot.

use std::task::Waker;

use super::meter::{Grant, Hold, Meter, Verdict};
use super::queue::{Queue, Ticket};
use super::quota::Pace;
use crate::wakes::Wakes;

/// Those who wait, and those who were served and do not know.
#[derive(Debug, Default)]
pub(crate) struct Desk {
    pub(crate) queue: Queue,
    pub(crate) served: Vec<(Ticket, Grant)>,
}

impl Desk {
    pub(super) fn heap_bytes(&self) -> usize {
        self.queue.heap_bytes() + self.served.capacity() * size_of::<(Ticket, Grant)>()
    }
}

/// Why a call is not let through, and when it is worth coming back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It costs more than there ever is.
    Never { burst: u32, cost: u32 },
    /// So many tokens would be out, and that is too many.
    Tokens { burst: u32, wanted: u64, at: u64 },
    /// Too soon after the last.
    Gap { gap: u64, passed: u64, at: u64 },
    /// The other side asked for a pause.
    Paused { at: u64 },
    /// So many others wait, and nobody overtakes; or the queue has no place.
    Queued { limit: Option<u32>, waiting: u32, at: u64 },
    /// It would wait longer than it may.
    TooLong { limit: u64, wait: u64, at: u64 },
}

impl Refusal {
    /// When it is worth coming back, if ever.
    pub(crate) const fn at(self) -> Option<u64> {
        match self {
            Refusal::Never { .. } => None,
            Refusal::Tokens { at, .. }
            | Refusal::Gap { at, .. }
            | Refusal::Paused { at }
            | Refusal::Queued { at, .. }
            | Refusal::TooLong { at, .. } => Some(at),
        }
    }
}

/// What a place in the queue has come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Granted(Grant),
    Refused(Refusal),
    /// Not yet. Whoever holds the timer looks again at the given time; others are woken.
    Wait(Option<u64>),
}

/// Now, and what is in force: what every decision is made by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a> {
    pub(crate) pace: &'a Pace,
    pub(crate) now: u64,
}

impl Meter {
    /// Takes tokens at once, or not at all.
    #[inline]
    pub(crate) fn try_pass(&mut self, at: At<'_>, cost: u32) -> Result<Grant, Refusal> {
        if self.desk().is_some_and(|desk| desk.queue.len() > 0) {
            self.serve_reserved(at);
            if let Some(refusal) = self.behind_others(at, cost) {
                return Err(refusal);
            }
        }
        match self.take(at.pace, at.now, cost) {
            Verdict::Granted(grant) => Ok(grant),
            verdict => Err(self.refusal(at, cost, verdict)),
        }
    }

    /// Returns the most that a newcomer [passes](Meter::try_pass) with: what is left by the reservations that
    /// are due, and nothing while anybody else waits.
    pub(crate) fn free(&self, at: At<'_>) -> u32 {
        let Some(desk) = self.desk().filter(|desk| desk.queue.len() > 0) else {
            return self.available(at.pace, at.now);
        };
        let mut rest = self.bucket();
        let served = desk.queue.iter().all(|place| {
            place.is_reserved()
                && matches!(rest.take(at.pace, at.now, place.cost), Verdict::Granted(_))
        });
        if served { rest.available(at.pace, at.now) } else { 0 }
    }

    fn behind_others(&self, at: At<'_>, cost: u32) -> Option<Refusal> {
        let waiting = self.desk().map_or(0, |desk| desk.queue.len());
        if waiting == 0 {
            return None;
        }
        let burst = at.pace.quota.burst();
        Some(if cost > burst {
            Refusal::Never { burst, cost }
        } else {
            Refusal::Queued { limit: None, waiting, at: self.expected_last(at, cost) }
        })
    }

    #[inline]
    fn refusal(&self, at: At<'_>, cost: u32, verdict: Verdict) -> Refusal {
        let burst = at.pace.quota.burst();
        let Verdict::NotBefore(then, hold) = verdict else {
            return Refusal::Never { burst, cost };
        };
        match hold {
            Hold::Tokens => {
                let wanted = self.used(at.pace, at.now).saturating_add(cost.into());
                Refusal::Tokens { burst, wanted, at: then }
            }
            Hold::Gap => {
                let gap = at.pace.min_gap;
                Refusal::Gap { gap, passed: gap.saturating_sub(then - at.now), at: then }
            }
            Hold::Pause => Refusal::Paused { at: then },
        }
    }

    /// When a newcomer of this cost would be served.
    pub(super) fn expected_last(&self, at: At<'_>, cost: u32) -> u64 {
        let ahead =
            self.desk().map_or((0, 0), |desk| (desk.queue.tokens(), u64::from(desk.queue.len())));
        self.expected(at.pace, at.now, cost.into(), ahead)
    }

    /// When this place will be served.
    pub(crate) fn expected_at(&self, at: At<'_>, ticket: Ticket) -> Option<u64> {
        let (mut tokens, mut callers) = (0, 0);
        for place in self.desk()?.queue.iter() {
            if place.ticket == ticket {
                let ahead = (tokens, callers);
                return Some(self.expected(at.pace, at.now, place.cost.into(), ahead));
            }
            tokens += u64::from(place.cost);
            callers += 1;
        }
        None
    }

    /// Takes a place at the end of the queue, if it would be served in time. For those who did not
    /// [pass](Meter::try_pass). A waker is taken only with a place: one that is left is the caller's to
    /// drop, since this runs under a lock.
    pub(crate) fn join(
        &mut self,
        at: At<'_>,
        cost: u32,
        until: u64,
        max_queued: u32,
        waker: &mut Option<Waker>,
    ) -> Result<Ticket, Refusal> {
        let burst = at.pace.quota.burst();
        if cost > burst {
            return Err(Refusal::Never { burst, cost });
        }
        let expected = self.expected_last(at, cost);
        let desk = self.desk_mut();
        let waiting = desk.queue.len();
        if expected > until {
            let limit = until.saturating_sub(at.now);
            return Err(Refusal::TooLong { limit, wait: expected - at.now, at: expected });
        }
        if waiting as usize + desk.served.len() >= max_queued as usize {
            return Err(Refusal::Queued { limit: Some(max_queued), waiting, at: expected });
        }
        // Whoever reserves is told the time now, and not sent away later.
        let until = if waker.is_some() { until } else { u64::MAX };
        Ok(desk.queue.join(cost, until, waker.take()))
    }

    /// The owner of a place, of this cost, comes for it. A waker is taken if it has to wait.
    pub(crate) fn turn(
        &mut self,
        at: At<'_>,
        (ticket, cost): (Ticket, u32),
        waker: &mut Option<Waker>,
    ) -> (Turn, Wakes) {
        // Its own place first: what is served on behalf of others may be its own.
        if let Some(turn) = self.own_turn(at, ticket, cost) {
            return turn;
        }
        self.serve_reserved(at);
        if let Some(turn) = self.own_turn(at, ticket, cost) {
            return turn;
        }
        let mut wakes = Wakes::default();
        let desk = self.desk_mut();
        if let Some(place) = desk.queue.find(ticket)
            && let Some(waker) = waker.take()
        {
            wakes.keep_former(place.awaited_by(waker));
        }
        if desk.queue.keeper() != Some(ticket) {
            return (Turn::Wait(None), wakes);
        }
        (Turn::Wait(self.head_due(at)), wakes)
    }

    /// What is decided about a place without looking at those before it.
    fn own_turn(&mut self, at: At<'_>, ticket: Ticket, cost: u32) -> Option<(Turn, Wakes)> {
        let burst = at.pace.quota.burst();
        let never = Turn::Refused(Refusal::Never { burst, cost });
        let desk = self.desk_mut();
        if let Some(index) = desk.served.iter().position(|(served, _)| *served == ticket) {
            return Some((Turn::Granted(desk.served.swap_remove(index).1), Wakes::default()));
        }
        let is_head = desk.queue.head().is_some_and(|head| head.ticket == ticket);
        let waiting = desk.queue.len();
        let place = desk.queue.find(ticket).map(|place| (place.until, place.misfit));
        let Some((until, misfit)) = place else {
            // A reservation that cost too much for a while. It may come again, at the end of the queue.
            let at = self.expected_last(at, cost);
            let gone = Turn::Refused(Refusal::Queued { limit: None, waiting, at });
            return Some((if cost > burst { never } else { gone }, Wakes::default()));
        };
        let turn = if cost > burst {
            never
        } else if misfit {
            self.too_long(at, ticket, until)
        } else if !is_head {
            return None;
        } else {
            match self.take(at.pace, at.now, cost) {
                Verdict::Granted(grant) => Turn::Granted(grant),
                Verdict::NotBefore(then, _) if then <= until => return None,
                _ => self.too_long(at, ticket, until),
            }
        };
        Some((turn, self.leave(ticket)))
    }

    fn too_long(&self, at: At<'_>, ticket: Ticket, until: u64) -> Turn {
        let expected = self.expected_at(at, ticket).unwrap_or(at.now);
        let (limit, wait) = (until.saturating_sub(at.now), expected.saturating_sub(at.now));
        Turn::Refused(Refusal::TooLong { limit, wait, at: expected })
    }

    fn head_due(&self, at: At<'_>) -> Option<u64> {
        let head = self.desk()?.queue.head()?;
        Some(self.expected(at.pace, at.now, head.cost.into(), (0, 0)))
    }

    /// What costs more than there now ever is loses its place: nobody waits behind it for nothing.
    fn drop_reservations_over(&mut self, burst: u32) {
        let Some(desk) = self.desk() else { return };
        let too_much = desk.queue.iter().filter(|it| it.is_reserved() && it.cost > burst);
        let tickets: Vec<_> = too_much.map(|place| place.ticket).collect();
        for ticket in tickets {
            self.desk_mut().queue.leave(ticket);
        }
    }

    /// Serves the places at the head that are reserved and due.
    fn serve_reserved(&mut self, at: At<'_>) {
        while let Some(head) = self.desk_mut().queue.head()
            && head.is_reserved()
        {
            let (ticket, cost) = (head.ticket, head.cost);
            let Verdict::Granted(grant) = self.take(at.pace, at.now, cost) else { return };
            let desk = self.desk_mut();
            desk.served.push((ticket, grant));
            desk.queue.leave(ticket);
        }
    }

    /// A place is given up. What it was served and never used is given back.
    pub(crate) fn give_up(&mut self, at: At<'_>, ticket: Ticket) -> Wakes {
        let desk = self.desk_mut();
        let served = desk.served.iter().position(|(served, _)| *served == ticket);
        match served {
            Some(index) => {
                let (_, grant) = desk.served.swap_remove(index);
                self.give_back(at.pace, grant);
                self.wake_keeper()
            }
            None => self.leave(ticket),
        }
    }

    fn leave(&mut self, ticket: Ticket) -> Wakes {
        let desk = self.desk_mut();
        let mut wakes = Wakes::default();
        let Some((former, matters)) = desk.queue.leave(ticket) else { return wakes };
        wakes.keep_former(former);
        if matters {
            wakes.add(desk.queue.take_keeper_waker());
        }
        wakes
    }

    /// The head's turn may come sooner: whoever holds the timer looks again.
    pub(crate) fn wake_keeper(&mut self) -> Wakes {
        let mut wakes = Wakes::default();
        if self.desk().is_some() {
            wakes.add(self.desk_mut().queue.take_keeper_waker());
        }
        wakes
    }

    /// Things have changed for everybody: those who would now wait too long are told at once.
    pub(crate) fn reconsider(&mut self, at: At<'_>) -> Wakes {
        self.drop_reservations_over(at.pace.quota.burst());
        let mut wakes = self.wake_keeper();
        let (mut tokens, mut callers) = (0, 0);
        let mut late = Vec::new();
        let places = self.desk().into_iter().flat_map(|desk| desk.queue.iter());
        // Who was told before is about to leave.
        for place in places.filter(|place| !place.misfit) {
            let expected = self.expected(at.pace, at.now, place.cost.into(), (tokens, callers));
            // Reserved places are never late: they are their owners' to give up.
            if expected > place.until || place.cost > at.pace.quota.burst() {
                late.push(place.ticket);
                continue;
            }
            tokens += u64::from(place.cost);
            callers += 1;
        }
        if late.is_empty() {
            return wakes;
        }
        for place in self.desk_mut().queue.iter_mut() {
            if late.binary_search(&place.ticket).is_ok() {
                place.misfit = true;
                wakes.add(place.take_waker());
            }
        }
        wakes
    }
}
