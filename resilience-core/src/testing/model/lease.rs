//! Three processes and one lease, while the store's clock jumps.

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use super::{Rest, parse};
use crate::clock;
use crate::flow::FencingToken;
use crate::flow::lease::{
    Contender, HeldTerm, HolderStep, LeaseRecord, LeaseRequest, LeaseVersion,
};
use crate::timestamp::Timestamp;

#[derive(Debug, Arbitrary)]
struct Input {
    term: u8,
    ops: Rest<Op>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    Pass(u8),
    /// Steps the store's clock, forward or back.
    Step(i8),
    /// Requests the lease. The request takes this long to arrive.
    Acquire(u8, u8),
    /// A holder renews. The request takes this long to arrive.
    Renew(u8, u8),
    /// A holder's renewal is not answered.
    Fail(u8, u8),
    Release(u8),
    /// A process writes with the last token it was given.
    Write(u8),
}

#[derive(Default)]
struct Process {
    contender: Contender,
    /// The version that the contender saw last, and since when it has not changed.
    seen: Option<(LeaseVersion, Instant)>,
    token: Option<FencingToken>,
    held: Option<HeldTerm>,
}

struct World {
    term: Duration,
    /// True time, which monotonic clocks show.
    now: Instant,
    wall: Timestamp,
    record: Option<LeaseRecord>,
    /// The end of the lease as the model counts it, and its holder.
    live: Option<(usize, Timestamp)>,
    tokens: u64,
    last_write: Option<FencingToken>,
    /// The store's clock was once set forward: a lease may have ended early.
    jumped_ahead: bool,
    processes: [Process; 3],
}

/// Tokens grow, no write follows one of a greater token, a lease that stands still for two terms is
/// free, and unless the store's clock was set forward no two processes believe at once that they
/// hold the lease.
pub fn lease(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let mut world = World {
        term: Duration::from_millis(u64::from(input.term % 64) + 20),
        now: clock::now(),
        wall: Timestamp::from_millis(1_000_000),
        record: None,
        live: None,
        tokens: 0,
        last_write: None,
        jumped_ahead: false,
        processes: Default::default(),
    };
    for op in input.ops.0 {
        match op {
            Op::Pass(time) => world.pass(time),
            Op::Step(step) => world.step(step),
            Op::Acquire(process, delay) => world.acquire(usize::from(process % 3), delay),
            Op::Renew(process, delay) => world.renew(usize::from(process % 3), delay),
            Op::Fail(process, u) => world.fail(usize::from(process % 3), u),
            Op::Release(process) => world.release(usize::from(process % 3)),
            Op::Write(process) => world.write(usize::from(process % 3)),
        }
        world.check();
    }
}

impl World {
    fn pass(&mut self, millis: u8) {
        let time = Duration::from_millis(u64::from(millis % 32));
        self.now += time;
        self.wall = self.wall.saturating_add(time);
    }

    fn step(&mut self, step: i8) {
        let step = i64::from(step);
        self.jumped_ahead |= step > 0;
        self.wall = Timestamp::from_millis(self.wall.as_millis() + step);
    }

    fn acquire(&mut self, index: usize, delay: u8) {
        let (sent, process) = (self.now, &self.processes[index]);
        let stalled = process.contender.stalled(sent);
        let still = process.seen.filter(|(_, since)| sent >= *since + self.term * 2);
        assert_eq!(stalled, still.map(|(version, _)| version));
        self.pass(delay);
        let free = self.live.is_none_or(|(_, end)| self.wall >= end);
        let current = self.record.as_ref().map(|it| (it.token, it.renewals));
        let stands = stalled.is_some_and(|it| current == Some((it.token, it.renewals)));
        self.tokens += 1;
        let next = FencingToken::new(self.tokens);
        let request = LeaseRequest::new("lease", "process", self.term).with_stalled(stalled);
        match LeaseRecord::take(self.record.as_ref(), &request, next, self.wall) {
            Ok(record) => {
                assert!(free || stands, "taken from a living holder");
                assert!(self.record.as_ref().is_none_or(|former| former.token < record.token));
                self.live = Some((index, self.wall.saturating_add(self.term)));
                self.record = Some(record);
                let process = &mut self.processes[index];
                process.token = Some(next);
                process.held = Some(HeldTerm::new(self.term, sent));
            }
            Err(status) => {
                assert!(!free && !stands, "held, though it is free");
                let process = &mut self.processes[index];
                let wait = process.contender.observe(&status, self.now, 0.5);
                assert!(!wait.is_zero() && wait <= self.term, "{wait:?}");
                if process.seen.is_none_or(|(version, _)| version != status.version) {
                    process.seen = Some((status.version, self.now));
                }
                assert!(status.remaining <= self.term);
            }
        }
    }

    fn renew(&mut self, index: usize, delay: u8) {
        let sent = self.now;
        let Some(token) = self.processes[index].token else { return };
        if self.processes[index].held.is_none_or(|held| held.step(sent) == HolderStep::Lost) {
            return;
        }
        self.pass(delay);
        let own = self.is_live_under(token);
        let (wall, term) = (self.wall, self.term);
        let renewed = self.record.as_mut().is_some_and(|record| record.renew(token, term, wall));
        assert_eq!(renewed, own);
        let held = self.processes[index].held.as_mut();
        match (renewed, held) {
            (true, Some(held)) => {
                let before = held.ends_at();
                held.renewed(sent);
                assert!(held.ends_at() >= before && held.ends_at() <= sent + self.term);
                self.live = Some((index, self.wall.saturating_add(self.term)));
            }
            (false, Some(held)) => held.end(self.now),
            (_, None) => {}
        }
    }

    fn fail(&mut self, index: usize, u: u8) {
        let now = self.now;
        let Some(held) = &mut self.processes[index].held else { return };
        let end = held.ends_at();
        let limit = held.give_up_at(now);
        assert!(limit <= end && limit <= now + self.term / 5);
        // Odd: given up after its bound, without a response.
        let (now, gave_up) = (if u % 2 == 1 { limit.max(now) } else { now }, u % 2 == 1);
        let u = f64::from(u) / 255.0;
        if gave_up {
            held.gave_up(now, u)
        } else {
            held.failed(now, u)
        }
        assert_eq!(held.ends_at(), end, "a failed renewal extends nothing");
        match held.step(now) {
            HolderStep::WaitUntil(then) => assert!(then > now && then <= end),
            HolderStep::Lost => assert!(now >= end),
            HolderStep::Renew => assert!(gave_up, "a failed renewal is not repeated at once"),
        }
    }

    fn release(&mut self, index: usize) {
        let Some(token) = self.processes[index].token else { return };
        let own = self.record.as_ref().is_some_and(|it| it.token == token && !it.released);
        let released = self.record.as_mut().is_some_and(|record| record.release(token));
        assert_eq!(released, own, "a former holder releases nothing");
        if released {
            self.live = None;
        }
        self.processes[index].held = None;
    }

    fn write(&mut self, index: usize) {
        let Some(token) = self.processes[index].token else { return };
        let own = self.is_live_under(token);
        let admitted = self.record.as_ref().is_some_and(|it| it.admits(token, self.wall));
        assert_eq!(admitted, own);
        if admitted {
            assert!(self.last_write <= Some(token), "the late write of a former holder");
            self.last_write = Some(token);
        }
    }

    fn is_live_under(&self, token: FencingToken) -> bool {
        let current = self.record.as_ref().is_some_and(|record| record.token == token);
        current && self.live.is_some_and(|(_, end)| self.wall < end)
    }

    fn check(&self) {
        let holds = |process: &&Process| {
            process.held.is_some_and(|held| held.step(self.now) != HolderStep::Lost)
        };
        let holders = self.processes.iter().filter(holds).count();
        assert!(holders <= 1 || self.jumped_ahead, "two processes work at once");
    }
}
