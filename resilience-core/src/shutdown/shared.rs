//! State shared by the owner and all tokens.

use std::sync::OnceLock;
use std::sync::mpsc::Sender;
use std::task::Waker;
use std::time::Instant;

use super::Phase;
use super::count::Count;
use super::exit::Notice;
use super::hook_log::HookLog;
use super::hooks::contain;
use super::sequence::ShutdownSequence;
use super::wakers::PhaseWakers;
use crate::clock;
use crate::name::Name;
use crate::observe::{Event, Listener};
use crate::rejection::{Rejection, RejectionKind};
use crate::sync::{AtomicU8, Mutex, Ordering};

/// Number of work counters. Names beyond that share the last one.
pub(super) const MAX_NAMES: usize = 32;

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: Name,
    listener: Listener,
    /// Copy of the sequence's phase, readable without the lock.
    phase: AtomicU8,
    pub(super) work: [Work; MAX_NAMES],
    pub(super) wakers: PhaseWakers,
    /// Waker of the task that drives the sequence.
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
    pub(super) sequence: ShutdownSequence,
    pub(super) reason: Name,
    /// Entered phases, with their instants and the work in flight.
    pub(super) entered: Vec<(Phase, Instant, u64)>,
    /// Work in flight by name, when draining began and when work was cancelled.
    pub(super) closed: [u64; MAX_NAMES],
    pub(super) forced: [u64; MAX_NAMES],
}

/// Phases that one change has entered, to be announced outside of the lock.
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
        sequence: ShutdownSequence,
        exit: Option<Sender<Notice>>,
    ) -> Shared {
        super::ambient::register();
        Shared {
            name,
            listener,
            phase: AtomicU8::new(Phase::Running.number()),
            work: std::array::from_fn(|_| Work { name: OnceLock::new(), count: Count::new() }),
            wakers: PhaseWakers::new(),
            driver: Mutex::new(None),
            hooks: HookLog::new(),
            exit,
            state: Mutex::new(State {
                sequence,
                reason: Name::from_static(""),
                entered: Vec::new(),
                closed: [0; MAX_NAMES],
                forced: [0; MAX_NAMES],
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

    pub(super) fn phase(&self) -> Phase {
        Phase::from_number(self.phase.load(Ordering::Acquire))
    }

    pub(super) fn work(&self, index: u8) -> &Work {
        &self.work[usize::from(index) % MAX_NAMES]
    }

    /// Returns the index of the counter for this name.
    pub(super) fn index(&self, name: Name) -> u8 {
        // Under the lock, so that one name never gets two counters.
        let _state = self.state.lock();
        let last = MAX_NAMES - 1;
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

    /// Makes the rejection of an operation that comes too late or was cut, and notifies the
    /// listener.
    #[cold]
    pub(super) fn reject(&self, index: u8) -> Rejection {
        let mut rejection = Rejection::new(RejectionKind::ShuttingDown, self.name.clone());
        if let Some(name) = self.work(index).name.get() {
            rejection = rejection.with_key(name.clone());
        }
        self.listener.notify(|| Event::Rejected(&rejection));
        rejection
    }

    pub(super) fn begin(&self, reason: Name) {
        let step = self.begin_quietly(reason);
        self.announce_begin(&step);
    }

    /// First half of [`begin`](Shared::begin): changes the phase, and runs no user code.
    pub(super) fn begin_quietly(&self, reason: Name) -> Step {
        self.step(|state, now| {
            if state.sequence.phase() == Phase::Running {
                state.reason = reason;
            }
            state.sequence.begin(now);
        })
    }

    /// Second half: notifies wakers, the listener and the driver.
    pub(super) fn announce_begin(&self, step: &Step) {
        self.announce(step);
        self.wake_driver();
    }

    pub(super) fn hooks_ended(&self) {
        self.change(|state, _| state.sequence.hooks_ended());
    }

    /// Returns `true` if the hooks are skipped.
    pub(super) fn is_abandoned(&self) -> bool {
        self.state.lock().sequence.is_abandoned()
    }

    /// Enters the phases that are due. Returns the end of the current one.
    pub(super) fn advance(&self) -> Option<Instant> {
        self.change(|_, _| ());
        self.state.lock().sequence.due()
    }

    pub(super) fn set_driver(&self, waker: &Waker) {
        if self.driver.lock().as_ref().is_some_and(|driver| driver.will_wake(waker)) {
            return;
        }
        // Cloned before the lock and dropped after it: both run code of the executor.
        let waker = waker.clone();
        let former = self.driver.lock().replace(waker);
        drop(former);
    }

    /// Wakes the driver, which registers its waker again when it is polled.
    pub(super) fn wake_driver(&self) {
        // Taken, not cloned: cloning under the lock would run user code.
        let driver = self.driver.lock().take();
        if let Some(driver) = driver {
            contain(|| driver.wake());
        }
    }

    /// Applies a change, enters the phases that follow, and announces them.
    fn change(&self, change: impl FnOnce(&mut State, Instant)) {
        let step = self.step(change);
        self.announce(&step);
    }

    fn step(&self, change: impl FnOnce(&mut State, Instant)) -> Step {
        let mut state = self.state.lock();
        let now = clock::now();
        let from = state.sequence.phase();
        change(&mut state, now);
        let first = state.entered.len();
        while let Some(phase) = state.sequence.advance(now, self.in_flight()) {
            self.enter(&mut state, phase, now);
        }
        let entered = state.entered[first..].to_vec();
        let reason = state.reason.clone();
        drop(state);
        // Before any user code, which may block.
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
        self.notify(step.from, &step.entered, &step.reason);
    }

    fn enter(&self, state: &mut State, phase: Phase, now: Instant) {
        match phase {
            Phase::Draining => state.closed = self.each(Count::close),
            Phase::Forced => {
                state.forced = self.each(Count::force);
                // `Draining` was skipped: until now all work was accepted.
                if state.entered.last().is_some_and(|(from, ..)| *from < Phase::Draining) {
                    state.closed = state.forced;
                }
            }
            _ => {}
        }
        self.phase.store(phase.number(), Ordering::Release);
        state.entered.push((phase, now, self.in_flight()));
    }

    fn each(&self, read: fn(&Count) -> u64) -> [u64; MAX_NAMES] {
        std::array::from_fn(|index| read(&self.work[index].count))
    }

    fn notify(&self, mut from: Phase, entered: &[(Phase, Instant, u64)], reason: &Name) {
        for &(to, _, in_flight) in entered {
            self.listener.notify(|| Event::ShutdownChanged {
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
