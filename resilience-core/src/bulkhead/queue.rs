//! The calls that wait for permits, and which is next.
//!
//! A bounded queue. A call joins, is served, is evicted or leaves in constant time, also from the
//! middle: a hundred thousand cancelled waiters are a hundred thousand small steps.
//!
//! [`QueueOrder`] decides which call is next. None is served before it: small calls that would fit
//! do not starve one that needs many permits.
//!
//! A waiter that was granted its permits, or evicted, keeps its slot until it is polled or leaves.
//! If it is cancelled before it is polled, [`Queue::leave`] returns its grant.
//!
//! ```
//! use resilience_core::bulkhead::{Denied, Permits, Queue, QueueOrder};
//!
//! let now = resilience_core::clock::now();
//! let permits = Permits::new(1);
//! let mut queue = Queue::new();
//! let out = permits.try_take(1)?;
//! assert_eq!(permits.take_or_wait(1).unwrap_err(), Denied::Full);
//! let joined = queue.join(1, "a waiter", 10, QueueOrder::Fifo, now).expect("the queue holds ten");
//! assert!(permits.release(out), "a call waits");
//! let served = queue.serve(QueueOrder::Fifo, || now, |cost| permits.take_next(cost));
//! assert_eq!(served, Some("a waiter"));
//! let granted = queue.poll(&joined.ticket, |_| {}).expect("it was served")?;
//! assert_eq!(granted.permits(), 1);
//! # Ok::<_, Denied>(())
//! ```

use std::time::{Duration, Instant};

use super::permits::{Denied, PermitGrant};

/// The order in which waiting calls are served.
///
/// In the order of arrival, a lasting overload makes every call wait until just before its caller
/// gives up. With the newest first, most calls are served at once and the rest give up. Facebook's
/// servers switch to that order while a queue lasts ("adaptive LIFO", Maurer, *Fail at Scale*, ACM
/// Queue 13(8), 2015).
///
/// When the queue is full and the newest is served first, a newcomer evicts the oldest call, which
/// would be served last. In the order of arrival the newcomer is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum QueueOrder {
    /// In the order of arrival.
    #[default]
    Fifo,
    /// The newest first, always. Even a short burst reverses the order of its calls.
    NewestFirst,
    /// In the order of arrival, until the queue has not been empty for this time; then the newest
    /// first, until the queue is empty again. Facebook's servers use 100 ms.
    NewestFirstAfter(Duration),
}

/// A place in a [`Queue`], until it is [left](Queue::leave) or a [poll](Queue::poll) returns a
/// result.
#[derive(Debug, PartialEq, Eq)]
#[doc(hidden)]
pub struct Ticket {
    id: u64,
    slot: u32,
}

/// A new place in the queue.
#[derive(Debug)]
#[non_exhaustive]
#[doc(hidden)]
pub struct Joined<T> {
    /// The place.
    pub ticket: Ticket,
    /// The value of the waiter that was evicted for it, to be notified.
    pub evicted: Option<T>,
}

/// The state of a waiter that [left](Queue::leave).
#[derive(Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "the caller has to give back a grant")]
pub enum Left<T> {
    /// Still waiting. Others may have waited behind it.
    Waiting(T),
    /// Served: the permits are to be released.
    Granted(PermitGrant),
    /// Evicted, for this reason.
    Evicted(Denied),
}

/// Calls that wait for permits, each with a `T` to notify it by.
#[derive(Debug)]
#[doc(hidden)]
pub struct Queue<T> {
    slots: Vec<Slot<T>>,
    /// The first of the free slots, which are chained by `newer`.
    free: u32,
    oldest: u32,
    newest: u32,
    waiting: usize,
    /// Slots that are not free.
    taken: usize,
    next_id: u64,
    /// The time at which the queue was last empty; out of date while it is empty.
    standing_since: Option<Instant>,
}

#[derive(Debug)]
struct Slot<T> {
    id: u64,
    cost: u32,
    older: u32,
    newer: u32,
    state: SlotState<T>,
}

#[derive(Debug)]
enum SlotState<T> {
    Free,
    Waiting(T),
    Granted(PermitGrant),
    Evicted(Denied),
}

const NONE: u32 = u32::MAX;

/// The slots that an empty queue keeps.
const KEPT: usize = 64;

impl<T> Queue<T> {
    /// Returns an empty queue.
    #[must_use]
    pub const fn new() -> Queue<T> {
        Queue {
            slots: Vec::new(),
            free: NONE,
            oldest: NONE,
            newest: NONE,
            waiting: 0,
            taken: 0,
            next_id: 0,
            standing_since: None,
        }
    }

    /// Returns the number of calls that wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.waiting
    }

    /// Returns `true` if no call waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Returns `true` if no slot is in use: no call waits, and all that were served or evicted have
    /// been polled or have left.
    #[must_use]
    pub const fn is_idle(&self) -> bool {
        self.taken == 0
    }

    /// Returns the bytes of the slots.
    #[must_use]
    pub const fn heap_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot<T>>()
    }

    /// Joins the queue with a need of `cost` permits, if at most `most` calls wait then.
    ///
    /// # Errors
    /// If the queue is full, and the order does not evict the oldest.
    pub fn join(
        &mut self,
        cost: u32,
        value: T,
        most: u32,
        order: QueueOrder,
        now: Instant,
    ) -> Result<Joined<T>, Denied> {
        let full = self.waiting >= most as usize;
        let evicts = most > 0 && self.newest_first(order, || now);
        if full && !evicts || self.taken >= NONE as usize {
            return Err(Denied::Full);
        }
        if self.is_empty() {
            self.standing_since = Some(now);
        }
        let evicted = if full { self.evict(self.oldest, Denied::Full) } else { None };
        Ok(Joined { ticket: self.append(cost, value), evicted })
    }

    /// Serves the next call with the permits that `take` grants, or evicts it if they are
    /// [never](Denied::Never) free. Returns the value to notify the call by. `None` if no call
    /// waits, or the next has to wait on.
    pub fn serve(
        &mut self,
        order: QueueOrder,
        now: impl FnOnce() -> Instant,
        take: impl FnOnce(u32) -> Result<PermitGrant, Denied>,
    ) -> Option<T> {
        let next = if self.newest_first(order, now) { self.newest } else { self.oldest };
        match take(self.slot(next)?.cost) {
            Ok(grant) => self.settle(next, SlotState::Granted(grant)),
            Err(Denied::Never) => self.evict(next, Denied::Never),
            Err(Denied::Full) => None,
        }
    }

    /// Returns the result of the wait, which frees the place: the grant, or the reason of an
    /// eviction. `None` while the call waits; `renew` may change its value.
    pub fn poll(
        &mut self,
        ticket: &Ticket,
        renew: impl FnOnce(&mut T),
    ) -> Option<Result<PermitGrant, Denied>> {
        if let Some(Slot { state: SlotState::Waiting(value), .. }) = self.slot_of(ticket) {
            renew(value);
            return None;
        }
        Some(self.clear(ticket).unwrap_or(Err(Denied::Full)))
    }

    /// Leaves the queue, and returns the state of the wait; `None` for a ticket that is void.
    #[must_use = "a grant goes back to the permits"]
    pub fn leave(&mut self, ticket: &Ticket) -> Option<Left<T>> {
        let waiting = matches!(self.slot_of(ticket)?.state, SlotState::Waiting(_));
        let value = if waiting { self.evict(ticket.slot, Denied::Full) } else { None };
        let result = self.clear(ticket)?;
        Some(match (value, result) {
            (Some(value), _) => Left::Waiting(value),
            (None, Ok(grant)) => Left::Granted(grant),
            (None, Err(why)) => Left::Evicted(why),
        })
    }

    /// Returns `true` if the newest call is next.
    fn newest_first(&self, order: QueueOrder, now: impl FnOnce() -> Instant) -> bool {
        match order {
            QueueOrder::Fifo => false,
            QueueOrder::NewestFirst => true,
            QueueOrder::NewestFirstAfter(standing) => self
                .standing_since
                .filter(|_| !self.is_empty())
                .is_some_and(|since| now().saturating_duration_since(since) > standing),
        }
    }

    fn append(&mut self, cost: u32, value: T) -> Ticket {
        let id = self.next_id;
        self.next_id += 1;
        let slot =
            Slot { id, cost, older: self.newest, newer: NONE, state: SlotState::Waiting(value) };
        let at = self.place(slot);
        match self.slot_mut(self.newest) {
            Some(newest) => newest.newer = at,
            None => self.oldest = at,
        }
        self.newest = at;
        self.waiting += 1;
        Ticket { id, slot: at }
    }

    /// Stores `slot` in a free slot.
    fn place(&mut self, slot: Slot<T>) -> u32 {
        self.taken += 1;
        let at = self.free;
        if let Some(free) = self.slot_mut(at) {
            let next = free.newer;
            *free = slot;
            self.free = next;
            return at;
        }
        self.slots.push(slot);
        // `join` has checked that there are fewer.
        u32::try_from(self.slots.len() - 1).unwrap_or(NONE)
    }

    fn evict(&mut self, at: u32, why: Denied) -> Option<T> {
        self.settle(at, SlotState::Evicted(why))
    }

    /// Takes a waiter out of the queue and leaves `state` for its next poll.
    fn settle(&mut self, at: u32, state: SlotState<T>) -> Option<T> {
        let slot = self.slot_mut(at)?;
        let before = std::mem::replace(&mut slot.state, state);
        let older = slot.older;
        let newer = slot.newer;
        match self.slot_mut(older) {
            Some(slot) => slot.newer = newer,
            None => self.oldest = newer,
        }
        match self.slot_mut(newer) {
            Some(slot) => slot.older = older,
            None => self.newest = older,
        }
        self.waiting -= 1;
        if let SlotState::Waiting(value) = before { Some(value) } else { None }
    }

    /// Frees the slot of a call that does not wait any more, and returns the result of the wait.
    fn clear(&mut self, ticket: &Ticket) -> Option<Result<PermitGrant, Denied>> {
        let free = self.free;
        let slot = self.slot_of(ticket)?;
        slot.newer = free;
        let state = std::mem::replace(&mut slot.state, SlotState::Free);
        self.free = ticket.slot;
        self.taken -= 1;
        if self.taken == 0 && self.slots.capacity() > KEPT {
            self.slots = Vec::new();
            self.free = NONE;
        }
        match state {
            SlotState::Granted(grant) => Some(Ok(grant)),
            SlotState::Evicted(why) => Some(Err(why)),
            SlotState::Free | SlotState::Waiting(_) => None,
        }
    }

    fn slot(&self, at: u32) -> Option<&Slot<T>> {
        self.slots.get(at as usize)
    }

    fn slot_mut(&mut self, at: u32) -> Option<&mut Slot<T>> {
        self.slots.get_mut(at as usize)
    }

    /// Returns the slot of a ticket. `None` if the ticket is void.
    fn slot_of(&mut self, ticket: &Ticket) -> Option<&mut Slot<T>> {
        let of_ticket =
            |slot: &&mut Slot<T>| slot.id == ticket.id && !matches!(slot.state, SlotState::Free);
        self.slot_mut(ticket.slot).filter(of_ticket)
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Queue<T> {
        Queue::new()
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use crate::bulkhead::Permits;
    use crate::clock;

    const MANY: u32 = 1_000_000;

    fn fill(queue: &mut Queue<u32>, costs: &[u32], order: QueueOrder) -> Vec<Ticket> {
        let now = clock::now();
        let join = |(id, &cost)| queue.join(cost, id, MANY, order, now).unwrap().ticket;
        (0..).zip(costs).map(join).collect()
    }

    fn serve(queue: &mut Queue<u32>, order: QueueOrder, permits: &Permits) -> Vec<u32> {
        let now = clock::now();
        std::iter::from_fn(|| queue.serve(order, || now, |cost| permits.take_next(cost))).collect()
    }

    #[test]
    fn a_big_head_is_not_passed_by_small_calls() {
        let mut queue = Queue::new();
        let permits = Permits::new(3);
        let first = permits.try_take(2).unwrap();
        let tickets = fill(&mut queue, &[2, 1, 1], QueueOrder::Fifo);
        assert!(serve(&mut queue, QueueOrder::Fifo, &permits).is_empty());
        permits.release(first);
        assert_eq!(serve(&mut queue, QueueOrder::Fifo, &permits), [0, 1]);
        assert_eq!(queue.poll(&tickets[2], |_| {}), None);
        assert_eq!(queue.len(), 1);
    }

    #[test]
    fn the_newest_come_first_only_once_the_queue_stands() {
        let start = clock::now();
        let order = QueueOrder::NewestFirstAfter(Duration::from_millis(100));
        let mut queue = Queue::new();
        let permits = Permits::new(MANY);
        let join = |queue: &mut Queue<u64>, at_ms| {
            let now = start + Duration::from_millis(at_ms);
            queue.join(1, at_ms, 3, order, now).map(|joined| joined.evicted)
        };
        let serve = |queue: &mut Queue<u64>, at_ms| {
            let now = || start + Duration::from_millis(at_ms);
            queue.serve(order, now, |cost| permits.take_next(cost))
        };
        for at in [0, 50, 60] {
            assert_eq!(join(&mut queue, at), Ok(None));
        }
        assert_eq!(join(&mut queue, 70), Err(Denied::Full), "the newcomer finds no place");
        assert_eq!(serve(&mut queue, 100), Some(0));
        // The queue has not been empty for more than 100 ms, though no call has waited for that
        // time.
        assert_eq!(serve(&mut queue, 101), Some(60));
        assert_eq!(join(&mut queue, 110), Ok(None));
        assert_eq!(join(&mut queue, 120), Ok(None));
        assert_eq!(join(&mut queue, 130), Ok(Some(50)), "the oldest is evicted");
        for newest in [130, 120, 110] {
            assert_eq!(serve(&mut queue, 140), Some(newest));
        }
        // Empty since: the order of arrival counts again.
        for at in [150, 160] {
            assert_eq!(join(&mut queue, at), Ok(None));
        }
        assert_eq!(serve(&mut queue, 170), Some(150));
    }

    #[test]
    fn a_queue_of_no_length_takes_no_call() {
        for order in [QueueOrder::Fifo, QueueOrder::NewestFirst] {
            let mut queue = Queue::new();
            assert!(queue.join(1, (), 0, order, clock::now()).is_err());
            assert!(queue.is_idle());
        }
    }

    #[test]
    fn a_call_that_can_never_be_served_is_evicted() {
        let mut queue = Queue::new();
        let permits = Permits::new(3);
        let tickets = fill(&mut queue, &[3, 1], QueueOrder::Fifo);
        permits.resize(2);
        assert_eq!(serve(&mut queue, QueueOrder::Fifo, &permits), [0, 1]);
        assert_eq!(queue.poll(&tickets[0], |_| {}), Some(Err(Denied::Never)));
        assert!(matches!(queue.leave(&tickets[1]), Some(Left::Granted(_))));
        assert!(queue.is_idle());
    }

    #[test]
    fn a_ticket_is_good_for_one_place_and_slots_are_used_again() {
        let mut queue = Queue::new();
        let tickets = fill(&mut queue, &[1, 1, 1], QueueOrder::Fifo);
        assert_eq!(queue.leave(&tickets[1]), Some(Left::Waiting(1)));
        let again = fill(&mut queue, &[1], QueueOrder::Fifo);
        assert_eq!(again[0].slot, tickets[1].slot);
        assert_eq!(queue.leave(&tickets[1]), None, "another call has the slot");
        assert_eq!(queue.poll(&tickets[1], |_| {}), Some(Err(Denied::Full)));
        assert_eq!((queue.len(), queue.slots.len()), (3, 3));
    }

    #[test]
    fn a_crowd_that_left_leaves_no_memory_behind() {
        let mut queue = Queue::new();
        let tickets = fill(&mut queue, &vec![1; 100_000], QueueOrder::Fifo);
        assert!(queue.heap_bytes() >= 100_000 * size_of::<Slot<u32>>());
        // From the middle outwards: a list that is searched would take hours.
        for at in (0..50_000).rev() {
            assert!(queue.leave(&tickets[at]).is_some());
            assert!(queue.leave(&tickets[99_999 - at]).is_some());
        }
        assert!(queue.is_idle());
        assert!(queue.heap_bytes() <= KEPT * size_of::<Slot<u32>>());
    }
}
