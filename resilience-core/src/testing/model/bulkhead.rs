//! Model of the bulkhead: a list of waiting calls.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use super::{Woken, differ};
use crate::bulkhead::QueueOrder;
use crate::bulkhead::model::{
    AdmissionQueue, BulkheadConfig, BulkheadRejectReason, EnterOutcome, PermitGrant, Ticket,
};
use crate::clock;
use crate::model_input::{Rest, parse};
use crate::on_full::OnFull;
use crate::wakes::Wakes;

#[derive(Debug, Arbitrary)]
struct Start {
    limit: u8,
    max_queued: u8,
    order: u8,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Operation {
    /// A new call that does not wait.
    Try(u8),
    /// A new call that waits.
    Wait(u8),
    Poll(u8),
    Cancel(u8),
    Release(u8),
    Resize(u8),
    Reorder(u8),
    ObserveOnly(bool),
    Advance(u8),
}

/// A waiting call of the engine.
struct Waiter {
    id: u64,
    cost: u32,
    ticket: Ticket,
    woken: Arc<Woken>,
}

/// A bulkhead as a list of waiting calls, oldest first, and two numbers.
struct Naive {
    config: BulkheadConfig,
    in_use: u32,
    /// (id, cost)
    line: Vec<(u64, u32)>,
    /// Calls that have not been polled since their end: `true` if admitted.
    results: Vec<(u64, bool)>,
    standing_since: Option<Instant>,
}

impl Naive {
    fn newest_first(&self, now: Instant) -> bool {
        match self.config.order {
            QueueOrder::Fifo => false,
            QueueOrder::NewestFirst => true,
            QueueOrder::NewestFirstAfter(standing) => {
                self.standing_since.is_some_and(|since| now - since > standing)
            }
        }
    }

    fn too_much(&self, cost: u32) -> bool {
        cost > self.config.max_concurrent && self.config.max_concurrent > 0
    }

    fn try_take(&mut self, cost: u32) -> bool {
        let granted =
            cost == 0 || self.line.is_empty() && self.in_use + cost <= self.config.max_concurrent;
        self.in_use += if granted { cost } else { 0 };
        granted
    }

    /// Returns `None` if the call is rejected, `Some(true)` if it is admitted at once,
    /// `Some(false)` if it waits.
    fn enter(&mut self, id: u64, cost: u32, now: Instant) -> Option<bool> {
        if self.try_take(cost) {
            return Some(true);
        }
        if self.too_much(cost) {
            return None;
        }
        if self.line.len() >= self.config.max_queued as usize {
            if self.config.max_queued == 0 || !self.newest_first(now) || self.line.is_empty() {
                return None;
            }
            let (oldest, _) = self.line.remove(0);
            self.results.push((oldest, false));
        }
        self.standing_since.get_or_insert(now);
        self.line.push((id, cost));
        self.serve(now);
        Some(false)
    }

    fn serve(&mut self, now: Instant) {
        while !self.line.is_empty() {
            let next = if self.newest_first(now) { self.line.len() - 1 } else { 0 };
            let (id, cost) = self.line[next];
            let never = self.too_much(cost) && !self.config.observe_only;
            let fits = self.config.observe_only || self.in_use + cost <= self.config.max_concurrent;
            if !never && !fits {
                return;
            }
            self.line.remove(next);
            self.results.push((id, !never));
            self.in_use += if never { 0 } else { cost };
        }
        self.standing_since = None;
    }

    fn take_result(&mut self, id: u64) -> Option<bool> {
        let at = self.results.iter().position(|&(other, _)| other == id)?;
        Some(self.results.swap_remove(at).1)
    }

    fn cancel(&mut self, id: u64, now: Instant) -> Option<bool> {
        let Some(at) = self.line.iter().position(|&(other, _)| other == id) else {
            return self.take_result(id);
        };
        self.line.remove(at);
        self.serve(now);
        None
    }

    fn release(&mut self, cost: u32, now: Instant) {
        self.in_use -= cost;
        self.serve(now);
    }
}

fn order(byte: u8) -> QueueOrder {
    match byte % 3 {
        0 => QueueOrder::Fifo,
        1 => QueueOrder::NewestFirst,
        _ => QueueOrder::NewestFirstAfter(Duration::from_millis(u64::from(byte))),
    }
}

/// The engine and the reference.
struct Run {
    admission_queue: AdmissionQueue,
    naive: Naive,
    version: u32,
    now: Instant,
    next_id: u64,
    waiters: Vec<Waiter>,
    grants: Vec<PermitGrant>,
}

impl Run {
    fn new(start: &Start) -> Run {
        let config = BulkheadConfig {
            max_concurrent: u32::from(start.limit % 8),
            on_full: OnFull::Wait,
            max_queued: u32::from(start.max_queued % 6),
            order: order(start.order),
            observe_only: false,
        };
        let admission_queue = AdmissionQueue::new(config, 0);
        let naive =
            Naive { config, in_use: 0, line: vec![], results: vec![], standing_since: None };
        let now = clock::now();
        Run { admission_queue, naive, version: 0, now, next_id: 0, waiters: vec![], grants: vec![] }
    }

    fn step(&mut self, operation: Operation) {
        match operation {
            Operation::Try(cost) => {
                let cost = u32::from(cost % 5);
                let taken = self.admission_queue.permits.try_take(cost);
                assert_eq!(taken.is_ok(), self.naive.try_take(cost));
                self.grants.extend(taken);
            }
            Operation::Wait(cost) => self.enter(u32::from(cost % 5)),
            Operation::Poll(at) => self.poll(usize::from(at)),
            Operation::Cancel(at) => self.cancel(usize::from(at)),
            Operation::Release(at) if !self.grants.is_empty() => {
                let grant = self.grants.remove(usize::from(at) % self.grants.len());
                self.release(grant);
            }
            Operation::Release(_) => {}
            Operation::Resize(limit) => {
                self.change(|config| config.max_concurrent = u32::from(limit % 8));
            }
            Operation::Reorder(byte) => self.change(|config| config.order = order(byte)),
            Operation::ObserveOnly(on) => self.change(|config| config.observe_only = on),
            Operation::Advance(ms) => self.now += Duration::from_millis(u64::from(ms)),
        }
    }

    fn enter(&mut self, cost: u32) {
        let id = self.next_id;
        let woken = Arc::<Woken>::default();
        self.next_id += 1;
        let expected = self.naive.enter(id, cost, self.now);
        let waker = Waker::from(woken.clone());
        let mut wakes = Wakes::default();
        let entered = self.admission_queue.enter(cost, self.now, &waker, &mut wakes);
        wakes.wake();
        match (entered, expected) {
            (EnterOutcome::Granted(grant), Some(true)) => self.grants.push(grant),
            (EnterOutcome::Waits(ticket, _), Some(false)) => {
                self.waiters.push(Waiter { id, cost, ticket, woken });
            }
            (EnterOutcome::Rejected(reason), None) => {
                let never = matches!(reason, BulkheadRejectReason::Never { .. });
                assert_eq!(never, self.naive.too_much(cost));
            }
            (entered, expected) => differ(&entered, &expected),
        }
    }

    fn poll(&mut self, at: usize) {
        if self.waiters.is_empty() {
            return;
        }
        let waiter = self.waiters.remove(at % self.waiters.len());
        let expected = self.naive.take_result(waiter.id);
        assert_eq!(waiter.woken.0.load(Ordering::SeqCst), expected.is_some(), "woken once served");
        let waker = Waker::from(waiter.woken.clone());
        match (self.admission_queue.poll(&waiter.ticket, waiter.cost, &waker), expected) {
            (Poll::Pending, None) => self.waiters.push(waiter),
            (Poll::Ready(Ok(grant)), Some(true)) => {
                assert_eq!(grant.permits(), waiter.cost);
                self.grants.push(grant);
            }
            (Poll::Ready(Err(_)), Some(false)) => {}
            (polled, expected) => differ(&polled, &expected),
        }
    }

    fn cancel(&mut self, at: usize) {
        if self.waiters.is_empty() {
            return;
        }
        let waiter = self.waiters.remove(at % self.waiters.len());
        let expected = self.naive.cancel(waiter.id, self.now);
        let now = self.now;
        let left = self.admission_queue.leave(&waiter.ticket, || now);
        assert_eq!(left.is_some(), expected == Some(true));
        left.into_iter().for_each(|grant| self.release(grant));
    }

    fn release(&mut self, grant: PermitGrant) {
        let cost = grant.permits();
        let now = self.now;
        self.admission_queue.release(grant, || now);
        self.naive.release(cost, now);
    }

    fn change(&mut self, change: impl FnOnce(&mut BulkheadConfig)) {
        change(&mut self.naive.config);
        self.version += 1;
        let now = self.now;
        let mut wakes = Wakes::default();
        self.admission_queue.apply(self.naive.config, self.version, || now, &mut wakes);
        wakes.wake();
        self.naive.serve(now);
    }

    fn check(&self) {
        let permits = self.admission_queue.permits.counts();
        assert_eq!(permits.in_use, self.naive.in_use);
        assert_eq!(permits.limit, self.naive.config.max_concurrent);
        assert_eq!(permits.waited_for, !self.naive.line.is_empty());
        assert_eq!(self.admission_queue.stats().queued, self.naive.line.len());
    }
}

/// Asserts that the bulkhead admits, queues, serves, evicts and wakes the same calls as the
/// reference, and that no permit is lost.
pub fn bulkhead(bytes: &[u8]) {
    let Some((start, operations)) = parse::<(Start, Rest<Operation>)>(bytes) else { return };
    let mut run = Run::new(&start);
    for operation in operations.0 {
        run.step(operation);
        run.check();
    }
    while !run.waiters.is_empty() {
        run.cancel(0);
    }
    while let Some(grant) = run.grants.pop() {
        run.release(grant);
    }
    run.check();
    assert_eq!(run.admission_queue.permits.counts().in_use, 0);
    assert!(run.admission_queue.stats().idle);
}
