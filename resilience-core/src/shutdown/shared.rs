//! What the owner and all tokens share.

use std::sync::OnceLock;
use std::sync::mpsc::Sender;
use std::task::Waker;
use std::time::Instant;

use super::Phase;
use super::count::Count;
use super::course::Course;
use super::exit::Notice;
use super::hook_log::HookLog;
use super::hooks::contain;
use super::wakers::Wakers;
use crate::clock;
use crate::name::Name;
use crate::observe::{Event, Listener};
use crate::rejection::{Rejection, RejectionKind};
use crate::sync::{AtomicU8, Mutex, Ordering};

/// The most names that are told apart. What is tracked under others after that shares the last.
pub(super) const MOST_NAMES: usize = 32;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    listener: Listener,
    /// The course's, for those who do not want the lock.
    phase: AtomicU8,
    pub(super) work: [Work; MOST_NAMES],
    pub(super) wakers: Wakers,
    /// Of who drives the course.
    driver: Mutex<Option<Waker>>,
    pub(super) hooks: HookLog,
    /// Notifies the thread that ends the process, if there is one.
    exit: Option<Sender<Notice>>,
    pub(super) state: Mutex<State>,
}

/// Work of one name.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) name: OnceLock<Name>,
    pub(super) count: Count,
}

#[derive(Debug)]
pub(super) struct State {
    pub(super) course: Course,
    pub(super) reason: Name,
    /// Each phase that came, when, and how much was under way.
    pub(super) entered: Vec<(Phase, Instant, u64)>,
    /// How much of each name was under way when nothing new was let in any more, and when it was told to
    /// end.
    pub(super) closed: [u64; MOST_NAMES],
    pub(super) forced: [u64; MOST_NAMES],
}

/// The phases that one change has entered, to be announced outside of the lock.
#[derive(Debug)]
#[must_use]
pub(super) struct Step {
    from: Phase,
    entered: Vec<(Phase, Instant, u64)>,
    reason: Name,
}

impl Shared {
    pub(super) fn new(
        name: Name,
        listener: Listener,
        course: Course,
        exit: Option<Sender<Notice>>,
    ) -> Shared {
        super::ambient::register();
        Shared {
            name,
            listener,
            phase: AtomicU8::new(Phase::Running.number()),
            work: std::array::from_fn(|_| Work { name: OnceLock::new(), count: Count::new() }),
            wakers: Wakers::new(),
            driver: Mutex::new(None),
            hooks: HookLog::new(),
            exit,
            state: Mutex::new(State {
                course,
                reason: Name::from_static(""),
                entered: Vec::new(),
                closed: [0; MOST_NAMES],
                forced: [0; MOST_NAMES],
            }),
        }
    }

    pub(super) fn name(&self) -> &Name {
        &self.name
    }

    #[cfg(feature = "signal")]
    pub(super) const fn exit(&self) -> Option<&Sender<Notice>> {
        self.exit.as_ref()
    }

    #[inline]
    pub(super) fn phase(&self) -> Phase {
        Phase::from_number(self.phase.load(Ordering::Acquire))
    }

    #[inline]
    pub(super) fn work(&self, index: u8) -> &Work {
        &self.work[usize::from(index) % MOST_NAMES]
    }

    /// Where work of this name is counted.
    pub(super) fn index(&self, name: Name) -> u8 {
        // Under the lock: two that come with one name at once share a place.
        let _state = self.state.lock();
        let last = MOST_NAMES - 1;
        let same = |work: &Work| *work.name.get_or_init(|| name.clone()) == name;
        let index = self.work[..last].iter().position(same).unwrap_or_else(|| {
            self.work[last].name.get_or_init(|| Name::from_static("other"));
            last
        });
        u8::try_from(index).unwrap_or_default()
    }

    pub(super) fn in_flight(&self) -> u64 {
        self.work.iter().map(|work| work.count.in_flight()).sum()
    }

    /// The refusal of a call that comes too late, or of one that was cut. Told to the listener.
    #[cold]
    pub(super) fn refuse(&self, index: u8) -> Rejection {
        let mut rejection = Rejection::new(RejectionKind::ShuttingDown, self.name.clone());
        if let Some(name) = self.work(index).name.get() {
            rejection = rejection.with_key(name.clone());
        }
        self.listener.tell(|| Event::Rejected(&rejection));
        rejection
    }

    pub(super) fn begin(&self, reason: Name) {
        let step = self.begin_quietly(reason);
        self.announce_begin(&step);
    }

    /// First half of [`begin`](Shared::begin): changes the phase, and runs no code of a user.
    pub(super) fn begin_quietly(&self, reason: Name) -> Step {
        self.step(|state, now| {
            if state.course.phase() == Phase::Running {
                state.reason = reason;
            }
            state.course.begin(now);
        })
    }

    /// Second half: notifies wakers, the listener and the driver.
    pub(super) fn announce_begin(&self, step: &Step) {
        self.announce(step);
        self.wake_driver();
    }

    pub(super) fn hooks_ended(&self) {
        self.change(|state, _| state.course.hooks_ended());
    }

    /// Whether not even hooks are waited for.
    pub(super) fn is_abandoned(&self) -> bool {
        self.state.lock().course.is_abandoned()
    }

    /// Looks whether the next phase has come. When to look again.
    pub(super) fn look(&self) -> Option<Instant> {
        self.change(|_, _| ());
        self.state.lock().course.due()
    }

    pub(super) fn set_driver(&self, waker: &Waker) {
        if self.driver.lock().as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            return;
        }
        // Cloned before the lock is taken and dropped after it: both run code of the executor.
        let waker = waker.clone();
        let former = self.driver.lock().replace(waker);
        drop(former);
    }

    /// Wakes the driver, which leaves its waker again when it is polled.
    pub(super) fn wake_driver(&self) {
        // Taken, not cloned under the lock: the driver sets its waker anew with each poll.
        let driver = self.driver.lock().take();
        if let Some(driver) = driver {
            contain(|| driver.wake());
        }
    }

    /// Changes something, and goes on to whichever phases that leads to.
    fn change(&self, change: impl FnOnce(&mut State, Instant)) {
        let step = self.step(change);
        self.announce(&step);
    }

    fn step(&self, change: impl FnOnce(&mut State, Instant)) -> Step {
        let mut state = self.state.lock();
        let now = clock::now();
        let from = state.course.phase();
        change(&mut state, now);
        let first = state.entered.len();
        while let Some(phase) = state.course.advance(now, self.in_flight()) {
            self.enter(&mut state, phase, now);
        }
        let entered = state.entered[first..].to_vec();
        let reason = state.reason.clone();
        drop(state);
        // Before the first code of a user, which may block.
        if from == Phase::Running
            && !entered.is_empty()
            && let Some(exit) = &self.exit
        {
            // The thread ends with the process.
            let _gone = exit.send(Notice::Begun);
        }
        Step { from, entered, reason }
    }

    fn announce(&self, step: &Step) {
        if let Some((reached, ..)) = step.entered.last() {
            self.wakers.wake(*reached);
        }
        self.tell(step.from, &step.entered, &step.reason);
    }

    fn enter(&self, state: &mut State, phase: Phase, now: Instant) {
        match phase {
            Phase::Draining => state.closed = self.each(Count::close),
            Phase::Forced => {
                state.forced = self.each(Count::force);
                // Straight from being not ready: until now everything was let in.
                if state.entered.last().is_some_and(|(from, ..)| *from < Phase::Draining) {
                    state.closed = state.forced;
                }
            }
            _ => {}
        }
        self.phase.store(phase.number(), Ordering::Release);
        state.entered.push((phase, now, self.in_flight()));
    }

    fn each(&self, ask: fn(&Count) -> u64) -> [u64; MOST_NAMES] {
        std::array::from_fn(|index| ask(&self.work[index].count))
    }

    fn tell(&self, mut from: Phase, entered: &[(Phase, Instant, u64)], reason: &Name) {
        for &(to, _, in_flight) in entered {
            self.listener.tell(|| Event::ShutdownChanged {
                layer: self.name.as_str(),
                from,
                to,
                in_flight,
                reason: reason.as_str(),
            });
            from = to;
        }
    }
}
