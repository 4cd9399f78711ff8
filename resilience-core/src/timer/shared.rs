//! The timer that the calls of a thread share.

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

/// The nearest deadline that is worth a shared timer.
pub(super) const FAR: Duration = Duration::from_secs(1);

/// The longest time until a shared timer fires, however far the deadline of the call that sets the
/// timer. With a later timer, all nearer deadlines of the thread would need timers of their own.
pub(super) const LONGEST: Duration = Duration::from_secs(60);

/// The most calls that share a timer. Further calls have timers of their own.
pub(super) const SHARES: usize = 4_096;

thread_local! {
    /// The shared timer for the runtime that this thread was last in.
    static BELL: RefCell<Option<Arc<Bell>>> = const { RefCell::new(None) };
}

/// A shared timer. There is one for each thread and runtime, since a runtime drives its own timers.
#[derive(Debug)]
struct Bell {
    runtime: Id,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The times that the timer has fired. A share belongs to one round, and ends with the round.
    round: u64,
    /// The time at which the timer fires, and the timer. Only the bell's own thread sets it; only
    /// firing removes it.
    set: Option<(Deadline, Pin<Box<Sleep>>)>,
    waiting: Slab<Waker>,
}

/// A place among the calls that a bell wakes. Dropping the share frees the place.
#[derive(Debug)]
pub(super) struct Share {
    bell: Arc<Bell>,
    round: u64,
    place: usize,
    rings: Deadline,
}

/// Returns a share in this thread's bell, if the bell fires by `then` or can be set for it.
pub(super) fn join(then: Deadline, cx: &Context<'_>) -> Option<Share> {
    // See docs/decisions/0024-far-deadlines-share-a-timer.md.
    // Fails while the thread ends, and while it drops a former bell: its wakers may run any code.
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
            // The bell may have fired since: a runtime that ends fires all its timers.
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

    /// Sets a timer that fires at `then`, or after [`LONGEST`] if that is sooner. Returns `None` if
    /// `then` is near.
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

/// Wakes all calls that share the timer.
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
    /// Returns `true` if this share still wakes the polling task, and no later than `then`.
    pub(super) fn rings_by(&self, then: Deadline, cx: &Context<'_>) -> bool {
        if then < self.rings {
            return false;
        }
        let is_own = {
            let mut state = self.bell.state.lock();
            let Some(waker) = self.waker(&mut state) else { return false };
            waker.will_wake(cx.waker())
        };
        is_own || self.wake_instead(cx.waker().clone())
    }

    /// Replaces the waker. Returns `false` if the bell has fired.
    #[cold]
    fn wake_instead(&self, mut waker: Waker) -> bool {
        let mut state = self.bell.state.lock();
        let known = self.waker(&mut state);
        let waits = known.map(|known| mem::swap(known, &mut waker)).is_some();
        drop(state);
        // Not under the lock: dropping a waker may run any code.
        drop(waker);
        waits
    }

    /// Returns the waker of this share, or `None` if the bell has fired.
    fn waker<'a>(&self, state: &'a mut State) -> Option<&'a mut Waker> {
        if state.round == self.round { state.waiting.get_mut(self.place) } else { None }
    }
}

impl Drop for Share {
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

    /// Drops shares on one thread while another thread fires the bell: the remaining call is woken,
    /// and no place is kept.
    #[test]
    fn shares_are_dropped_while_the_bell_fires() {
        let runtime =
            Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let _entered = runtime.enter();
        for _ in 0..500 {
            let then = Deadline::after(clock::now(), 5 * FAR);
            let mut stay = spawn(());
            let mut share = || stay.enter(|cx, _| join(then, cx)).unwrap();
            let staying = share();
            let leaving = [share(), share(), share()];
            let bell = staying.bell.clone();
            let barrier = Barrier::new(2);
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
