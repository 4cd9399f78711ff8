//! Who is to be woken when a phase comes.
//!
//! In lanes, a few threads to each, because every call that is under way for longer than a poll has a place
//! here.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};

use super::Phase;
use super::hooks::contain;
use crate::sync::Mutex;

/// Few for loom, which tries all orders of their locks.
const LANES: usize = if cfg!(resilience_loom) { 2 } else { 8 };

thread_local! {
    static LANE: Cell<Option<usize>> = const { Cell::new(None) };
}

/// This thread's.
fn lane() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    LANE.get().unwrap_or_else(|| {
        let lane = NEXT.fetch_add(1, Ordering::Relaxed) % LANES;
        LANE.set(Some(lane));
        lane
    })
}

#[derive(Debug)]
pub(super) struct Wakers([Mutex<Lane>; LANES]);

#[derive(Debug, Default)]
struct Lane {
    /// Empty where somebody was woken, or has left.
    places: Vec<Option<(Phase, Waker)>>,
    free: Vec<usize>,
}

/// A place in a lane, of who waits. To be [left](Place::leave) before it is dropped.
#[derive(Debug, Default)]
pub(super) struct Place(Option<Held>);

#[derive(Debug)]
struct Held {
    lane: usize,
    place: usize,
    /// As it stands in the place, so that nothing is locked to see that it is the same.
    waker: Waker,
}

impl Wakers {
    pub(super) fn new() -> Wakers {
        Wakers(std::array::from_fn(|_| Mutex::new(Lane::default())))
    }

    /// Wakes all who wait for this phase, or an earlier one. Outside of the locks: a waker may be anything.
    pub(super) fn wake(&self, reached: Phase) {
        for lane in &self.0 {
            let due: Vec<_> = {
                let places = &mut lane.lock().places;
                places
                    .iter_mut()
                    .filter_map(|place| place.take_if(|(at, _)| *at <= reached))
                    .collect()
            };
            due.into_iter().for_each(|(_, waker)| contain(|| waker.wake()));
        }
    }
}

impl Place {
    /// Waits for a phase: `reached` says which has come. It is to be changed before anybody is
    /// [woken](Wakers::wake).
    pub(super) fn wait(
        &mut self,
        wakers: &Wakers,
        phase: Phase,
        reached: impl Fn() -> Phase,
        cx: &Context<'_>,
    ) -> Poll<()> {
        if reached() < phase {
            self.take(wakers, phase, cx);
        }
        // Again: it may have come before there was anybody to wake.
        if reached() < phase {
            return Poll::Pending;
        }
        self.leave(wakers);
        Poll::Ready(())
    }

    /// The task of `cx` is woken when the phase comes, and no other that stood here before. The phase is to be
    /// looked at after this.
    fn take(&mut self, wakers: &Wakers, phase: Phase, cx: &Context<'_>) {
        if self.0.as_ref().is_some_and(|held| held.waker.will_wake(cx.waker())) {
            return;
        }
        let waker = cx.waker().clone();
        let waiting = (phase, waker.clone());
        let former = match &mut self.0 {
            Some(held) => {
                let former = wakers.0[held.lane].lock().places[held.place].replace(waiting);
                Some((former, std::mem::replace(&mut held.waker, waker)))
            }
            None => {
                let lane = lane();
                let place = wakers.0[lane].lock().admit(waiting);
                self.0 = Some(Held { lane, place, waker });
                None
            }
        };
        // Outside of the lock.
        drop(former);
    }

    /// Nobody stands here any more.
    pub(super) fn leave(&mut self, wakers: &Wakers) {
        let Some(Held { lane, place, .. }) = self.0.take() else { return };
        let waiting = {
            let mut lane = wakers.0[lane].lock();
            lane.free.push(place);
            lane.places[place].take()
        };
        drop(waiting);
    }
}

impl Lane {
    fn admit(&mut self, waiting: (Phase, Waker)) -> usize {
        let place = self.free.pop().unwrap_or(self.places.len());
        match self.places.get_mut(place) {
            Some(free) => *free = Some(waiting),
            None => self.places.push(Some(waiting)),
        }
        place
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::task::Waker;

    use tokio_test::task::spawn;

    use super::*;

    /// How many wait.
    fn waiting_in(wakers: &Wakers) -> usize {
        wakers.0.iter().map(|lane| lane.lock().places.iter().flatten().count()).sum()
    }

    /// A future whose drop panics, and which is cancelled while it waits.
    #[test]
    fn a_place_is_left_though_what_waits_panics_as_it_is_dropped() {
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
    fn who_waits_for_a_later_phase_sleeps_on() {
        let wakers = Wakers::new();
        let phases = [Phase::Draining, Phase::Forced];
        let mut waiting = phases.map(|phase| (phase, Place::default(), spawn(())));
        for (phase, place, task) in &mut waiting {
            task.enter(|cx, _| place.take(&wakers, *phase, cx));
        }
        wakers.wake(Phase::Draining);
        assert_eq!(waiting.each_ref().map(|(.., task)| task.is_woken()), [true, false]);
        waiting.iter_mut().for_each(|(_, place, _)| place.leave(&wakers));
        assert_eq!(waiting_in(&wakers), 0);
    }

    #[test]
    fn the_latest_waker_wins_and_places_are_used_again() {
        let wakers = Wakers::new();
        let mut place = Place::default();
        let (mut first, mut second) = (spawn(()), spawn(()));
        first.enter(|cx, _| place.take(&wakers, Phase::Forced, cx));
        second.enter(|cx, _| place.take(&wakers, Phase::Forced, cx));
        assert_eq!(waiting_in(&wakers), 1);
        wakers.wake(Phase::Forced);
        assert_eq!((first.is_woken(), second.is_woken()), (false, true));
        place.leave(&wakers);
        for _ in 0..100 {
            place.take(&wakers, Phase::Forced, &Context::from_waker(Waker::noop()));
            place.leave(&wakers);
        }
        let places: usize = wakers.0.iter().map(|lane| lane.lock().places.len()).sum();
        assert_eq!(places, 1);
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

    /// Whether somebody was woken.
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
        wakers: Wakers,
        phase: AtomicU8,
    }

    impl Process {
        fn new() -> Arc<Process> {
            let phase = AtomicU8::new(Phase::Running.number());
            Arc::new(Process { wakers: Wakers::new(), phase })
        }

        /// As `Shared` does it.
        fn enter(&self, phase: Phase) {
            self.phase.store(phase.number(), Ordering::Release);
            self.wakers.wake(phase);
        }

        fn wait(&self, place: &mut Place, waker: &Waker) -> Poll<()> {
            let reached = || Phase::from_number(self.phase.load(Ordering::Acquire));
            place.wait(&self.wakers, Phase::Draining, reached, &Context::from_waker(waker))
        }
    }

    /// Who waits while the phase comes has seen it, or is woken.
    #[test]
    fn loom_no_wake_is_lost() {
        loom::model(|| {
            let process = Process::new();
            let waiting = process.clone();
            let waiter = thread::spawn(move || {
                let ((woken, waker), mut place) = (task(), Place::default());
                let seen = waiting.wait(&mut place, &waker).is_ready();
                (seen, woken, place)
            });
            process.enter(Phase::Draining);
            let (seen, woken, mut place) = waiter.join().unwrap();
            assert!(seen || woken.0.load(Ordering::Relaxed));
            place.leave(&process.wakers);
        });
    }

    /// The same of one that moves to another task meanwhile, next to one that leaves its place to it.
    #[test]
    fn loom_the_latest_task_is_woken_wherever_it_stands() {
        loom::model(|| {
            let process = Process::new();
            let waiting = process.clone();
            let waiter = thread::spawn(move || {
                let ((_, first), (woken, second)) = (task(), task());
                let (mut left, mut place) = (Place::default(), Place::default());
                let _seen = waiting.wait(&mut left, &first);
                left.leave(&waiting.wakers);
                let _seen = waiting.wait(&mut place, &first);
                let seen = waiting.wait(&mut place, &second).is_ready();
                (seen, woken, place)
            });
            process.enter(Phase::Draining);
            let (seen, woken, mut place) = waiter.join().unwrap();
            assert!(seen || woken.0.load(Ordering::Relaxed));
            place.leave(&process.wakers);
        });
    }
}
