//! One circuit, shared by threads.
//!
//! Most calls meet a closed circuit, and all they need to know of it is that it is closed and in which
//! generation. Most of them go well, and all there is to do is to count them. Both are in one word beside
//! the lock: the generation, and for how many more calls that go well there is *room* before the circuit
//! has to hear of them. Such a call takes its place with one compare-and-swap.
//!
//! While a break lasts, the same word says how many calls may be refused before the circuit has to hear of
//! them: all are told the same, which stands beside it.
//!
//! Who holds the lock takes the room back first and credits the circuit with what was used of it, so it
//! decides by everything that ended before. A call that reads the word a moment too late is admitted in a
//! generation that is over: what becomes of it then decides nothing. Every other admission is decided
//! under the lock, so there are never more probes than there may be.

use std::num::NonZeroU64;
use std::sync::Arc;

use super::circuit::{Admission, Circuit, Refusal, Standstill};
use super::config::CircuitConfig;
use super::rules::Rules;
use super::window::Room;
use crate::live::Seen;
use crate::outcome::Outcome;
use crate::rejection::Unit;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Mutex, Ordering};
use crate::tick::Tick;

#[derive(Debug)]
pub(super) struct Cell {
    word: AtomicU64,
    /// Until when there is room. Written under the lock, before the word.
    until: AtomicI64,
    /// What calls are told that are refused until then: how many there were of what opened the circuit, and
    /// what its limit is. As `until`.
    why: AtomicU32,
    /// The version of the rules that were last seen. As `until`.
    version: AtomicU32,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Arc<CircuitConfig>,
    circuit: Circuit,
}

/// Every call passes.
const PASSES: u64 = 0b01;
/// When it began will be asked.
const TIMED: u64 = 0b10;
/// One call that there is room for: that goes well if every call passes, that is refused if not.
const PLACE: u64 = 0b100;
/// As many as the word holds: after so many good calls, the circuit hears of them.
const MOST: u32 = (1 << 14) - 1;
const ROOM: u64 = MOST as u64 * PLACE;
/// Below the generation.
const BITS: u32 = 16;

impl Cell {
    pub(super) fn new(seen: Seen<CircuitConfig>) -> Cell {
        let (version, config) = seen.into_parts();
        let circuit = Circuit::new();
        let (room, why) = room(&config, &circuit);
        Cell {
            word: AtomicU64::new(word(&config, &circuit, room)),
            until: AtomicI64::new(room.until.as_i64()),
            why: AtomicU32::new(why),
            version: AtomicU32::new(version),
            state: Mutex::new(State { config, circuit }),
        }
    }

    /// Admits a call to a circuit that is closed. One load, and a look at the clock only where it will
    /// matter how long the call took.
    #[inline(always)]
    pub(super) fn glance(&self, now: impl FnOnce() -> Tick) -> Option<Admission> {
        let word = self.word.load(Ordering::Acquire);
        if word & PASSES == 0 {
            return None;
        }
        let started = if word & TIMED == 0 { Tick::NEVER } else { now() };
        Some(Admission::of(NonZeroU64::new(word >> BITS)?, started))
    }

    /// Whether it is closed, or as good as.
    #[inline]
    pub(super) fn passes_all(&self) -> bool {
        self.word.load(Ordering::Acquire) & PASSES != 0
    }

    /// Counts a call that went well, if that is all there is to do. No look at the clock where no window
    /// is one of time.
    #[inline(always)]
    pub(super) fn count_good(
        &self,
        rules: &Rules,
        admission: &Admission,
        mut now: impl FnMut() -> Tick,
    ) -> bool {
        let mut word = self.word.load(Ordering::Acquire);
        if word & ROOM == 0 || !rules.are_at(self.version.load(Ordering::Relaxed)) {
            return false;
        }
        if rules.is_slow(admission, &mut now) {
            return false;
        }
        // Room that was measured anew since the word was read is later room: to be counted among the
        // latest is what happens to every call that is told of late.
        let until = Tick::from_i64(self.until.load(Ordering::Relaxed));
        if until != Tick::NEVER && now() >= until {
            return false;
        }
        while word & ROOM != 0 && admission.is_of(word >> BITS) {
            let order = (Ordering::AcqRel, Ordering::Acquire);
            match self.word.compare_exchange_weak(word, word - PLACE, order.0, order.1) {
                Ok(_) => return true,
                Err(newer) => word = newer,
            }
        }
        false
    }

    /// Refuses a call while a break lasts, if that is all there is to do.
    #[inline]
    pub(super) fn refuse(&self, rules: &Rules, now: impl FnOnce() -> Tick) -> Option<Refusal> {
        let mut word = self.word.load(Ordering::Acquire);
        if word & PASSES != 0
            || word & ROOM == 0
            || !rules.are_at(self.version.load(Ordering::Relaxed))
        {
            return None;
        }
        let now = now();
        let until = Tick::from_i64(self.until.load(Ordering::Relaxed));
        let why = self.why.load(Ordering::Relaxed);
        if now >= until {
            return None;
        }
        // Of this break, if the word still is when the place is taken.
        let of_break = word & !ROOM;
        while word & ROOM != 0 && word & !ROOM == of_break {
            let order = (Ordering::AcqRel, Ordering::Acquire);
            match self.word.compare_exchange_weak(word, word - PLACE, order.0, order.1) {
                Ok(_) => return Some(standstill(until, why).refusal(now)),
                Err(newer) => word = newer,
            }
        }
        None
    }

    /// Does something with the circuit, by the rules that are in force. `body` runs under the lock: it
    /// decides, and calls nobody.
    #[inline]
    pub(super) fn with<R>(
        &self,
        rules: &Rules,
        body: impl FnOnce(&CircuitConfig, &mut Circuit) -> R,
    ) -> R {
        let mut state = self.state.lock();
        let State { config, circuit } = &mut *state;
        // By the rules that it was counted under, and before there are others.
        let used = self.take_back(room(config, circuit).0);
        if circuit.passes_all() {
            circuit.credit(used);
            rules.ended.add(Outcome::Success, used);
        } else {
            circuit.refused(used);
        }
        if !rules.are_at(self.version.load(Ordering::Relaxed)) {
            let (version, newer) = rules.see().into_parts();
            self.version.store(version, Ordering::Relaxed);
            let former = std::mem::replace(config, newer);
            circuit.reconfigured(&former, config);
        }
        let result = body(config, circuit);
        self.give_out(config, circuit);
        result
    }

    /// Takes back the room that was given out. How much of it was used.
    #[inline]
    fn take_back(&self, room: Room) -> u32 {
        let given = room.calls.min(MOST);
        if given == 0 {
            return 0;
        }
        let left = (self.word.fetch_and(!ROOM, Ordering::AcqRel) & ROOM) / PLACE;
        given.saturating_sub(u32::try_from(left).unwrap_or(MOST))
    }

    /// Says what the circuit has become, and for what there is room now.
    #[inline]
    fn give_out(&self, config: &CircuitConfig, circuit: &Circuit) {
        let (room, why) = room(config, circuit);
        let word = word(config, circuit, room);
        self.until.store(room.until.as_i64(), Ordering::Relaxed);
        self.why.store(why, Ordering::Relaxed);
        // Read as it was written last: without room, only who holds the lock writes.
        if self.word.load(Ordering::Relaxed) != word {
            self.word.store(word, Ordering::Release);
        }
    }
}

/// For how many calls there is room, and what they are told if they are refused.
fn room(config: &CircuitConfig, circuit: &Circuit) -> (Room, u32) {
    let told = |standstill: Standstill| {
        // What does not fit is told under the lock.
        Some((Room::until(standstill.until), packed(standstill)?))
    };
    circuit.standstill(config).and_then(told).unwrap_or_else(|| (circuit.room(config), 0))
}

/// Bits of a count: two counts and a unit fit into a word.
const COUNT_BITS: u32 = 15;
const COUNT: u32 = (1 << COUNT_BITS) - 1;
/// The units that a break can have, in the order of their numbers.
const UNITS: [Unit; 3] = [Unit::Failures, Unit::SlowCalls, Unit::FailedProbes];

/// Packs the counts of a break and their unit, if they fit.
fn packed(standstill: Standstill) -> Option<u32> {
    let Standstill { observed, limit, unit, .. } = standstill;
    let unit = UNITS.iter().position(|it| *it == unit)?;
    let fits = observed <= COUNT && limit <= COUNT;
    fits.then(|| {
        u32::try_from(unit).ok().map(|unit| (unit << COUNT_BITS | observed) << COUNT_BITS | limit)
    })?
}

fn standstill(until: Tick, why: u32) -> Standstill {
    // Three numbers in two bits: the fourth is never packed.
    let unit = UNITS[(why >> (2 * COUNT_BITS)) as usize % UNITS.len()];
    Standstill { until, observed: why >> COUNT_BITS & COUNT, limit: why & COUNT, unit }
}

#[inline]
fn word(config: &CircuitConfig, circuit: &Circuit, room: Room) -> u64 {
    let passes = if circuit.passes_all() { PASSES } else { 0 };
    let timed = if config.slow_after.is_some() { TIMED } else { 0 };
    let room = u64::from(room.calls.min(MOST)) * PLACE;
    circuit.generation() << BITS | room | timed | passes
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use crate::breaker::{CircuitBreakerBuilder, CircuitState, SlidingWindow};
    use crate::clock;
    use crate::outcome::Outcome;
    use loom::sync::Arc;
    use loom::thread;
    use std::time::{Duration, Instant};

    struct Shared {
        rules: Rules,
        cell: Cell,
        now: Instant,
    }

    impl Shared {
        /// Opens at the first failure; one probe.
        fn new() -> Arc<Shared> {
            Shared::by(CircuitConfig::builder().consecutive_failures(1).probes(1))
        }

        fn by(config: CircuitBreakerBuilder) -> Arc<Shared> {
            let config = config.config();
            let rules = Rules::new(config.unwrap());
            let cell = Cell::new(rules.see());
            Arc::new(Shared { rules, cell, now: clock::now() })
        }

        fn admit(&self, now: Instant) -> Option<Admission> {
            let glanced = self.cell.glance(|| Tick::of(now));
            glanced.or_else(|| {
                self.cell.with(&self.rules, |config, circuit| {
                    circuit.advance(config, now, || 0.5);
                    circuit.admit(config, now, || 0.5).ok()
                })
            })
        }

        fn record(&self, admission: Admission, outcome: Outcome, now: Instant) {
            let good = outcome == Outcome::Success;
            if good && self.cell.count_good(&self.rules, &admission, || Tick::of(now)) {
                return;
            }
            self.cell.with(&self.rules, |config, circuit| {
                circuit.record(config, admission, outcome, now, || 0.5);
            });
        }

        fn is_refused(&self) -> bool {
            let refused = self.cell.refuse(&self.rules, || Tick::of(self.now)).is_some();
            let closely = |config: &CircuitConfig, circuit: &mut Circuit| {
                circuit.admit(config, self.now, || 0.5).is_err()
            };
            refused || self.cell.with(&self.rules, closely)
        }

        fn state(&self) -> CircuitState {
            self.cell.with(&self.rules, |_, circuit| circuit.state())
        }
    }

    /// A success that was admitted while closed neither keeps the circuit from opening nor closes it.
    #[test]
    fn loom_a_call_admitted_by_a_stale_word_decides_nothing() {
        loom::model(|| {
            let shared = Shared::new();
            let other = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let admission = shared.admit(shared.now);
                    if let Some(admission) = admission {
                        shared.record(admission, Outcome::Success, shared.now);
                    }
                })
            };
            let failing = shared.admit(shared.now).unwrap();
            shared.record(failing, Outcome::transient(), shared.now);
            other.join().unwrap();
            assert_eq!(shared.state(), CircuitState::Open);
            assert!(shared.cell.glance(|| Tick::of(shared.now)).is_none());
        });
    }

    #[test]
    fn loom_one_probe_is_one_probe() {
        loom::model(|| {
            let shared = Shared::new();
            let late = shared.admit(shared.now).unwrap();
            let failing = shared.admit(shared.now).unwrap();
            shared.record(failing, Outcome::transient(), shared.now);
            let over = shared.now + Duration::from_secs(60);
            let ask = |shared: Arc<Shared>| move || shared.admit(over);
            let other = thread::spawn(ask(shared.clone()));
            // A failure from before ends meanwhile: it gives back no place and reopens nothing.
            shared.record(late, Outcome::transient(), over);
            let mine = ask(shared.clone())();
            let theirs = other.join().unwrap();
            assert!(mine.is_some() != theirs.is_some());
            assert_eq!(shared.state(), CircuitState::HalfOpen);
        });
    }
    /// None is lost between those who take a place and whoever takes the room back, and none is counted
    /// twice.
    #[test]
    fn loom_every_call_is_counted_once() {
        loom::model(|| {
            let window = SlidingWindow::count(100);
            let shared = Shared::by(CircuitConfig::builder().failure_rate(1.0, window));
            let begin = shared.admit(shared.now).unwrap();
            // There is room from here on.
            shared.record(begin, Outcome::Success, shared.now);
            let good = |shared: Arc<Shared>| {
                move || {
                    let admission = shared.admit(shared.now).unwrap();
                    shared.record(admission, Outcome::Success, shared.now);
                }
            };
            let other = thread::spawn(good(shared.clone()));
            let failing = shared.admit(shared.now).unwrap();
            shared.record(failing, Outcome::transient(), shared.now);
            good(shared.clone())();
            other.join().unwrap();
            let seen = shared
                .cell
                .with(&shared.rules, |config, circuit| circuit.snapshot(config, shared.now));
            assert_eq!((seen.calls, seen.failures), (4, 1));
        });
    }

    /// A call whose end is told when others have opened the circuit, by other rules, takes no place.
    #[test]
    fn loom_new_rules_are_heard_before_a_call_is_counted_by_the_old() {
        loom::model(|| {
            let window = SlidingWindow::count(10);
            let shared = Shared::by(CircuitConfig::builder().failure_rate(0.9, window));
            let (begin, late) =
                (shared.admit(shared.now).unwrap(), shared.admit(shared.now).unwrap());
            shared.record(begin, Outcome::Success, shared.now);
            let other = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let rules = CircuitConfig::builder().consecutive_failures(1).config();
                    shared.rules.set(rules.unwrap());
                    let failing = shared.admit(shared.now).unwrap();
                    shared.record(failing, Outcome::transient(), shared.now);
                })
            };
            shared.record(late, Outcome::Success, shared.now);
            other.join().unwrap();
            assert_eq!(shared.state(), CircuitState::Open);
        });
    }

    /// Also beside whoever takes the room back, and ends the break.
    #[test]
    fn loom_every_refusal_is_counted_once() {
        loom::model(|| {
            let shared = Shared::new();
            let failing = shared.admit(shared.now).unwrap();
            shared.record(failing, Outcome::transient(), shared.now);
            let other = {
                let shared = shared.clone();
                thread::spawn(move || u32::from(shared.is_refused()))
            };
            let mine = u32::from(shared.is_refused());
            let half_open = shared.cell.with(&shared.rules, |_, circuit| circuit.half_open());
            assert!(half_open.is_ok());
            assert!(shared.cell.refuse(&shared.rules, || Tick::of(shared.now)).is_none());
            let refused = mine + other.join().unwrap();
            let seen = shared
                .cell
                .with(&shared.rules, |config, circuit| circuit.snapshot(config, shared.now));
            assert_eq!(seen.not_permitted, refused);
        });
    }
}
