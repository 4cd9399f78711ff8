//! The limiter's queue beside a list of who waits.
//!
//! The bucket is taken as it is found, having a model of its own ([`rate`](super::rate)): what is
//! proved here is whom it serves, in which order and when, and that somebody is woken for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use arbitrary::{Arbitrary, Unstructured};

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
    /// A newcomer that does not wait.
    Try(u8),
    /// A newcomer that waits so long at most, if at all.
    Wait(u8, u8),
    /// One that will come for its place.
    Reserve(u8, u8),
    /// A place's task looks, woken or not. That of a reservation waits from then on.
    Poll(u8),
    /// The owner of a reservation looks, and does not wait.
    Redeem(u8),
    Drop(u8),
    /// What was taken was never used.
    Refund(u8),
    Advance(u8),
    /// Everybody who was woken looks.
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

/// Divide [`PARTS`], so that what comes back in any time is a whole number of parts.
const PERIODS: [u64; 4] = [100, 250, 700, 1_750];
const PARTS: u64 = 3_500;

impl Limit {
    fn quota(self) -> Option<Quota> {
        let count = u32::from(self.count % 10) + 1;
        let period = Duration::from_nanos(PERIODS[usize::from(self.period % 4)]);
        Quota::per(count, period).and_then(|it| it.with_burst(u32::from(self.burst % 6) + 1)).ok()
    }
}

/// Somebody with a place, in the line or served already.
struct Caller {
    id: u64,
    ticket: Ticket,
    cost: u32,
    until: u64,
    /// No task of its waits.
    reserved: bool,
    /// Was told that it is too late.
    too_late: bool,
    woken: Arc<Woken>,
    alarm: Option<u64>,
}

#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Caller {
    fn is_woken(&self) -> bool {
        self.woken.0.load(Ordering::SeqCst)
    }
}

/// What was taken and not given back: by whom, what had come back by then, how many.
struct Taken {
    id: u64,
    credit: u64,
    cost: u32,
}

/// What is done to the queue, and what may wake somebody.
#[derive(Debug, Default)]
struct Tally {
    /// Callers that were woken, and looked.
    wakes: usize,
    served: usize,
    /// Left, turned away, gave something back, changed something for all.
    others: usize,
}

/// Both, side by side: the engine, and a list.
struct Run {
    gcra: Gcra,
    shaping: Shaping,
    now: u64,
    max_queued: u32,
    next_id: u64,
    line: Vec<Caller>,
    /// Served on their behalf, and not come for it.
    served: Vec<Caller>,
    open: Vec<(u64, Grant)>,
    taken: Vec<Taken>,
    /// What has come back since the start, in parts of a token.
    credit: u64,
    largest_burst: u32,
    tally: Tally,
}

/// When a bucket alone would serve this cost, and that it does.
fn serve(bucket: &mut Gcra, shaping: &Shaping, now: u64, cost: u32) -> Option<u64> {
    match bucket.take(shaping, now, cost) {
        GcraDecision::Granted(_) => Some(now),
        GcraDecision::Never => None,
        GcraDecision::NotBefore(then, _) => {
            let again = bucket.take(shaping, then, cost);
            assert!(
                matches!(again, GcraDecision::Granted(_)),
                "{again:?} at the time that it said"
            );
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

    /// Whether tokens alone decide: else what is expected is the earliest that it can be.
    fn is_exact(&self) -> bool {
        !self.shaping.is_shaped() && !self.anybody_leaves()
    }

    /// Everybody in the line comes at a whole nanosecond, up to one after its tokens were there.
    fn slack(&self) -> u64 {
        self.line.len() as u64
    }

    /// Those who were told that they are too late stand in the line until their tasks have run.
    fn anybody_leaves(&self) -> bool {
        self.line.iter().any(|caller| caller.too_late)
    }

    /// When all in the line would be served, and after them a newcomer, if all come as soon as they
    /// may.
    fn schedule(&self, newcomer: Option<u32>) -> Vec<Option<u64>> {
        let (mut bucket, mut now) = (self.gcra.without_queue(), self.now);
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
            Operation::Poll(at) => self.look(usize::from(at), true),
            Operation::Redeem(at) => self.look(usize::from(at), false),
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
                self.tell_all(|gcra| gcra.pause(until));
            }
            Change::Resume => self.tell_all(Gcra::resume),
            Change::Quota(limit) => {
                let Some(quota) = limit.quota() else { return };
                let (former, now) = (self.shaping, self.now);
                self.shaping.quota = quota;
                self.largest_burst = self.largest_burst.max(quota.burst());
                let shaping = self.shaping;
                self.tell_all(|gcra| gcra.change(&former, &shaping, now));
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

    /// Reservations whose turn it is are served, whoever comes.
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
        let (exact, slack) = (self.is_exact(), self.slack());
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
                    self.look(self.line.len() - 1, true);
                }
            }
            Err(RateRejectReason::TooLong { at: then, .. }) => {
                assert!(then > until);
                let sooner = expected.is_some_and(|expected| expected < then);
                assert!(!sooner || self.anybody_leaves(), "{expected:?}, and not {then}");
                let later = expected.is_some_and(|expected| expected > then + slack);
                assert!(!exact || !later, "{expected:?}, and not {then}");
            }
            Err(RateRejectReason::Queued { limit, .. }) => {
                assert!(!room && limit == Some(self.max_queued))
            }
            Err(reason) => differ(&reason, &"a place or none"),
        }
    }

    /// Those who were served, and not those whose place is gone.
    fn waits_unserved(&self) -> usize {
        self.served.iter().filter(|caller| !caller.too_late).count()
    }

    fn all(&self) -> usize {
        self.line.len() + self.served.len()
    }

    /// One of all callers.
    fn find(&self, at: usize) -> Option<u64> {
        let at = at.checked_rem(self.all())?;
        self.line.iter().chain(&self.served).nth(at).map(|caller| caller.id)
    }

    /// What the model says to a caller without looking at those before it: served or not, or
    /// nothing yet.
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

    /// The caller's task, or its owner, looks whether it is its turn.
    fn look(&mut self, at: usize, waits: bool) {
        let Some(id) = self.find(at) else { return };
        let Some(caller) = self.line.iter().chain(&self.served).find(|it| it.id == id) else {
            return;
        };
        // A task always waits.
        let waits = waits || !caller.reserved;
        let (ticket, cost, woken) = (caller.ticket, caller.cost, caller.woken.clone());
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

    /// It waits; whoever is the first to be woken does so for the head.
    fn waits(&mut self, id: u64, waits: bool, due: Option<u64>) {
        let head_due = self.schedule(None).first().copied().flatten();
        let Some(at) = self.line.iter().position(|caller| caller.id == id) else { return };
        self.line[at].reserved &= !waits;
        let keeps = self.line.iter().position(|caller| !caller.reserved) == Some(at);
        assert_eq!(due, head_due.filter(|_| keeps), "when to look again");
        assert!(due.is_none_or(|due| due > self.now), "told to look again at once");
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

    /// Something changes for all: whoever will now be too late is told.
    fn tell_all(&mut self, change: impl FnOnce(&mut Gcra)) {
        let shaping = self.shaping;
        change(&mut self.gcra);
        let wakes = self.gcra.reconsider(Conditions { shaping: &shaping, now: self.now });
        wakes.wake();
        self.tally.others += 1;
        // What is reserved and costs too much is gone; told when its owner comes.
        let burst = shaping.quota().burst();
        while let Some(at) = self.line.iter().position(|it| it.reserved && it.cost > burst) {
            let mut gone = self.line.remove(at);
            gone.too_late = true;
            self.served.push(gone);
        }
        let (exact, slack) = (!shaping.is_shaped(), self.slack());
        let (mut bucket, mut now) = (self.gcra.without_queue(), self.now);
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
            let told = place.too_late && !caller.too_late;
            assert!(!told || is_late(0), "sent away, and would be in time");
            assert!(!exact || !is_late(slack) || place.too_late, "late, and not told");
            caller.too_late |= place.too_late;
        }
    }

    /// A runtime polls whoever is woken, until nobody is.
    fn settle(&mut self) {
        for _ in 0..=4 * self.line.len() {
            let Some(at) = self.line.iter().position(Caller::is_woken) else { return };
            self.look(at, true);
        }
        assert!(!self.line.iter().any(Caller::is_woken), "they wake each other for ever");
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

    /// What a reservation is told: never later than it can be.
    fn check_expected(&self) {
        let at = Conditions { shaping: &self.shaping, now: self.now };
        for (caller, then) in self.line.iter().zip(self.schedule(None)) {
            let expected = self.gcra.expected_at(at, caller.ticket);
            let (sooner, later) = (then < expected, then > expected.map(|it| it + self.slack()));
            assert!(!sooner || self.anybody_leaves(), "{then:?}, and not {expected:?}");
            assert!(!later || !self.is_exact(), "{then:?}, and not {expected:?}");
        }
    }

    /// Nobody is forgotten: who is told off is woken, and somebody looks when the head is due.
    fn check_wakes(&self) {
        let mut awaited = self.line.iter().filter(|caller| !caller.reserved);
        assert!(awaited.clone().all(|it| !it.too_late || it.is_woken()), "told, and not woken");
        let head_due = self.schedule(None).first().copied().flatten();
        if let (Some(timer_holder), Some(due)) = (awaited.next(), head_due) {
            let looks = timer_holder.alarm.is_some_and(|alarm| alarm <= due);
            assert!(looks || timer_holder.is_woken(), "nobody looks at {due}");
        }
    }

    /// All come as soon as they may: each is served when it was said, or sooner.
    fn drain(&mut self) {
        self.settle();
        let schedule = self.schedule(None);
        let exact = self.is_exact();
        let said: Vec<_> =
            self.line.iter().zip(&schedule).map(|(it, then)| (it.id, *then)).collect();
        while self.all() > 0 {
            self.settle();
            // Owners come when they were told.
            while let Some(at) = self.ready_reservation() {
                self.look(at, false);
                self.check();
            }
            self.settle();
            for (id, then) in &said {
                let waits = self.line.iter().any(|caller| caller.id == *id);
                assert!(!exact || !waits || then.is_some_and(|it| it > self.now), "{id} is late");
            }
            let alarms = self.line.iter().filter_map(|caller| caller.alarm);
            let due = self.schedule(None).first().copied().flatten();
            let Some(next) = alarms.chain(due.filter(|_| self.line[0].reserved)).min() else {
                assert_eq!(self.all(), 0, "nobody will be woken");
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

    /// In every window, no more than the largest burst and what came back in it.
    fn check_windows(&self) {
        let burst = i128::from(self.largest_burst) * i128::from(PARTS);
        let (mut sum, mut least) = (0, i128::MAX);
        for taken in &self.taken {
            let credit = i128::from(taken.credit);
            least = least.min(sum - credit);
            sum += i128::from(taken.cost) * i128::from(PARTS);
            assert!(sum - credit - least <= burst, "a window holds {}", sum - credit - least);
        }
    }
}

/// Callers are served in the order in which they came, each when the bucket lets it; whoever would
/// be too late is told at once, nobody else is; somebody is always woken for the head, and not more
/// often than it takes; no window holds too much; and at rest nothing is left.
pub fn limiter(bytes: &[u8]) {
    let mut bytes = Unstructured::new(bytes);
    let Ok(start) = bytes.arbitrary() else { return };
    let Some(mut run) = Run::new(&start) else { return };
    // Not a `Vec`, of which random bytes make one of two elements on the average.
    while !bytes.is_empty() {
        let Ok(operation) = bytes.arbitrary() else { break };
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

#[expect(clippy::panic, reason = "this is how a model fails")]
fn differ(engine: &impl std::fmt::Debug, model: &impl std::fmt::Debug) -> ! {
    panic!("the engine says {engine:?}, the model {model:?}")
}
