//! The permits and the queue together: how a permit gets from one call to another.
//!
//! While no call waits, newcomers and releases touch the permits alone. The queue is behind a lock,
//! which is taken to wait, to stop waiting, and to release while a call waits. Decisions are made
//! under the lock and carried out after it: no waker runs under the lock.

use std::task::{Poll, Waker};
use std::time::Instant;

use super::builder::BulkheadConfig;
use super::handle::BulkheadRejectReason;
use super::permits::{Denied, PermitGrant, Permits};
use super::queue::{Left, Queue, Ticket};
use crate::on_full::OnFull;
use crate::sync::{AtomicU8, AtomicU64, Mutex, Ordering};
use crate::wakes::Wakes;

/// The permits of one bulkhead, and the calls that wait for them.
#[derive(Debug)]
pub(crate) struct AdmissionQueue {
    pub(crate) permits: SharedPermits,
}

type SharedPermits = Permits<Overflow>;

/// State for the calls that find no permit.
#[derive(Debug)]
pub(crate) struct Overflow {
    /// A [`FullAction`], beside the lock so that a rejection takes none.
    full_action: AtomicU8,
    rejected: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    config: BulkheadConfig,
    /// The version of `config`, so that an older one never replaces a newer one.
    version: u32,
    /// A waker for each call, cloned and dropped outside of the lock: both may run any code.
    queue: Queue<Option<Waker>>,
    waited: u64,
}

/// The treatment of a call that finds no permit: [`OnFull`], unless the bulkhead only observes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FullAction {
    Reject,
    Wait,
    Observe,
}

impl FullAction {
    fn of(config: &BulkheadConfig) -> FullAction {
        match config.on_full {
            _ if config.observe_only => FullAction::Observe,
            OnFull::Reject => FullAction::Reject,
            OnFull::WaitAtMost(_) | OnFull::Wait => FullAction::Wait,
        }
    }
}

/// The result of [`AdmissionQueue::enter`].
#[derive(Debug)]
pub(crate) enum EnterOutcome {
    Granted(PermitGrant),
    Waits(Ticket, OnFull),
    Rejected(BulkheadRejectReason),
}

/// The state of the queue at one moment.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueStats {
    pub(crate) queued: usize,
    pub(crate) waited: u64,
    pub(crate) heap_bytes: usize,
    pub(crate) idle: bool,
}

impl AdmissionQueue {
    pub(crate) fn new(config: BulkheadConfig, version: u32) -> AdmissionQueue {
        const { assert!(size_of::<Overflow>() >= 64, "keeps the peak off the word's cache line") };
        let overflow = Overflow {
            full_action: AtomicU8::new(FullAction::of(&config) as u8),
            rejected: AtomicU64::new(0),
            waiting: Mutex::new(Waiting { config, version, queue: Queue::new(), waited: 0 }),
        };
        AdmissionQueue { permits: Permits::with_colocated(overflow, config.max_concurrent) }
    }

    #[inline]
    const fn overflow(&self) -> &Overflow {
        self.permits.colocated()
    }

    pub(crate) fn full_action(&self) -> FullAction {
        match self.overflow().full_action.load(Ordering::Relaxed) {
            0 => FullAction::Reject,
            1 => FullAction::Wait,
            _ => FullAction::Observe,
        }
    }

    /// Queues for `cost` permits, unless they are free by now. Adds the calls that are served
    /// meanwhile to `wakes`. The caller wakes them when it has stored the ticket, which a panic of
    /// a waker would lose.
    pub(crate) fn enter(
        &self,
        cost: u32,
        now: Instant,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> EnterOutcome {
        // Cloned outside of the lock, and dropped there if the queue does not take it.
        let mut waker = Some(waker.clone());
        self.overflow().waiting.lock().enter(&self.permits, cost, now, &mut waker, wakes)
    }

    /// Returns `Ready` if the waiter was served or evicted, which voids its ticket. Otherwise
    /// registers `waker`.
    pub(crate) fn poll(
        &self,
        ticket: &Ticket,
        cost: u32,
        waker: &Waker,
    ) -> Poll<Result<PermitGrant, BulkheadRejectReason>> {
        let mut is_known = false;
        let polled = self.poll_with(ticket, cost, |current| {
            is_known = current.as_ref().is_some_and(|current| current.will_wake(waker));
        });
        if polled.is_ready() || is_known {
            return polled;
        }
        // Cloned outside of the lock, and the former waker is dropped there: that may free its
        // task, whose drop may run any code.
        let mut newer = Some(waker.clone());
        self.poll_with(ticket, cost, |current| std::mem::swap(current, &mut newer))
    }

    /// Returns the result of the wait, or passes its waker to `renew` while it lasts.
    fn poll_with(
        &self,
        ticket: &Ticket,
        cost: u32,
        renew: impl FnOnce(&mut Option<Waker>),
    ) -> Poll<Result<PermitGrant, BulkheadRejectReason>> {
        let mut waiting = self.overflow().waiting.lock();
        let polled = waiting.queue.poll(ticket, renew);
        polled.map_or(Poll::Pending, |result| {
            Poll::Ready(result.map_err(|denied| waiting.evicted(denied, cost)))
        })
    }

    /// Stops waiting. Returns the permits that were granted meanwhile.
    pub(crate) fn leave(&self, ticket: &Ticket, now: impl Fn() -> Instant) -> Option<PermitGrant> {
        let mut wakes = Wakes::default();
        let mut waiting = self.overflow().waiting.lock();
        let left = waiting.queue.leave(ticket);
        if let Some(Left::Waiting(_)) = left {
            // Others may have waited behind this call.
            waiting.serve(&self.permits, now, &mut wakes);
        }
        drop(waiting);
        wakes.wake();
        if let Some(Left::Granted(grant)) = left { Some(grant) } else { None }
    }

    /// Gives permits back: one atomic operation, unless a call waits.
    #[inline]
    pub(crate) fn release(&self, grant: PermitGrant, now: impl Fn() -> Instant) {
        if self.permits.release(grant) {
            self.serve(now);
        }
    }

    #[cold]
    fn serve(&self, now: impl Fn() -> Instant) {
        let mut wakes = Wakes::default();
        self.overflow().waiting.lock().serve(&self.permits, now, &mut wakes);
        wakes.wake();
    }

    /// Puts a configuration into force, unless a newer version is, and adds the calls that this
    /// serves to `wakes`.
    pub(crate) fn apply(
        &self,
        config: BulkheadConfig,
        version: u32,
        now: impl Fn() -> Instant,
        wakes: &mut Wakes,
    ) {
        let mut waiting = self.overflow().waiting.lock();
        // Versions wrap.
        let is_newer = (1..u32::MAX / 2).contains(&version.wrapping_sub(waiting.version));
        if is_newer {
            waiting.config = config;
            waiting.version = version;
            self.overflow().full_action.store(FullAction::of(&config) as u8, Ordering::Relaxed);
            self.permits.resize(config.max_concurrent);
            waiting.serve(&self.permits, now, wakes);
        }
    }

    /// Returns the reason for which a bulkhead that does more than observe would reject a call
    /// without a permit. Calls over the limit count as the queue.
    pub(crate) fn would_reject(&self, cost: u32, denied: Denied) -> Option<BulkheadRejectReason> {
        let config = self.overflow().waiting.lock().config;
        let counts = self.permits.counts();
        let over = counts.in_use.saturating_sub(counts.limit);
        match (denied, config.on_full) {
            (Denied::Never, _) | (Denied::Full, OnFull::Reject) => Some(self.reason(denied, cost)),
            (Denied::Full, _) if over >= config.max_queued => {
                let limit = config.max_queued;
                Some(BulkheadRejectReason::QueueFull { limit, queued: over as usize })
            }
            (Denied::Full, _) => None,
        }
    }

    /// Takes permits, over the limit if need be.
    pub(crate) fn admit_over_limit(&self, cost: u32) -> PermitGrant {
        self.permits.force_take(cost)
    }

    pub(crate) fn reason(&self, denied: Denied, cost: u32) -> BulkheadRejectReason {
        let counts = self.permits.counts();
        match denied {
            Denied::Full => {
                BulkheadRejectReason::Full { limit: counts.limit, in_use: counts.in_use }
            }
            Denied::Never => BulkheadRejectReason::Never { limit: counts.limit, cost },
        }
    }

    pub(crate) fn count_rejection(&self) {
        self.overflow().rejected.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn rejected(&self) -> u64 {
        self.overflow().rejected.load(Ordering::Relaxed)
    }

    pub(crate) fn stats(&self) -> QueueStats {
        let waiting = self.overflow().waiting.lock();
        QueueStats {
            queued: waiting.queue.len(),
            waited: waiting.waited,
            heap_bytes: waiting.queue.heap_bytes(),
            idle: waiting.queue.is_idle(),
        }
    }
}

impl Waiting {
    fn enter(
        &mut self,
        permits: &SharedPermits,
        cost: u32,
        now: Instant,
        waker: &mut Option<Waker>,
        wakes: &mut Wakes,
    ) -> EnterOutcome {
        match permits.take_or_wait(cost) {
            Ok(grant) => return EnterOutcome::Granted(grant),
            Err(Denied::Never) => {
                let limit = permits.counts().limit;
                return EnterOutcome::Rejected(BulkheadRejectReason::Never { limit, cost });
            }
            // From here on every release takes the lock.
            Err(Denied::Full) => {}
        }
        let BulkheadConfig { max_queued, order, on_full, .. } = self.config;
        let entered = match self.queue.join(cost, None, max_queued, order, now) {
            Ok(joined) => {
                // The waker moves into the queue only with a place; otherwise the caller drops it.
                self.queue.poll(&joined.ticket, |current| *current = waker.take());
                wakes.add(joined.evicted.flatten());
                self.waited += 1;
                EnterOutcome::Waits(joined.ticket, on_full)
            }
            Err(_) => EnterOutcome::Rejected(self.queue_full()),
        };
        // The newest call may be next, and need fewer permits than the former head; and the
        // configuration may have changed since the caller read it.
        self.serve(permits, || now, wakes);
        entered
    }

    /// Serves calls until the next has to wait on.
    fn serve(&mut self, permits: &SharedPermits, now: impl Fn() -> Instant, wakes: &mut Wakes) {
        let BulkheadConfig { order, observe_only, .. } = self.config;
        let take = |cost| {
            if observe_only { Ok(permits.force_take(cost)) } else { permits.take_next(cost) }
        };
        while let Some(waker) = self.queue.serve(order, &now, take) {
            wakes.add(waker);
        }
        if self.queue.is_empty() {
            permits.clear_waited_for();
        }
    }

    fn queue_full(&self) -> BulkheadRejectReason {
        let limit = self.config.max_queued;
        BulkheadRejectReason::QueueFull { limit, queued: self.queue.len() }
    }

    /// Returns the reason to reject a waiter that was evicted.
    fn evicted(&self, denied: Denied, cost: u32) -> BulkheadRejectReason {
        match denied {
            Denied::Full => self.queue_full(),
            // The limit was lowered while the call waited.
            Denied::Never => {
                BulkheadRejectReason::Never { limit: self.config.max_concurrent, cost }
            }
        }
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use crate::bulkhead::queue::QueueOrder;
    use crate::clock;
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    fn admission_queue(max_concurrent: u32) -> Arc<AdmissionQueue> {
        Arc::new(AdmissionQueue::new(config(max_concurrent), 0))
    }

    fn config(max_concurrent: u32) -> BulkheadConfig {
        BulkheadConfig {
            max_concurrent,
            on_full: OnFull::Wait,
            max_queued: 10,
            order: QueueOrder::Fifo,
            observe_only: false,
        }
    }

    #[derive(Default)]
    struct Woken(AtomicBool);

    impl std::task::Wake for Woken {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }

    /// A call that waits for one permit, polled by hand.
    struct Waiter {
        woken: std::sync::Arc<Woken>,
        entered: EnterOutcome,
    }

    impl Waiter {
        fn enter(admission_queue: &AdmissionQueue, cost: u32) -> Waiter {
            let woken = std::sync::Arc::<Woken>::default();
            let waker = woken.clone().into();
            let entered = admission_queue.enter(cost, clock::now(), &waker, &mut Wakes::default());
            Waiter { woken, entered }
        }

        /// When all else is at rest: it has its permit, and was woken if it had to wait.
        fn finish(self, admission_queue: &AdmissionQueue) -> PermitGrant {
            let ticket = match self.entered {
                EnterOutcome::Granted(grant) => return grant,
                EnterOutcome::Waits(ticket, _) => ticket,
                EnterOutcome::Rejected(reason) => panic!("{reason:?}"),
            };
            assert!(self.woken.0.load(Ordering::SeqCst), "a wake-up was lost");
            match admission_queue.poll(&ticket, 1, Waker::noop()) {
                Poll::Ready(Ok(grant)) => grant,
                other => panic!("{other:?}"),
            }
        }

        /// Gives up, as a dropped future does.
        fn cancel(self, admission_queue: &AdmissionQueue) {
            let granted = match self.entered {
                EnterOutcome::Granted(grant) => Some(grant),
                EnterOutcome::Waits(ticket, _) => admission_queue.leave(&ticket, clock::now),
                EnterOutcome::Rejected(reason) => panic!("{reason:?}"),
            };
            granted.into_iter().for_each(|grant| admission_queue.release(grant, clock::now));
        }
    }

    fn at_rest(admission_queue: &AdmissionQueue) {
        let counts = admission_queue.permits.counts();
        assert_eq!((counts.in_use, counts.waited_for), (0, false));
        assert!(admission_queue.stats().idle);
        assert!(admission_queue.permits.try_take(1).is_ok());
    }

    #[test]
    fn loom_a_release_while_a_waiter_enqueues_is_not_lost() {
        loom::model(|| {
            let admission_queue = admission_queue(1);
            let out = admission_queue.permits.try_take(1).unwrap();
            let releaser = {
                let admission_queue = admission_queue.clone();
                thread::spawn(move || admission_queue.release(out, clock::now))
            };
            let waiter = Waiter::enter(&admission_queue, 1);
            releaser.join().unwrap();
            let grant = waiter.finish(&admission_queue);
            admission_queue.release(grant, clock::now);
            at_rest(&admission_queue);
        });
    }

    #[test]
    fn loom_a_cancelled_waiter_passes_the_baton() {
        loom::model(|| {
            let admission_queue = admission_queue(1);
            let out = admission_queue.permits.try_take(1).unwrap();
            let first = Waiter::enter(&admission_queue, 1);
            let second = Waiter::enter(&admission_queue, 1);
            let releaser = {
                let admission_queue = admission_queue.clone();
                thread::spawn(move || admission_queue.release(out, clock::now))
            };
            first.cancel(&admission_queue);
            releaser.join().unwrap();
            let grant = second.finish(&admission_queue);
            admission_queue.release(grant, clock::now);
            at_rest(&admission_queue);
        });
    }

    #[test]
    fn loom_raising_the_limit_serves_who_waits() {
        loom::model(|| {
            let admission_queue = admission_queue(0);
            let resizer = {
                let admission_queue = admission_queue.clone();
                thread::spawn(move || {
                    admission_queue.apply(config(1), 1, clock::now, &mut Wakes::default())
                })
            };
            let waiter = Waiter::enter(&admission_queue, 1);
            resizer.join().unwrap();
            let grant = waiter.finish(&admission_queue);
            admission_queue.release(grant, clock::now);
            at_rest(&admission_queue);
        });
    }

    #[test]
    fn loom_a_newcomer_a_waiter_and_a_release_lose_nothing() {
        loom::model(|| {
            let admission_queue = admission_queue(1);
            let out = admission_queue.permits.try_take(1).unwrap();
            let threads = [
                {
                    let admission_queue = admission_queue.clone();
                    thread::spawn(move || admission_queue.release(out, clock::now))
                },
                {
                    let admission_queue = admission_queue.clone();
                    thread::spawn(move || {
                        if let Ok(grant) = admission_queue.permits.try_take(1) {
                            admission_queue.release(grant, clock::now);
                        }
                    })
                },
            ];
            let waiter = Waiter::enter(&admission_queue, 1);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let grant = waiter.finish(&admission_queue);
            admission_queue.release(grant, clock::now);
            at_rest(&admission_queue);
        });
    }
}
