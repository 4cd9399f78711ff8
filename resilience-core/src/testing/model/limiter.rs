//! Model of the rate limiter's queue: a list of waiting calls.
//!
//! The bucket has a model of its own ([`rate`](super::rate)) and is used as it is. This model
//! checks which calls are served, in which order and when, and that a task is woken for each.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;
use std::time::Duration;

use arbitrary::Arbitrary;

use super::{Woken, differ};
use crate::model_input::{Rest, parse};
use crate::rate::model::{
    Conditions, Gcra, GcraDecision, Grant, QueuePoll, RateRejectReason, START, Ticket,
};
use crate::rate::{Quota, Shaping};

#[derive(Debug, Clone, Copy, Arbitrary)]
struct Limit {
    count: u8,
    period: u8,
    burst: u8,
}

#[derive(Debug, Arbitrary)]
struct Start {
    limit: Limit,
    min_gap: u8,
    warm_up: u8,
    max_queued: u8,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Operation {
    /// A new call that does not wait.
    Try(u8),
    /// A new call that waits up to a time, unless it is rejected.
    Wait(u8, u8),
    /// A reservation.
    Reserve(u8, u8),
    /// Polls a place by its task, woken or not. A reservation waits from then on.
    Poll(u8),
    /// Polls a reservation by its owner, without waiting.
    Redeem(u8),
    Drop(u8),
    /// Gives unused tokens back.
    Refund(u8),
    Advance(u8),
    /// Polls all woken tasks.
    Settle,
    Change(Change),
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Change {
    Pause(u8),
    Resume,
    Quota(Limit),
    MaxQueued(u8),
}

/// Periods in nanoseconds. They divide [`PARTS`], so that tokens return in a whole number of parts
/// in any time.
const PERIODS: [u64; 4] = [100, 250, 700, 1_750];
const PARTS: u64 = 3_500;

impl Limit {
    fn quota(self) -> Option<Quota> {
        let count = u32::from(self.count % 10) + 1;
        let period = Duration::from_nanos(PERIODS[usize::from(self.period % 4)]);
        Quota::per(count, period).and_then(|it| it.with_burst(u32::from(self.burst % 6) + 1)).ok()
    }
}

/// A caller with a place, in the line or served.
struct Caller {
    id: u64,
    ticket: Ticket,
    cost: u32,
    until: u64,
    /// Set if no task waits for the place.
    reserved: bool,
    /// Set once the place is marked as too late.
    too_late: bool,
    woken: Arc<Woken>,
    alarm: Option<u64>,
}

impl Caller {
    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }
}

/// Tokens that were taken and not given back: the caller, the tokens returned by then, the cost.
struct Taken {
    id: u64,
    credit: u64,
    cost: u32,
}

/// Counts of operations that may wake a task.
#[derive(Debug, Default)]
struct Tally {
    /// Polls of callers that were woken.
    wakes: usize,
    served: usize,
    /// Callers that left or were rejected, refunds, and changes of the settings.
    others: usize,
}

/// The engine and the reference.
struct Run {
    gcra: Gcra,
    shaping: Shaping,
    now: u64,
    max_queued: u32,
    next_id: u64,
    line: Vec<Caller>,
    /// Served reservations that were not polled since.
    served: Vec<Caller>,
    open: Vec<(u64, Grant)>,
    taken: Vec<Taken>,
    /// Tokens that have returned since the start, in parts of a token.
    credit: u64,
    largest_burst: u32,
    tally: Tally,
}

/// Returns the time at which a bucket without a queue serves this cost, and serves it.
fn serve(bucket: &mut Gcra, shaping: &Shaping, now: u64, cost: u32) -> Option<u64> {
    match bucket.take(shaping, now, cost) {
        GcraDecision::Granted(_) => Some(now),
        GcraDecision::Never => None,
        GcraDecision::NotBefore(then, _) => {
            let again = bucket.take(shaping, then, cost);
            assert!(matches!(again, GcraDecision::Granted(_)), "{again:?} at the returned time");
            Some(then)
        }
    }
}

impl Run {
    fn new(start: &Start) -> Option<Run> {
        let quota = start.limit.quota()?;
        let gap = u64::from(start.min_gap).saturating_sub(200);
        let warm_up = u64::from(start.warm_up).saturating_sub(200) * 4;
        let shaping = Shaping::new(quota).with_min_gap(Duration::from_nanos(gap)).ok()?;
        Some(Run {
            gcra: Gcra::default(),
            shaping: shaping.with_warm_up(Duration::from_nanos(warm_up)).ok()?,
            now: START,
            max_queued: u32::from(start.max_queued % 8) + 1,
            next_id: 0,
            line: vec![],
            served: vec![],
            open: vec![],
            taken: vec![],
            credit: 0,
            largest_burst: quota.burst(),
            tally: Tally::default(),
        })
    }

    /// Returns `true` if tokens alone decide. Otherwise the expected times are the earliest
    /// possible.
    fn is_exact(&self) -> bool {
        !self.shaping.is_shaped() && !self.any_leaves()
    }

    /// Returns the slack of the expected times: each call in the line is served up to 1 ns after
    /// its tokens were there.
    fn slack(&self) -> u64 {
        self.line.len() as u64
    }

    /// Returns `true` if a call in the line is too late, which stays there until its task is
    /// polled.
    fn any_leaves(&self) -> bool {
        self.line.iter().any(|caller| caller.too_late)
    }

    /// Returns the time at which each call in the line would be served, and a new call after them,
    /// if each is polled at once.
    fn schedule(&self, newcomer: Option<u32>) -> Vec<Option<u64>> {
        let mut bucket = self.gcra.without_queue();
        let mut now = self.now;
        let costs = self.line.iter().map(|caller| caller.cost).chain(newcomer);
        let times = costs.map(|cost| {
            let then = serve(&mut bucket, &self.shaping, now, cost);
            now = then.unwrap_or(now);
            then
        });
        times.collect()
    }

    fn step(&mut self, operation: Operation) {
        match operation {
            Operation::Try(cost) => self.newcomer(u32::from(cost % 5), None, true),
            Operation::Wait(cost, wait) => self.newcomer(u32::from(cost % 5), Some(wait), true),
            Operation::Reserve(cost, wait) => self.newcomer(u32::from(cost % 5), Some(wait), false),
            Operation::Poll(at) => self.poll(usize::from(at), true),
            Operation::Redeem(at) => self.poll(usize::from(at), false),
            Operation::Drop(at) => self.give_up(usize::from(at)),
            Operation::Refund(at) if !self.open.is_empty() => {
                let (id, grant) = self.open.remove(usize::from(at) % self.open.len());
                self.taken.retain(|taken| taken.id != id);
                self.gcra.give_back(&self.shaping, grant);
                self.tally.others += 1;
                self.gcra.wake_timer_holder().wake();
            }
            Operation::Refund(_) => {}
            Operation::Advance(ns) => self.advance(self.now + u64::from(ns)),
            Operation::Settle => self.settle(),
            Operation::Change(change) => self.change(change),
        }
    }

    fn change(&mut self, change: Change) {
        match change {
            Change::Pause(ns) => {
                let until = self.now + u64::from(ns);
                self.change_all(|gcra| gcra.pause(until));
            }
            Change::Resume => self.change_all(Gcra::resume),
            Change::Quota(limit) => {
                let Some(quota) = limit.quota() else { return };
                let former = self.shaping;
                let now = self.now;
                self.shaping.quota = quota;
                self.largest_burst = self.largest_burst.max(quota.burst());
                let shaping = self.shaping;
                self.change_all(|gcra| gcra.change(&former, &shaping, now));
            }
            Change::MaxQueued(most) => self.max_queued = u32::from(most % 8) + 1,
        }
    }

    fn advance(&mut self, then: u64) {
        let quota = self.shaping.quota();
        let parts = PARTS / u64::try_from(quota.period().as_nanos()).unwrap_or(1);
        self.credit += (then - self.now) * u64::from(quota.count()) * parts;
        self.now = then;
        for caller in &self.line {
            if caller.alarm.is_some_and(|alarm| alarm <= then) {
                caller.woken.0.store(true, Ordering::SeqCst);
            }
        }
    }

    fn took(&mut self, id: u64, cost: u32) {
        self.taken.push(Taken { id, credit: self.credit, cost });
    }

    /// Serves the reservations at the head, as any poll does.
    fn serve_reserved(&mut self, bucket: &mut Gcra) {
        while let Some(head) = self.line.first()
            && head.reserved
        {
            let GcraDecision::Granted(_) = bucket.take(&self.shaping, self.now, head.cost) else {
                return;
            };
            let head = self.line.remove(0);
            self.took(head.id, head.cost);
            self.tally.served += 1;
            self.served.push(head);
        }
    }

    fn newcomer(&mut self, cost: u32, wait: Option<u8>, awaited: bool) {
        let id = self.next_id;
        self.next_id += 1;
        let mut bucket = self.gcra.without_queue();
        if !self.line.is_empty() {
            self.serve_reserved(&mut bucket);
        }
        let fits = matches!(bucket.take(&self.shaping, self.now, cost), GcraDecision::Granted(_));
        let shaping = self.shaping;
        let at = Conditions { shaping: &shaping, now: self.now };
        let passed = if self.gcra.admit(&shaping, self.now, cost) {
            Ok(self.gcra.last_grant(&shaping, cost))
        } else {
            self.gcra.try_pass(at, cost)
        };
        assert_eq!(passed.is_ok(), self.line.is_empty() && fits, "{passed:?}");
        match passed {
            Ok(grant) => {
                self.took(id, cost);
                self.open.push((id, grant));
            }
            Err(reason) => {
                assert_eq!(reason.at().is_none(), cost > shaping.quota().burst());
                if let (Some(wait), Some(_)) = (wait, reason.at()) {
                    self.join(id, cost, self.now + 16 * u64::from(wait), awaited);
                }
            }
        }
    }

    fn join(&mut self, id: u64, cost: u32, until: u64, awaited: bool) {
        let schedule = self.schedule(Some(cost));
        let expected = schedule.last().copied().flatten();
        let exact = self.is_exact();
        let slack = self.slack();
        let room = self.line.len() + self.waits_unserved() < self.max_queued as usize;
        let woken = Arc::<Woken>::default();
        let mut waker = awaited.then(|| Waker::from(woken.clone()));
        let shaping = self.shaping;
        let at = Conditions { shaping: &shaping, now: self.now };
        match self.gcra.join(at, cost, until, self.max_queued, &mut waker) {
            Ok(ticket) => {
                assert!(room, "the queue is full");
                let late = expected.is_none_or(|then| then > until + slack);
                assert!(!exact || !late, "will be too late");
                let (reserved, until) = if awaited { (false, until) } else { (true, u64::MAX) };
                self.line.push(Caller {
                    id,
                    ticket,
                    cost,
                    until,
                    reserved,
                    too_late: false,
                    woken,
                    alarm: None,
                });
                if awaited {
                    self.poll(self.line.len() - 1, true);
                }
            }
            Err(RateRejectReason::TooLong { at: then, .. }) => {
                assert!(then > until);
                let sooner = expected.is_some_and(|expected| expected < then);
                assert!(!sooner || self.any_leaves(), "{expected:?}, and not {then}");
                let later = expected.is_some_and(|expected| expected > then + slack);
                assert!(!exact || !later, "{expected:?}, and not {then}");
            }
            Err(RateRejectReason::Queued { limit, .. }) => {
                assert!(!room && limit == Some(self.max_queued))
            }
            Err(reason) => differ(&reason, &"a place or none"),
        }
    }

    /// Returns the number of served reservations, without those that are too late.
    fn waits_unserved(&self) -> usize {
        self.served.iter().filter(|caller| !caller.too_late).count()
    }

    fn all(&self) -> usize {
        self.line.len() + self.served.len()
    }

    /// Returns one of all callers.
    fn find(&self, at: usize) -> Option<u64> {
        let at = at.checked_rem(self.all())?;
        self.line.iter().chain(&self.served).nth(at).map(|caller| caller.id)
    }

    /// Returns `true` if the caller is served, `false` if rejected, `None` if it still waits,
    /// without serving the callers before it.
    fn own(&mut self, id: u64, bucket: &mut Gcra) -> Option<(Caller, bool)> {
        if let Some(at) = self.served.iter().position(|caller| caller.id == id) {
            let caller = self.served.remove(at);
            let served = !caller.too_late;
            return Some((caller, served));
        }
        let at = self.line.iter().position(|caller| caller.id == id)?;
        let caller = &self.line[at];
        let served = if caller.cost > self.shaping.quota().burst() || caller.too_late {
            false
        } else if at > 0 {
            return None;
        } else {
            match bucket.take(&self.shaping, self.now, caller.cost) {
                GcraDecision::Granted(_) => true,
                GcraDecision::NotBefore(then, _) if then <= caller.until => return None,
                _ => false,
            }
        };
        let caller = self.line.remove(at);
        if served {
            self.took(caller.id, caller.cost);
            self.tally.served += 1;
        } else {
            self.tally.others += 1;
        }
        Some((caller, served))
    }

    /// Polls a place, by the task of the caller or by the owner of a reservation.
    fn poll(&mut self, at: usize, waits: bool) {
        let Some(id) = self.find(at) else { return };
        let Some(caller) = self.line.iter().chain(&self.served).find(|it| it.id == id) else {
            return;
        };
        // A task always waits.
        let waits = waits || !caller.reserved;
        let Caller { ticket, cost, .. } = *caller;
        let woken = caller.woken.clone();
        self.tally.wakes += usize::from(woken.0.swap(false, Ordering::SeqCst));
        let mut bucket = self.gcra.without_queue();
        let expected = self.own(id, &mut bucket).or_else(|| {
            self.serve_reserved(&mut bucket);
            self.own(id, &mut bucket)
        });
        let shaping = self.shaping;
        let at = Conditions { shaping: &shaping, now: self.now };
        let mut waker = waits.then(|| Waker::from(woken));
        let (polled, wakes) = self.gcra.poll_place(at, ticket, cost, &mut waker);
        wakes.wake();
        match (polled, expected) {
            (QueuePoll::Granted(grant), Some((caller, true))) => self.open.push((caller.id, grant)),
            (QueuePoll::Rejected(reason), Some((_, false))) => {
                assert_eq!(reason.at().is_none(), cost > shaping.quota().burst());
            }
            (QueuePoll::Wait(due), None) => self.waits(id, waits, due),
            (turn, expected) => differ(&turn, &expected.map(|(_, served)| served)),
        }
    }

    /// Checks a call that waits on: the first caller with a task has the timer for the head.
    fn waits(&mut self, id: u64, waits: bool, due: Option<u64>) {
        let head_due = self.schedule(None).first().copied().flatten();
        let Some(at) = self.line.iter().position(|caller| caller.id == id) else { return };
        self.line[at].reserved &= !waits;
        let keeps = self.line.iter().position(|caller| !caller.reserved) == Some(at);
        assert_eq!(due, head_due.filter(|_| keeps), "the time of the next poll");
        assert!(due.is_none_or(|due| due > self.now), "the next poll is due at once");
        if waits {
            self.line[at].alarm = due;
        }
    }

    fn give_up(&mut self, at: usize) {
        let Some(id) = self.find(at) else { return };
        let caller = match self.line.iter().position(|caller| caller.id == id) {
            Some(at) => self.line.remove(at),
            None => {
                self.taken.retain(|taken| taken.id != id);
                let at = self.served.iter().position(|caller| caller.id == id);
                let Some(at) = at else { return };
                self.served.remove(at)
            }
        };
        self.tally.others += 1;
        let shaping = self.shaping;
        self.gcra.give_up(Conditions { shaping: &shaping, now: self.now }, caller.ticket).wake();
    }

    /// Changes a setting for all callers: those that will be too late are notified.
    fn change_all(&mut self, change: impl FnOnce(&mut Gcra)) {
        let shaping = self.shaping;
        change(&mut self.gcra);
        let wakes = self.gcra.reconsider(Conditions { shaping: &shaping, now: self.now });
        wakes.wake();
        self.tally.others += 1;
        // A reservation that costs too much is removed; its owner is notified at the next poll.
        let burst = shaping.quota().burst();
        while let Some(at) = self.line.iter().position(|it| it.reserved && it.cost > burst) {
            let mut gone = self.line.remove(at);
            gone.too_late = true;
            self.served.push(gone);
        }
        let exact = !shaping.is_shaped();
        let slack = self.slack();
        let mut bucket = self.gcra.without_queue();
        let mut now = self.now;
        let wait_queue = self.gcra.wait_queue();
        let places = wait_queue.into_iter().flat_map(|wait_queue| wait_queue.queue.iter());
        for (caller, place) in self.line.iter_mut().zip(places) {
            let former = bucket.without_queue();
            let then = serve(&mut bucket, &shaping, now, caller.cost);
            let is_late = |slack| then.is_none_or(|then| then > caller.until.saturating_add(slack));
            if place.too_late {
                bucket = former;
            } else {
                now = then.unwrap_or(now);
            }
            let newly = place.too_late && !caller.too_late;
            assert!(!newly || is_late(0), "rejected, and would be in time");
            assert!(!exact || !is_late(slack) || place.too_late, "late, and not notified");
            caller.too_late |= place.too_late;
        }
    }

    /// Polls woken callers until none is left, as a runtime does.
    fn settle(&mut self) {
        for _ in 0..=4 * self.line.len() {
            let Some(at) = self.line.iter().position(Caller::is_woken) else { return };
            self.poll(at, true);
        }
        assert!(!self.line.iter().any(Caller::is_woken), "callers wake each other for ever");
    }

    fn check(&self) {
        let wait_queue = self.gcra.wait_queue();
        let places = wait_queue.into_iter().flat_map(|wait_queue| wait_queue.queue.iter());
        assert!(places.map(|it| it.ticket).eq(self.line.iter().map(|it| it.ticket)), "the line");
        let len = wait_queue.map_or(0, |wait_queue| wait_queue.queue.len());
        assert_eq!(len as usize, self.line.len());
        let tokens = wait_queue.map_or(0, |wait_queue| wait_queue.queue.tokens());
        assert_eq!(tokens, self.line.iter().map(|it| u64::from(it.cost)).sum::<u64>());
        assert_eq!(
            wait_queue.map_or(0, |wait_queue| wait_queue.served.len()),
            self.waits_unserved()
        );
        self.check_wakes();
        self.check_expected();
    }

    /// Checks the expected time of a reservation, which is never later than possible.
    fn check_expected(&self) {
        let at = Conditions { shaping: &self.shaping, now: self.now };
        for (caller, then) in self.line.iter().zip(self.schedule(None)) {
            let expected = self.gcra.expected_at(at, caller.ticket);
            let sooner = then < expected;
            let later = then > expected.map(|it| it + self.slack());
            assert!(!sooner || self.any_leaves(), "{then:?}, and not {expected:?}");
            assert!(!later || !self.is_exact(), "{then:?}, and not {expected:?}");
        }
    }

    /// Checks that rejected callers are woken, and that a task is woken when the head is due.
    fn check_wakes(&self) {
        let mut awaited = self.line.iter().filter(|caller| !caller.reserved);
        assert!(awaited.clone().all(|it| !it.too_late || it.is_woken()), "too late, and not woken");
        let head_due = self.schedule(None).first().copied().flatten();
        if let (Some(timer_holder), Some(due)) = (awaited.next(), head_due) {
            let is_timed = timer_holder.alarm.is_some_and(|alarm| alarm <= due);
            assert!(is_timed || timer_holder.is_woken(), "no task is woken at {due}");
        }
    }

    /// Polls all callers as soon as they are due. Each must be served at its expected time, or
    /// sooner.
    fn drain(&mut self) {
        self.settle();
        let schedule = self.schedule(None);
        let exact = self.is_exact();
        let expected: Vec<_> =
            self.line.iter().zip(&schedule).map(|(it, then)| (it.id, *then)).collect();
        while self.all() > 0 {
            self.settle();
            // Owners poll at their expected time.
            while let Some(at) = self.ready_reservation() {
                self.poll(at, false);
                self.check();
            }
            self.settle();
            for (id, then) in &expected {
                let waits = self.line.iter().any(|caller| caller.id == *id);
                assert!(!exact || !waits || then.is_some_and(|it| it > self.now), "{id} is late");
            }
            let alarms = self.line.iter().filter_map(|caller| caller.alarm);
            let due = self.schedule(None).first().copied().flatten();
            let Some(next) = alarms.chain(due.filter(|_| self.line[0].reserved)).min() else {
                assert_eq!(self.all(), 0, "no task will be woken");
                return;
            };
            self.advance(next.max(self.now + 1));
        }
    }

    fn ready_reservation(&self) -> Option<usize> {
        if !self.served.is_empty() {
            return Some(self.line.len());
        }
        let due = self.schedule(None).first().copied()?;
        let comes = self.line[0].reserved && due.is_none_or(|due| due <= self.now);
        comes.then_some(0)
    }

    /// Checks that no window has more tokens than the largest burst and the tokens returned in the
    /// window.
    fn check_windows(&self) {
        let burst = i128::from(self.largest_burst) * i128::from(PARTS);
        let mut sum = 0;
        let mut least = i128::MAX;
        for taken in &self.taken {
            let credit = i128::from(taken.credit);
            least = least.min(sum - credit);
            sum += i128::from(taken.cost) * i128::from(PARTS);
            assert!(sum - credit - least <= burst, "a window holds {}", sum - credit - least);
        }
    }
}

/// Asserts that callers are served in order, each as soon as the bucket permits; that exactly the
/// callers that would be too late are rejected, at once; that a task is always woken for the head,
/// and no more often than needed; that no window exceeds its bound; and that nothing is left at the
/// end.
pub fn limiter(bytes: &[u8]) {
    let Some((start, operations)) = parse::<(Start, Rest<Operation>)>(bytes) else { return };
    let Some(mut run) = Run::new(&start) else { return };
    for operation in operations.0 {
        run.step(operation);
        run.check();
    }
    run.drain();
    run.check();
    run.check_windows();
    let Tally { wakes, served, others } = run.tally;
    assert!(wakes <= 2 * served + others, "{:?}", run.tally);
    let idle = run.now + 365 * 24 * 60 * 60 * 1_000_000_000;
    assert_eq!(run.gcra.used(&run.shaping, idle), 0);
    assert_eq!(run.gcra.wait_queue().map_or(0, |wait_queue| wait_queue.queue.heap_bytes()), 0);
}
