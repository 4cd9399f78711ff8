//! The calls that wait, in the order of arrival.
//!
//! A place belongs to a task that can be woken, or to a reservation that its owner polls. Only the
//! first task is woken: it holds the timer for the head of the queue, which may be a reservation.

use std::collections::VecDeque;
use std::task::Waker;

/// The number of a place in the queue. Never used twice.
pub(crate) type Ticket = u64;

/// A call in the queue.
#[derive(Debug)]
pub(crate) struct Waiter {
    pub(crate) ticket: Ticket,
    pub(super) cost: u32,
    /// The latest time at which the call may be served.
    pub(super) until: u64,
    /// `true` if a change has made it impossible to serve the call in time.
    pub(crate) too_late: bool,
    owner: Owner,
}

#[derive(Debug)]
enum Owner {
    /// A task, with its waker unless the task was woken since its last poll.
    Task(Option<Waker>),
    Reservation,
    /// No owner: the place was given up, and is removed later together with others.
    Gone,
}

/// The rest of a place that was given up.
#[derive(Debug)]
pub(super) struct Left {
    /// The waker of the place, for the caller to drop outside of the lock.
    pub(super) waker: Option<Waker>,
    /// `true` if the place was the head or held the timer: the timer holder has to be woken.
    pub(super) matters_to_timer: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    /// Sorted by ticket.
    waiters: VecDeque<Waiter>,
    /// The number of places that are not given up.
    len: u32,
    tokens: u64,
    next: Ticket,
}

impl Queue {
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Returns the cost of all calls in the queue.
    pub(crate) const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// Adds a place at the end: for a task with a waker, for a reservation without.
    pub(super) fn join(&mut self, cost: u32, until: u64, waker: Option<Waker>) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        let owner = waker.map_or(Owner::Reservation, |waker| Owner::Task(Some(waker)));
        self.waiters.push_back(Waiter { ticket, cost, until, too_late: false, owner });
        self.len += 1;
        self.tokens += u64::from(cost);
        ticket
    }

    /// Returns the place that is served next.
    pub(super) fn head(&self) -> Option<&Waiter> {
        // `remove_gone` leaves no given-up place at the front.
        self.waiters.front()
    }

    pub(super) fn find(&mut self, ticket: Ticket) -> Option<&mut Waiter> {
        let index = self.waiters.binary_search_by_key(&ticket, |waiter| waiter.ticket).ok()?;
        self.waiters.get_mut(index).filter(|waiter| !waiter.is_gone())
    }

    /// Gives a place up. Returns `None` if it was given up before.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<Left> {
        let is_head = self.head().is_some_and(|head| head.ticket == ticket);
        let matters_to_timer = is_head || self.timer_holder() == Some(ticket);
        let waiter = self.find(ticket)?;
        let cost = u64::from(waiter.cost);
        let owner = std::mem::replace(&mut waiter.owner, Owner::Gone);
        self.len -= 1;
        self.tokens -= cost;
        self.remove_gone();
        let waker = match owner {
            Owner::Task(waker) => waker,
            Owner::Reservation | Owner::Gone => None,
        };
        Some(Left { waker, matters_to_timer })
    }

    fn remove_gone(&mut self) {
        while self.waiters.front().is_some_and(Waiter::is_gone) {
            self.waiters.pop_front();
        }
        // Amortised: a scan of `n` places follows at least `n / 2` that were given up.
        if self.waiters.len() > 2 * self.len as usize + 16 {
            self.waiters.retain(|waiter| !waiter.is_gone());
        }
        if self.waiters.is_empty() {
            self.waiters = VecDeque::new();
        }
    }

    /// Returns the first task, which holds the timer.
    pub(super) fn timer_holder(&self) -> Option<Ticket> {
        let holder = self.waiters.iter().find(|waiter| matches!(waiter.owner, Owner::Task(_)))?;
        Some(holder.ticket)
    }

    /// Takes the waker of the timer holder, which registers another at its next poll.
    // Not a clone: cloning a waker may run any code, and this is under a lock.
    pub(super) fn take_timer_waker(&mut self) -> Option<Waker> {
        self.waiters.iter_mut().find_map(|waiter| match &mut waiter.owner {
            Owner::Task(waker) => Some(waker.take()),
            Owner::Reservation | Owner::Gone => None,
        })?
    }

    /// Iterates over the calls in the queue, from the head on.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Waiter> {
        self.waiters.iter_mut().filter(|waiter| !waiter.is_gone())
    }

    /// Iterates over the calls in the queue, from the head on.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Waiter> {
        self.waiters.iter().filter(|waiter| !waiter.is_gone())
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.waiters.capacity() * size_of::<Waiter>()
    }
}

impl Waiter {
    pub(crate) const fn is_reserved(&self) -> bool {
        matches!(self.owner, Owner::Reservation)
    }

    const fn is_gone(&self) -> bool {
        matches!(self.owner, Owner::Gone)
    }

    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.owner {
            Owner::Task(waker) => waker.take(),
            Owner::Reservation | Owner::Gone => None,
        }
    }

    /// Registers the latest waker, and returns the former one, to be dropped outside of the lock.
    pub(super) fn awaited_by(&mut self, waker: Waker) -> Option<Waker> {
        match std::mem::replace(&mut self.owner, Owner::Task(Some(waker))) {
            Owner::Task(former) => former,
            Owner::Reservation | Owner::Gone => None,
        }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn places_that_were_given_up_are_removed() {
        let mut queue = Queue::default();
        let first = queue.join(1, 0, Some(Waker::noop().clone()));
        for _ in 0..1_000 {
            let ticket = queue.join(2, 0, Some(Waker::noop().clone()));
            let stays = queue.join(1, 0, Some(Waker::noop().clone()));
            assert_eq!(queue.leave(ticket).map(|left| left.matters_to_timer), Some(false));
            assert_eq!(queue.leave(stays).map(|left| left.matters_to_timer), Some(false));
        }
        assert_eq!((queue.len(), queue.tokens()), (1, 1));
        assert!(queue.waiters.len() <= 20, "{}", queue.waiters.len());
        assert_eq!(queue.leave(first).map(|left| left.matters_to_timer), Some(true));
        assert_eq!((queue.heap_bytes(), queue.leave(first).is_none()), (0, true));
    }
}
