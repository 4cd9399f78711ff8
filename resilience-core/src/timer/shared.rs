//! The timer that a thread's calls share.

use std::cell::RefCell;
use std::mem;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Wake, Waker};
use std::time::Duration;

use slab::Slab;
use tokio::runtime::{Handle, Id};
use tokio::task::coop::unconstrained;
use tokio::time::Sleep;

use crate::clock;
use crate::deadline::Deadline;
use crate::sync::Mutex;
use crate::wakes::Wakes;

/// What is due sooner than this is not worth a shared timer.
pub(super) const FAR: Duration = Duration::from_secs(1);

/// A shared timer rings by then, whenever the call is due that sets it: one far deadline would leave all nearer ones
/// of its thread to timers of their own.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// How many are woken at once. Who comes later has a timer of its own.
pub(super) const SHARES: usize = 4_096;

thread_local! {
    /// Of the runtime that this thread was last in.
    static BELL: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
}

/// One for each thread and runtime: a runtime's timer is driven by that runtime.
#[derive(Debug)]
struct Bell {
    runtime: Id,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// How often it has rung. A share belongs to one round, and is gone with it.
    round: u64,
    /// When it rings next, and the timer for that. Only the bell's own thread sets it, and only ringing takes it away.
    set: Option<(Deadline, Pin<Box<Sleep>>)>,
    waiting: Slab<Waker>,
}

/// A place among those that a bell wakes. Gives it up when dropped.
#[derive(Debug)]
pub(super) struct Share {
    bell: Arc<Bell>,
    round: u64,
    place: usize,
    rings: Deadline,
}

/// A share in this thread's bell, if that rings by `then` or can be set for it.
#[inline]
pub(super) fn join(then: Deadline, cx: &Context<'_>) -> Option<Share> {
    // See docs/decisions/0024-far-deadlines-share-a-timer.md.
    // The thread may be ending, or forgetting a bell this moment and with it what a runtime still held.
    let bell = BELL.try_with(|bell| {
        Some(Bell::of(&mut *bell.try_borrow_mut().ok()?, Handle::try_current().ok()?.id()))
    });
    bell.ok()??.share(then, cx.waker().clone())
}

impl Bell {
    fn of(known: &mut Option<Arc<Bell>>, runtime: Id) -> Arc<Bell> {
        match known {
            Some(bell) if bell.runtime == runtime => bell.clone(),
            _ => {
                let state = Mutex::new(State::default());
                known.insert(Arc::new(Bell { runtime, state })).clone()
            }
        }
    }

    fn share(self: Arc<Self>, then: Deadline, waker: Waker) -> Option<Share> {
        let mut state = self.state.lock();
        let round = state.round;
        if state.set.is_none() {
            drop(state);
            let (rings, sleep) = self.timer(then)?;
            state = self.state.lock();
            // It may have rung since: a runtime that ends rings all its timers.
            if state.round != round {
                return None;
            }
            state.set = Some((rings, sleep));
        }
        let rings = state.set.as_ref().map(|(rings, _)| *rings).filter(|rings| *rings <= then)?;
        if state.waiting.len() >= SHARES {
            return None;
        }
        let place = state.waiting.insert(waker);
        drop(state);
        Some(Share { bell: self, round, place, rings })
    }

    /// Sets a timer that rings this when `then` has come, or sooner if that is very far off. `None` if it is near.
    #[cold]
    fn timer(self: &Arc<Self>, then: Deadline) -> Option<(Deadline, Pin<Box<Sleep>>)> {
        let now = clock::now();
        if then.remaining(now) < FAR {
            return None;
        }
        let rings = then.min(Deadline::after(now, LONGEST));
        let mut sleep = Box::pin(tokio::time::sleep_until(rings.instant().into()));
        let waker = Waker::from(self.clone());
        let polled = pin!(unconstrained(sleep.as_mut())).poll(&mut Context::from_waker(&waker));
        polled.is_pending().then_some((rings, sleep))
    }
}

/// Rings.
impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let (set, waiting) = {
            let mut state = self.state.lock();
            state.round += 1;
            (state.set.take(), mem::take(&mut state.waiting))
        };
        drop(set);
        let mut wakes = Wakes::default();
        waiting.into_iter().for_each(|(_, waker)| wakes.add(Some(waker)));
        wakes.wake();
    }
}

impl Share {
    /// Whether who polls is still woken by this, and no later than `then`.
    #[inline]
    pub(super) fn rings_by(&self, then: Deadline, cx: &Context<'_>) -> bool {
        if then < self.rings {
            return false;
        }
        let of_another = {
            let mut state = self.bell.state.lock();
            let Some(waker) = self.waker(&mut state) else { return false };
            !waker.will_wake(cx.waker())
        };
        !of_another || self.wake_instead(cx.waker().clone())
    }

    /// Whether it has not rung.
    #[cold]
    fn wake_instead(&self, mut waker: Waker) -> bool {
        let mut state = self.bell.state.lock();
        let known = self.waker(&mut state);
        let waits = known.map(|known| mem::swap(known, &mut waker)).is_some();
        drop(state);
        // The former one, and its owner's code: not under the lock.
        drop(waker);
        waits
    }

    /// Who is woken, if it has not rung.
    fn waker<'a>(&self, state: &'a mut State) -> Option<&'a mut Waker> {
        if state.round == self.round { state.waiting.get_mut(self.place) } else { None }
    }
}

impl Drop for Share {
    // What drops a call has to see that there is none, and no more.
    #[inline(never)]
    fn drop(&mut self) {
        let _waker = {
            let mut state = self.bell.state.lock();
            if state.round == self.round { state.waiting.try_remove(self.place) } else { None }
        };
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;

    use tokio::runtime::Builder;
    use tokio_test::task::spawn;

    use super::*;

    /// Shares that are given up on one thread while another rings: who stays is woken, and no place is kept.
    #[test]
    fn ringing_meets_who_gives_up() {
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _entered = runtime.enter();
        for _ in 0..500 {
            let then = Deadline::after(clock::now(), 5 * FAR);
            let mut stay = spawn(());
            let mut share = || stay.enter(|cx, _| join(then, cx)).unwrap();
            let (staying, leaving) = (share(), [share(), share(), share()]);
            let (bell, barrier) = (staying.bell.clone(), Barrier::new(2));
            thread::scope(|scope| {
                scope.spawn(|| {
                    barrier.wait();
                    drop(leaving);
                });
                barrier.wait();
                Wake::wake(bell.clone());
            });
            assert!(stay.is_woken());
            assert!(!stay.enter(|cx, _| staying.rings_by(then, cx)));
            assert!(bell.state.lock().waiting.is_empty());
            assert!(bell.state.lock().set.is_none());
        }
    }
}
