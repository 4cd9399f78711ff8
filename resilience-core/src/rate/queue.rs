//! Who waits, in the order in which they came.
//!
//! A place is either *awaited*, by a task that can be woken, or *reserved*, by somebody who will come for
//! it. Only the first who can be woken is, and holds the timer for whoever is at the head.

use std::collections::VecDeque;
use std::task::Waker;

/// A place in the queue. Never given out twice.
pub(crate) type Ticket = u64;

#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) ticket: Ticket,
    pub(super) cost: u32,
    /// It leaves rather than be served later than this.
    pub(super) until: u64,
    /// It was served in time when it came, and no longer is.
    pub(crate) misfit: bool,
    seat: Seat,
}

#[derive(Debug)]
enum Seat {
    /// By a task, and its waker unless that was woken since its last look.
    Awaited(Option<Waker>),
    Reserved,
    /// Given up. Cleared away with others.
    Left,
}

#[derive(Debug, Default)]
pub(crate) struct Queue {
    places: VecDeque<Place>,
    /// Of the places that are not left.
    len: u32,
    tokens: u64,
    next: Ticket,
}

impl Queue {
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// What those who wait will take.
    pub(crate) const fn tokens(&self) -> u64 {
        self.tokens
    }

    /// A place at the end.
    pub(super) fn join(&mut self, cost: u32, until: u64, waker: Option<Waker>) -> Ticket {
        let ticket = self.next;
        self.next += 1;
        let seat = waker.map_or(Seat::Reserved, |waker| Seat::Awaited(Some(waker)));
        self.places.push_back(Place { ticket, cost, until, misfit: false, seat });
        self.len += 1;
        self.tokens += u64::from(cost);
        ticket
    }

    /// Whose turn is next.
    pub(super) fn head(&self) -> Option<&Place> {
        // What is left at the front is cleared away at once.
        self.places.front()
    }

    pub(super) fn find(&mut self, ticket: Ticket) -> Option<&mut Place> {
        let index = self.places.binary_search_by_key(&ticket, |place| place.ticket).ok()?;
        self.places.get_mut(index).filter(|place| !matches!(place.seat, Seat::Left))
    }

    /// Gives a place up. What was in it, and whether somebody has to be told: it was at the head, or
    /// held the timer.
    pub(super) fn leave(&mut self, ticket: Ticket) -> Option<(Option<Waker>, bool)> {
        let matters = self.head().is_some_and(|head| head.ticket == ticket)
            || self.keeper().is_some_and(|keeper| keeper == ticket);
        let place = self.find(ticket)?;
        let cost = u64::from(place.cost);
        let seat = std::mem::replace(&mut place.seat, Seat::Left);
        self.len -= 1;
        self.tokens -= cost;
        self.clear();
        let waker = match seat {
            Seat::Awaited(waker) => waker,
            Seat::Reserved | Seat::Left => None,
        };
        Some((waker, matters))
    }

    fn clear(&mut self) {
        while matches!(self.places.front(), Some(Place { seat: Seat::Left, .. })) {
            self.places.pop_front();
        }
        // At most as much work as was left since: whoever leaves pays for one place.
        if self.places.len() > 2 * self.len as usize + 16 {
            self.places.retain(|place| !matches!(place.seat, Seat::Left));
        }
        if self.places.is_empty() {
            self.places = VecDeque::new();
        }
    }

    /// Whoever holds the timer.
    pub(super) fn keeper(&self) -> Option<Ticket> {
        let keeper = self.places.iter().find(|place| matches!(place.seat, Seat::Awaited(_)))?;
        Some(keeper.ticket)
    }

    /// Takes the waker of whoever holds the timer, to be woken: it leaves another with its next look.
    // Not a clone: a waker may run any code, and this is under a lock.
    pub(super) fn take_keeper_waker(&mut self) -> Option<Waker> {
        self.places.iter_mut().find_map(|place| match &mut place.seat {
            Seat::Awaited(waker) => Some(waker.take()),
            Seat::Reserved | Seat::Left => None,
        })?
    }

    /// Those in the queue from the head on, to be marked as misfits.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Place> {
        self.places.iter_mut().filter(|place| !matches!(place.seat, Seat::Left))
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Place> {
        self.places.iter().filter(|place| !matches!(place.seat, Seat::Left))
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.places.capacity() * size_of::<Place>()
    }
}

impl Place {
    pub(crate) const fn is_reserved(&self) -> bool {
        matches!(self.seat, Seat::Reserved)
    }

    pub(super) fn take_waker(&mut self) -> Option<Waker> {
        match &mut self.seat {
            Seat::Awaited(waker) => waker.take(),
            Seat::Reserved | Seat::Left => None,
        }
    }

    /// The latest waker is the one to wake. The former, to be dropped outside of the lock.
    pub(super) fn awaited_by(&mut self, waker: Waker) -> Option<Waker> {
        match std::mem::replace(&mut self.seat, Seat::Awaited(Some(waker))) {
            Seat::Awaited(former) => former,
            Seat::Reserved | Seat::Left => None,
        }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn places_that_were_left_are_cleared_away() {
        let mut queue = Queue::default();
        let first = queue.join(1, 0, Some(Waker::noop().clone()));
        for _ in 0..1_000 {
            let ticket = queue.join(2, 0, Some(Waker::noop().clone()));
            let stays = queue.join(1, 0, Some(Waker::noop().clone()));
            assert_eq!(queue.leave(ticket).map(|(_, matters)| matters), Some(false));
            assert_eq!(queue.leave(stays).map(|(_, matters)| matters), Some(false));
        }
        assert_eq!((queue.len(), queue.tokens()), (1, 1));
        assert!(queue.places.len() <= 20, "{}", queue.places.len());
        assert_eq!(queue.leave(first).map(|(_, matters)| matters), Some(true));
        assert_eq!((queue.heap_bytes(), queue.leave(first).is_none()), (0, true));
    }
}
