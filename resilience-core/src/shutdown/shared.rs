//! What the owner and all tokens share.

use std::sync::OnceLock;
use std::task::Waker;
use std::time::Instant;

use super::count::Count;
use super::course::Course;
use super::phase::Phase;
use super::report::{HookReport, PhaseReport, Report, WorkReport};
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
    name: Name,
    listener: Listener,
    /// The course's, for those who do not want the lock.
    phase: AtomicU8,
    work: [Work; MOST_NAMES],
    pub(super) wakers: Wakers,
    /// Of who drives the course.
    driver: Mutex<Option<Waker>>,
    state: Mutex<State>,
}

/// Work of one name.
#[derive(Debug)]
pub(super) struct Work {
    name: OnceLock<Name>,
    pub(super) count: Count,
}

#[derive(Debug)]
struct State {
    course: Course,
    reason: Name,
    /// Each phase that came, when, and how much was under way.
    entered: Vec<(Phase, Instant, u64)>,
    /// How much of each name was under way when nothing new was let in any more, and when it was told to
    /// end.
    closed: [u64; MOST_NAMES],
    forced: [u64; MOST_NAMES],
}

impl Shared {
    pub(super) fn new(name: Name, listener: Listener, course: Course) -> Shared {
        Shared {
            name,
            listener,
            phase: AtomicU8::new(Phase::Running.number()),
            work: std::array::from_fn(|_| Work { name: OnceLock::new(), count: Count::new() }),
            wakers: Wakers::new(),
            driver: Mutex::new(None),
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
        self.change(|state, now| {
            if state.course.phase() == Phase::Running {
                state.reason = reason;
            }
            state.course.begin(now);
        });
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
        let mut driver = self.driver.lock();
        if driver.as_ref().is_none_or(|driver| !driver.will_wake(waker)) {
            *driver = Some(waker.clone());
        }
    }

    pub(super) fn wake_driver(&self) {
        let driver = self.driver.lock().clone();
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    /// Changes something, and goes on to whichever phases that leads to.
    fn change(&self, change: impl FnOnce(&mut State, Instant)) {
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
        if let Some((reached, ..)) = entered.last() {
            self.wakers.wake(*reached);
        }
        self.tell(from, &entered, &reason);
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

    pub(super) fn report(&self, hooks: Vec<HookReport>) -> Report {
        let state = self.state.lock();
        let phases = state.entered.windows(2).filter_map(|phases| match phases {
            &[(phase, from, in_flight), (_, to, _)] => {
                Some(PhaseReport { phase, took: to.saturating_duration_since(from), in_flight })
            }
            _ => None,
        });
        let work = self.work.iter().zip(state.closed).zip(state.forced);
        let work = work.filter_map(|((work, in_flight), forced)| {
            let in_flight = in_flight + work.count.late();
            let (left, finished_after_all) = work.count.left_and_finished();
            let cut = forced.saturating_sub(finished_after_all);
            Some(WorkReport {
                name: work.name.get()?.clone(),
                in_flight,
                finished: in_flight.saturating_sub(cut),
                cut,
                left: left.min(cut),
            })
        });
        Report {
            name: self.name.clone(),
            reason: state.reason.clone(),
            forced: state.course.is_forced(),
            phases: phases.collect(),
            work: work.filter(|work| work.in_flight > 0).collect(),
            hooks,
        }
    }
}
