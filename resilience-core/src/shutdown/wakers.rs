//! Wakers of tasks that wait for a phase.
//!
//! Striped over a few locks, because every call that is pending has a waker here.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::Phase;
use super::hooks::contain;
use crate::sync::Mutex;

/// Few under loom, which explores all orders of the locks.
const STRIPES: usize = if cfg!(resilience_loom) { 2 } else { 8 };

thread_local! {
    static STRIPE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// Returns the stripe of this thread.
fn stripe() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    STRIPE.get().unwrap_or_else(|| {
        let stripe = NEXT.fetch_add(1, Ordering::Relaxed) % STRIPES;
        STRIPE.set(Some(stripe));
        stripe
    })
}

#[derive(Debug)]
pub(super) struct PhaseWakers([Mutex<Stripe>; STRIPES]);

#[derive(Debug, Default)]
struct Stripe {
    /// `None` where the waker was taken.
    slots: Vec<Option<(Phase, Waker)>>,
    free: Vec<usize>,
}

/// Slot for the waker of one task. Must be [released](WakerSlot::release) before it is dropped.
#[derive(Debug, Default)]
pub(super) struct WakerSlot(Option<Registered>);

#[derive(Debug)]
struct Registered {
    stripe: usize,
    slot: usize,
    /// A clone of the registered waker, to compare without a lock.
    waker: Waker,
}

impl PhaseWakers {
    pub(super) fn new() -> PhaseWakers {
        PhaseWakers(std::array::from_fn(|_| Mutex::new(Stripe::default())))
    }

    /// Wakes all tasks that wait for this phase or an earlier one. Outside of the locks, and each
    /// one contained: wakers may be user code.
    pub(super) fn wake(&self, reached: Phase) {
        for stripe in &self.0 {
            let due: Vec<_> = {
                let slots = &mut stripe.lock().slots;
                slots.iter_mut().filter_map(|slot| slot.take_if(|(at, _)| *at <= reached)).collect()
            };
            due.into_iter().for_each(|(_, waker)| contain(|| waker.wake()));
        }
    }
}

impl WakerSlot {
    /// Waits for a phase. `reached` returns the current one, which must change before
    /// [`wake`](PhaseWakers::wake).
    pub(super) fn wait(
        &mut self,
        wakers: &PhaseWakers,
        phase: Phase,
        reached: impl Fn() -> Phase,
        cx: &Context<'_>,
    ) -> Poll<()> {
        if reached() < phase {
            self.register(wakers, phase, cx);
        }
        // Again: the phase may have come before the waker was registered.
        if reached() < phase {
            return Poll::Pending;
        }
        self.release(wakers);
        Poll::Ready(())
    }

    /// Registers the waker of `cx` in place of any former one. The phase must be read after this.
    fn register(&mut self, wakers: &PhaseWakers, phase: Phase, cx: &Context<'_>) {
        if self.0.as_ref().is_some_and(|registered| registered.waker.will_wake(cx.waker())) {
            return;
        }
        let waker = cx.waker().clone();
        let waiting = (phase, waker.clone());
        let former = match &mut self.0 {
            Some(registered) => {
                let former =
                    wakers.0[registered.stripe].lock().slots[registered.slot].replace(waiting);
                Some((former, std::mem::replace(&mut registered.waker, waker)))
            }
            None => {
                let stripe = stripe();
                let slot = wakers.0[stripe].lock().insert(waiting);
                self.0 = Some(Registered { stripe, slot, waker });
                None
            }
        };
        // Outside of the lock.
        drop(former);
    }

    /// Removes the waker.
    pub(super) fn release(&mut self, wakers: &PhaseWakers) {
        let Some(Registered { stripe, slot, .. }) = self.0.take() else { return };
        let waiting = {
            let mut stripe = wakers.0[stripe].lock();
            stripe.free.push(slot);
            stripe.slots[slot].take()
        };
        drop(waiting);
    }
}

impl Stripe {
    fn insert(&mut self, waiting: (Phase, Waker)) -> usize {
        let slot = self.free.pop().unwrap_or(self.slots.len());
        match self.slots.get_mut(slot) {
            Some(free) => *free = Some(waiting),
            None => self.slots.push(Some(waiting)),
        }
        slot
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::task::Waker;

    use tokio_test::task::spawn;

    use super::*;

    /// Returns the number of registered wakers.
    fn waiting_in(wakers: &PhaseWakers) -> usize {
        wakers.0.iter().map(|stripe| stripe.lock().slots.iter().flatten().count()).sum()
    }

    /// A cancelled future with a destructor that panics.
    #[test]
    fn a_waker_is_removed_though_the_future_panics_when_dropped() {
        struct Fragile;
        impl Drop for Fragile {
            fn drop(&mut self) {
                panic!("on purpose");
            }
        }
        let shutdown = crate::shutdown::Shutdown::builder().build().unwrap();
        let token = shutdown.token();
        let fragile = Fragile;
        let mut call = spawn(token.run("call", async move {
            std::future::pending::<()>().await;
            drop(fragile);
        }));
        assert!(call.poll().is_pending());
        assert_eq!(waiting_in(&token.shared().wakers), 1);
        let dropped = std::panic::AssertUnwindSafe(|| drop(call));
        assert!(std::panic::catch_unwind(dropped).is_err());
        assert_eq!((waiting_in(&token.shared().wakers), token.in_flight()), (0, 0));
    }

    #[test]
    fn a_task_that_waits_for_a_later_phase_is_not_woken() {
        let wakers = PhaseWakers::new();
        let phases = [Phase::Draining, Phase::Forced];
        let mut waiting = phases.map(|phase| (phase, WakerSlot::default(), spawn(())));
        for (phase, slot, task) in &mut waiting {
            task.enter(|cx, _| slot.register(&wakers, *phase, cx));
        }
        wakers.wake(Phase::Draining);
        assert_eq!(waiting.each_ref().map(|(.., task)| task.is_woken()), [true, false]);
        waiting.iter_mut().for_each(|(_, slot, _)| slot.release(&wakers));
        assert_eq!(waiting_in(&wakers), 0);
    }

    #[test]
    fn the_latest_waker_wins_and_slots_are_reused() {
        let wakers = PhaseWakers::new();
        let mut slot = WakerSlot::default();
        let mut first = spawn(());
        let mut second = spawn(());
        first.enter(|cx, _| slot.register(&wakers, Phase::Forced, cx));
        second.enter(|cx, _| slot.register(&wakers, Phase::Forced, cx));
        assert_eq!(waiting_in(&wakers), 1);
        wakers.wake(Phase::Forced);
        assert_eq!((first.is_woken(), second.is_woken()), (false, true));
        slot.release(&wakers);
        for _ in 0..100 {
            slot.register(&wakers, Phase::Forced, &Context::from_waker(Waker::noop()));
            slot.release(&wakers);
        }
        let slots: usize = wakers.0.iter().map(|stripe| stripe.lock().slots.len()).sum();
        assert_eq!(slots, 1);
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use std::sync::Arc;
    use std::task::Wake;

    use loom::sync::atomic::{AtomicBool, AtomicU8};
    use loom::thread;

    use super::*;

    /// Set when the task was woken.
    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Woken>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    fn task() -> (Arc<Woken>, Waker) {
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        (woken.clone(), Waker::from(woken))
    }

    struct Process {
        wakers: PhaseWakers,
        phase: AtomicU8,
    }

    impl Process {
        fn new() -> Arc<Process> {
            let phase = AtomicU8::new(Phase::Running.number());
            Arc::new(Process { wakers: PhaseWakers::new(), phase })
        }

        /// Enters a phase as `Shared` does.
        fn enter(&self, phase: Phase) {
            self.phase.store(phase.number(), Ordering::Release);
            self.wakers.wake(phase);
        }

        fn wait(&self, slot: &mut WakerSlot, waker: &Waker) -> Poll<()> {
            let reached = || Phase::from_number(self.phase.load(Ordering::Acquire));
            slot.wait(&self.wakers, Phase::Draining, reached, &Context::from_waker(waker))
        }
    }

    /// A task that waits while a phase begins reads the phase or is woken.
    #[test]
    fn loom_no_wake_is_lost() {
        loom::model(|| {
            let process = Process::new();
            let waiting = process.clone();
            let waiter = thread::spawn(move || {
                let (woken, waker) = task();
                let mut slot = WakerSlot::default();
                let seen = waiting.wait(&mut slot, &waker).is_ready();
                (seen, woken, slot)
            });
            process.enter(Phase::Draining);
            let (seen, woken, mut slot) = waiter.join().unwrap();
            assert!(seen || woken.0.load(Ordering::Relaxed));
            slot.release(&process.wakers);
        });
    }

    /// A future moves to another task while a phase begins, and another future releases its slot.
    #[test]
    fn loom_the_latest_task_is_woken() {
        loom::model(|| {
            let process = Process::new();
            let waiting = process.clone();
            let waiter = thread::spawn(move || {
                let (_, first) = task();
                let (woken, second) = task();
                let mut left = WakerSlot::default();
                let mut slot = WakerSlot::default();
                let _seen = waiting.wait(&mut left, &first);
                left.release(&waiting.wakers);
                let _seen = waiting.wait(&mut slot, &first);
                let seen = waiting.wait(&mut slot, &second).is_ready();
                (seen, woken, slot)
            });
            process.enter(Phase::Draining);
            let (seen, woken, mut slot) = waiter.join().unwrap();
            assert!(seen || woken.0.load(Ordering::Relaxed));
            slot.release(&process.wakers);
        });
    }
}
