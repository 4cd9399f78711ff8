//! The ledger and the queue together: how a permit gets from one call to another.
//!
//! Newcomers and releases touch the ledger alone, as long as nobody waits. The queue is behind a lock,
//! which is taken to wait, to stop waiting, and to release while somebody waits. What is decided under
//! it is carried out after it: nobody is woken under a lock.

use std::task::{Poll, Waker};
use std::time::Instant;

use super::config::Rules;
use super::ledger::{Charge, Denied, PermitLedger};
use super::queue::{Left, Queue, Ticket};
use super::refusal::Refusal;
use crate::patience::Patience;
use crate::sync::{AtomicU8, AtomicU64, Mutex, Ordering};
use crate::wakes::Wakes;

/// Who may go on, and who waits until they may.
#[derive(Debug)]
pub(crate) struct Turnstile {
    ledger: Ledger,
}

type Ledger = PermitLedger<Overflow>;

/// What only a call has to do with that finds no permit.
#[derive(Debug)]
pub(crate) struct Overflow {
    /// A [`Posture`], so that shedding takes no lock.
    posture: AtomicU8,
    refused: AtomicU64,
    line: Mutex<Line>,
}

#[derive(Debug)]
struct Line {
    rules: Rules,
    /// Counts the changes of the rules, so that an older one never replaces a newer one.
    version: u64,
    /// A waker each, cloned and dropped outside of the lock: both may be any code.
    queue: Queue<Option<Waker>>,
    waited: u64,
}

/// What becomes of a call that finds no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Posture {
    Refused,
    Waits,
    Observed,
}

/// What became of a call that wanted to wait.
#[derive(Debug)]
pub(crate) enum Entered {
    Granted(Charge),
    Waits(Ticket, Patience),
    Refused(Refusal),
}

/// What there is to see, at one instant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sight {
    pub(crate) queued: usize,
    pub(crate) waited: u64,
    pub(crate) heap_bytes: usize,
    pub(crate) idle: bool,
}

impl Turnstile {
    pub(crate) fn new(rules: Rules, version: u64) -> Turnstile {
        const { assert!(size_of::<Overflow>() >= 64, "what stands around it is on one cache line") };
        let overflow = Overflow {
            posture: AtomicU8::new(rules.posture() as u8),
            refused: AtomicU64::new(0),
            line: Mutex::new(Line { rules, version, queue: Queue::new(), waited: 0 }),
        };
        Turnstile { ledger: PermitLedger::around(overflow, rules.max_concurrent) }
    }

    #[inline]
    const fn overflow(&self) -> &Overflow {
        self.ledger.beside()
    }

    pub(crate) const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    #[inline]
    pub(crate) fn try_take(&self, cost: u32) -> Result<Charge, Denied> {
        self.ledger.try_take(cost)
    }

    pub(crate) fn posture(&self) -> Posture {
        match self.overflow().posture.load(Ordering::Relaxed) {
            0 => Posture::Refused,
            1 => Posture::Waits,
            _ => Posture::Observed,
        }
    }

    /// Queues for `cost` permits, unless they are there by now. Others who may go on then are added to
    /// `wakes`, for the caller to wake when the ticket is kept: a waker that panics would lose it.
    pub(crate) fn enter(
        &self,
        cost: u32,
        now: Instant,
        waker: &Waker,
        wakes: &mut Wakes,
    ) -> Entered {
        // Cloned, and dropped if it finds no place, outside of the lock.
        let mut waker = Some(waker.clone());
        self.overflow().line.lock().enter(&self.ledger, cost, now, &mut waker, wakes)
    }

    /// Whether the waiter was served. Its ticket is void if so; if not, `waker` is woken when it is.
    pub(crate) fn poll(
        &self,
        ticket: &Ticket,
        cost: u32,
        waker: &Waker,
    ) -> Poll<Result<Charge, Refusal>> {
        let mut is_known = false;
        let answer = self.ask(ticket, cost, |current| {
            is_known = current.as_ref().is_some_and(|current| current.will_wake(waker));
        });
        if answer.is_ready() || is_known {
            return answer;
        }
        // Outside of the lock, as the drop of the former one: that may free its task, and a task may hold
        // anything.
        let mut newer = Some(waker.clone());
        self.ask(ticket, cost, |current| std::mem::swap(current, &mut newer))
    }

    /// Returns what became of the waiter, or passes its waker to `renew` while it waits.
    fn ask(
        &self,
        ticket: &Ticket,
        cost: u32,
        renew: impl FnOnce(&mut Option<Waker>),
    ) -> Poll<Result<Charge, Refusal>> {
        let mut line = self.overflow().line.lock();
        let asked = line.queue.ask(ticket, renew);
        asked.map_or(Poll::Pending, |answer| {
            Poll::Ready(answer.map_err(|why| line.turned_out(why, cost)))
        })
    }

    /// Stops waiting. What the waiter was granted meanwhile, if it was.
    pub(crate) fn leave(&self, ticket: &Ticket, now: impl Fn() -> Instant) -> Option<Charge> {
        let mut wakes = Wakes::default();
        let mut line = self.overflow().line.lock();
        let left = line.queue.leave(ticket);
        if let Some(Left::Waiting(_)) = left {
            // It may have stood in the way of others.
            line.serve(&self.ledger, now, &mut wakes);
        }
        drop(line);
        wakes.wake();
        if let Some(Left::Granted(charge)) = left { Some(charge) } else { None }
    }

    /// One atomic operation, unless somebody waits.
    #[inline]
    pub(crate) fn release(&self, charge: Charge, now: impl Fn() -> Instant) {
        if self.ledger.release(charge) {
            self.serve(now);
        }
    }

    #[cold]
    fn serve(&self, now: impl Fn() -> Instant) {
        let mut wakes = Wakes::default();
        self.overflow().line.lock().serve(&self.ledger, now, &mut wakes);
        wakes.wake();
    }

    /// Puts the rules of this version into force, unless newer ones are, and serves whom they allow: those
    /// are added to `wakes`.
    pub(crate) fn apply(
        &self,
        rules: Rules,
        version: u64,
        now: impl Fn() -> Instant,
        wakes: &mut Wakes,
    ) {
        let mut line = self.overflow().line.lock();
        if line.version < version {
            (line.rules, line.version) = (rules, version);
            self.overflow().posture.store(rules.posture() as u8, Ordering::Relaxed);
            self.ledger.resize(rules.max_concurrent);
            line.serve(&self.ledger, now, wakes);
        }
    }

    /// Returns what a call that finds no permit would be refused with if this did more than observe: those
    /// over the limit stand for the queue. It is [let in](Turnstile::let_in) all the same.
    pub(crate) fn would_refuse(&self, cost: u32, denied: Denied) -> Option<Refusal> {
        let rules = self.overflow().line.lock().rules;
        let permits = self.ledger.permits();
        let over = permits.in_use.saturating_sub(permits.limit);
        match (denied, rules.patience) {
            (Denied::Never, _) | (Denied::Full, Patience::None) => Some(self.refusal(denied, cost)),
            (Denied::Full, _) if over >= rules.max_queued => {
                Some(Refusal::QueueFull { limit: rules.max_queued, queued: over as usize })
            }
            (Denied::Full, _) => None,
        }
    }

    /// Takes permits whether they are there or not.
    pub(crate) fn let_in(&self, cost: u32) -> Charge {
        self.ledger.take_over(cost)
    }

    pub(crate) fn refusal(&self, denied: Denied, cost: u32) -> Refusal {
        let permits = self.ledger.permits();
        match denied {
            Denied::Full => Refusal::Full { limit: permits.limit, in_use: permits.in_use },
            Denied::Never => Refusal::Never { limit: permits.limit, cost },
        }
    }

    pub(crate) fn count_refusal(&self) {
        self.overflow().refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self) -> u64 {
        self.overflow().refused.load(Ordering::Relaxed)
    }

    pub(crate) fn look(&self) -> Sight {
        let line = self.overflow().line.lock();
        Sight {
            queued: line.queue.len(),
            waited: line.waited,
            heap_bytes: line.queue.heap_bytes(),
            idle: line.queue.is_idle(),
        }
    }
}

impl Line {
    fn enter(
        &mut self,
        ledger: &Ledger,
        cost: u32,
        now: Instant,
        waker: &mut Option<Waker>,
        wakes: &mut Wakes,
    ) -> Entered {
        match ledger.take_or_wait(cost) {
            Ok(charge) => return Entered::Granted(charge),
            Err(Denied::Never) => {
                let limit = ledger.permits().limit;
                return Entered::Refused(Refusal::Never { limit, cost });
            }
            // From here on every release comes to the lock.
            Err(Denied::Full) => {}
        }
        let Rules { max_queued, order, patience, .. } = self.rules;
        let entered = match self.queue.join(cost, None, max_queued, order, now) {
            Ok(joined) => {
                // It waits, and so is asked to renew its waker. One that finds no place stays the caller's.
                self.queue.ask(&joined.ticket, |current| *current = waker.take());
                wakes.add(joined.turned_out.flatten());
                self.waited += 1;
                Entered::Waits(joined.ticket, patience)
            }
            Err(_) => {
                Entered::Refused(Refusal::QueueFull { limit: max_queued, queued: self.queue.len() })
            }
        };
        // The newest may be next, and need less than who was; and the rules may have changed since
        // the caller looked.
        self.serve(ledger, || now, wakes);
        entered
    }

    /// Serves until who is next has to wait on.
    fn serve(&mut self, ledger: &Ledger, now: impl Fn() -> Instant, wakes: &mut Wakes) {
        let Rules { order, observe_only, .. } = self.rules;
        let take = |cost| {
            if observe_only { Ok(ledger.take_over(cost)) } else { ledger.take_next(cost) }
        };
        while let Some(waker) = self.queue.serve(order, &now, take) {
            wakes.add(waker);
        }
        if self.queue.is_empty() {
            ledger.nobody_waits();
        }
    }

    /// What a waiter that was turned out is told.
    fn turned_out(&self, why: Denied, cost: u32) -> Refusal {
        match why {
            Denied::Full => {
                Refusal::QueueFull { limit: self.rules.max_queued, queued: self.queue.len() }
            }
            // The limit was lowered while it waited.
            Denied::Never => Refusal::Never { limit: self.rules.max_concurrent, cost },
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

    fn turnstile(max_concurrent: u32) -> Arc<Turnstile> {
        Arc::new(Turnstile::new(rules(max_concurrent), 0))
    }

    fn rules(max_concurrent: u32) -> Rules {
        Rules {
            max_concurrent,
            patience: Patience::Endless,
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
        entered: Entered,
    }

    impl Waiter {
        fn enter(turnstile: &Turnstile, cost: u32) -> Waiter {
            let woken = std::sync::Arc::<Woken>::default();
            let (now, waker) = (clock::now(), woken.clone().into());
            let entered = turnstile.enter(cost, now, &waker, &mut Wakes::default());
            Waiter { woken, entered }
        }

        /// When all else is at rest: it has its permit, and has been told if it had to wait.
        fn finish(self, turnstile: &Turnstile) -> Charge {
            let ticket = match self.entered {
                Entered::Granted(charge) => return charge,
                Entered::Waits(ticket, _) => ticket,
                Entered::Refused(refusal) => panic!("{refusal:?}"),
            };
            assert!(self.woken.0.load(Ordering::SeqCst), "a wake-up was lost");
            match turnstile.poll(&ticket, 1, Waker::noop()) {
                Poll::Ready(Ok(charge)) => charge,
                other => panic!("{other:?}"),
            }
        }

        /// Gives up, as a dropped future does.
        fn cancel(self, turnstile: &Turnstile) {
            let granted = match self.entered {
                Entered::Granted(charge) => Some(charge),
                Entered::Waits(ticket, _) => turnstile.leave(&ticket, clock::now),
                Entered::Refused(refusal) => panic!("{refusal:?}"),
            };
            granted.into_iter().for_each(|charge| turnstile.release(charge, clock::now));
        }
    }

    fn at_rest(turnstile: &Turnstile) {
        let permits = turnstile.ledger().permits();
        assert_eq!((permits.in_use, permits.waited_for), (0, false));
        assert!(turnstile.look().idle);
        assert!(turnstile.try_take(1).is_ok());
    }

    #[test]
    fn loom_a_release_while_a_waiter_enqueues_is_not_lost() {
        loom::model(|| {
            let turnstile = turnstile(1);
            let out = turnstile.try_take(1).unwrap();
            let releaser = {
                let turnstile = turnstile.clone();
                thread::spawn(move || turnstile.release(out, clock::now))
            };
            let waiter = Waiter::enter(&turnstile, 1);
            releaser.join().unwrap();
            let charge = waiter.finish(&turnstile);
            turnstile.release(charge, clock::now);
            at_rest(&turnstile);
        });
    }

    #[test]
    fn loom_a_cancelled_waiter_passes_the_baton() {
        loom::model(|| {
            let turnstile = turnstile(1);
            let out = turnstile.try_take(1).unwrap();
            let (first, second) = (Waiter::enter(&turnstile, 1), Waiter::enter(&turnstile, 1));
            let releaser = {
                let turnstile = turnstile.clone();
                thread::spawn(move || turnstile.release(out, clock::now))
            };
            first.cancel(&turnstile);
            releaser.join().unwrap();
            let charge = second.finish(&turnstile);
            turnstile.release(charge, clock::now);
            at_rest(&turnstile);
        });
    }

    #[test]
    fn loom_raising_the_limit_serves_who_waits() {
        loom::model(|| {
            let turnstile = turnstile(0);
            let resizer = {
                let turnstile = turnstile.clone();
                thread::spawn(move || {
                    turnstile.apply(rules(1), 1, clock::now, &mut Wakes::default())
                })
            };
            let waiter = Waiter::enter(&turnstile, 1);
            resizer.join().unwrap();
            let charge = waiter.finish(&turnstile);
            turnstile.release(charge, clock::now);
            at_rest(&turnstile);
        });
    }

    #[test]
    fn loom_a_newcomer_a_waiter_and_a_release_lose_nothing() {
        loom::model(|| {
            let turnstile = turnstile(1);
            let out = turnstile.try_take(1).unwrap();
            let threads = [
                {
                    let turnstile = turnstile.clone();
                    thread::spawn(move || turnstile.release(out, clock::now))
                },
                {
                    let turnstile = turnstile.clone();
                    thread::spawn(move || {
                        if let Ok(charge) = turnstile.try_take(1) {
                            turnstile.release(charge, clock::now);
                        }
                    })
                },
            ];
            let waiter = Waiter::enter(&turnstile, 1);
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            let charge = waiter.finish(&turnstile);
            turnstile.release(charge, clock::now);
            at_rest(&turnstile);
        });
    }
}
