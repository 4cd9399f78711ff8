//! One circuit, shared by threads. Successes and rejections in a break take no lock: one
//! compare-and-swap each.
//!
//! Most calls meet a closed circuit and need to know only that, and its generation. Most of them
//! succeed, and are only to be counted. One word beside the lock holds both: the generation, and
//! the *allowance*, which is how many more successes may end before one has to be recorded under
//! the lock. Such a call takes one off the allowance.
//!
//! During a break, the allowance counts the calls that may be rejected without the lock. All have
//! the same rejection, which is stored beside the word.
//!
//! The holder of the lock reclaims the allowance first and counts what was used of it, so it
//! decides by all calls that ended before. A call that reads the word a moment too late is admitted
//! in a generation that is over, and its result decides nothing. Every other admission is decided
//! under the lock, so there are never more probes than configured.

use std::num::NonZeroU64;

use super::circuit::{Admission, Circuit, CircuitRejection, OpenSnapshot};
use super::common::Common;
use super::config::CircuitConfig;
use super::window::UncountedSuccesses;
use crate::clock::tick::Tick;
use crate::live::Versioned;
use crate::outcome::Outcome;
use crate::rejection::Unit;
use crate::sync::{AtomicI64, AtomicU32, AtomicU64, Mutex, Ordering};

#[derive(Debug)]
pub(super) struct SharedCircuit {
    word: AtomicU64,
    /// The end of the allowance. Written under the lock, before the word, as the next two are.
    until: AtomicI64,
    /// The counts of the rejections until then, [packed](pack).
    counts: AtomicU32,
    /// The version of the configuration that was last applied.
    version: AtomicU32,
    state: Mutex<State>,
}

/// The result of [`SharedCircuit::check_fast`].
#[derive(Debug)]
pub(super) enum FastCheck {
    /// Every call passes.
    Passes,
    /// The call is rejected, and counted.
    Rejected(CircuitRejection),
    /// The lock is needed to decide.
    Undecided,
}

#[derive(Debug)]
struct State {
    config: Versioned<CircuitConfig>,
    circuit: Circuit,
}

/// Flag: every call passes.
const PASSES: u64 = 0b01;
/// Flag: the start of each call is needed.
const TIMED: u64 = 0b10;
/// One call of the allowance: a success if every call passes, a rejection if not.
const ONE: u64 = 0b100;
/// The largest allowance that the word holds.
const MOST: u32 = (1 << 14) - 1;
const ALLOWANCE: u64 = MOST as u64 * ONE;
/// The bits below the generation.
const BITS: u32 = 16;

impl SharedCircuit {
    pub(super) fn new(config: Versioned<CircuitConfig>) -> SharedCircuit {
        let circuit = Circuit::new();
        let allowance = Allowance::of(&config, &circuit);
        SharedCircuit {
            word: AtomicU64::new(word(&config, &circuit, allowance)),
            until: AtomicI64::new(allowance.until.as_i64()),
            counts: AtomicU32::new(allowance.counts),
            version: AtomicU32::new(config.version()),
            state: Mutex::new(State { config, circuit }),
        }
    }

    /// Admits a call to a closed circuit; `None` means "not decided". One load, and the clock is
    /// read only where the duration of the call matters.
    #[inline(always)]
    pub(super) fn admit_fast(&self, now: impl FnOnce() -> Tick) -> Option<Admission> {
        // See docs/decisions/0040-state-in-the-handle-configuration-in-an-argument.md.
        let word = self.word.load(Ordering::Acquire);
        if word & PASSES == 0 {
            return None;
        }
        let started = if word & TIMED == 0 { Tick::NEVER } else { now() };
        Some(Admission { generation: NonZeroU64::new(word >> BITS)?, started })
    }

    /// Returns `true` if every call passes: closed, forced closed or disabled.
    pub(super) fn passes_all(&self) -> bool {
        self.word.load(Ordering::Acquire) & PASSES != 0
    }

    /// Counts a success. `false` means that it has to be recorded under the lock. Reads the clock
    /// only where a window is one of time.
    #[inline(always)]
    pub(super) fn count_success(
        &self,
        common: &Common,
        admission: &Admission,
        mut now: impl FnMut() -> Tick,
    ) -> bool {
        let word = self.word.load(Ordering::Acquire);
        if word & ALLOWANCE == 0 || !common.config.is_at(self.version.load(Ordering::Relaxed)) {
            return false;
        }
        if common.is_slow(admission, &mut now) {
            return false;
        }
        // An allowance that was published since the word was read is a later one: every call that
        // is recorded late counts among the latest.
        let until = Tick::from_i64(self.until.load(Ordering::Relaxed));
        if until != Tick::NEVER && now() >= until {
            return false;
        }
        let taken = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |word| {
            (word & ALLOWANCE != 0 && admission.is_of(word >> BITS)).then(|| word - ONE)
        });
        taken.is_ok()
    }

    /// Decides about a call without the lock. Reads the clock only during a break.
    #[inline]
    pub(super) fn check_fast(&self, common: &Common, now: impl FnOnce() -> Tick) -> FastCheck {
        let word = self.word.load(Ordering::Acquire);
        if word & PASSES != 0 {
            return FastCheck::Passes;
        }
        if word & ALLOWANCE == 0 || !common.config.is_at(self.version.load(Ordering::Relaxed)) {
            return FastCheck::Undecided;
        }
        let now = now();
        let until = Tick::from_i64(self.until.load(Ordering::Relaxed));
        let counts = self.counts.load(Ordering::Relaxed);
        if now >= until {
            return FastCheck::Undecided;
        }
        // `until` and `counts` are of this break if the word still is when the call is counted.
        let counted = self.word.fetch_update(Ordering::AcqRel, Ordering::Acquire, |newer| {
            (newer & ALLOWANCE != 0 && newer & !ALLOWANCE == word & !ALLOWANCE).then(|| newer - ONE)
        });
        match counted {
            Ok(_) => FastCheck::Rejected(unpack(until, counts).rejection(now)),
            Err(_) => FastCheck::Undecided,
        }
    }

    /// Runs `body` under the lock, with the configuration in force and all calls counted. `body`
    /// decides, and runs no code of the user.
    pub(super) fn with<R>(
        &self,
        common: &Common,
        body: impl FnOnce(&CircuitConfig, &mut Circuit) -> R,
    ) -> R {
        let mut state = self.state.lock();
        let State { config, circuit } = &mut *state;
        // By the configuration that the allowance was made by, and before it is replaced.
        let used = self.reclaim(Allowance::of(config, circuit));
        if circuit.passes_all() {
            circuit.count_successes(used);
            common.ended.add(Outcome::Success, used);
        } else {
            circuit.count_rejections(used);
        }
        if let Some(newer) = common.config.newer(config) {
            self.version.store(newer.version(), Ordering::Relaxed);
            let former = std::mem::replace(config, newer);
            circuit.reconfigured(&former, config);
        }
        let result = body(config, circuit);
        self.publish(config, circuit);
        result
    }

    /// Takes back the allowance. Returns how much of it was used.
    fn reclaim(&self, allowance: Allowance) -> u32 {
        if allowance.calls == 0 {
            return 0;
        }
        let left = (self.word.fetch_and(!ALLOWANCE, Ordering::AcqRel) & ALLOWANCE) / ONE;
        allowance.calls.saturating_sub(u32::try_from(left).unwrap_or(MOST))
    }

    /// Publishes the state of the circuit, and a new allowance.
    fn publish(&self, config: &CircuitConfig, circuit: &Circuit) {
        let allowance = Allowance::of(config, circuit);
        let word = word(config, circuit, allowance);
        self.until.store(allowance.until.as_i64(), Ordering::Relaxed);
        self.counts.store(allowance.counts, Ordering::Relaxed);
        // Without an allowance, only the holder of the lock writes the word: this is the latest
        // value.
        if self.word.load(Ordering::Relaxed) != word {
            self.word.store(word, Ordering::Release);
        }
    }
}

/// The calls that may end, or be rejected, without the lock.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    calls: u32,
    until: Tick,
    /// The packed counts of their rejections.
    counts: u32,
}

impl Allowance {
    fn of(config: &CircuitConfig, circuit: &Circuit) -> Allowance {
        let rejections = circuit.open_snapshot(config).and_then(|open| {
            // Counts that do not fit are rejected under the lock.
            Some(Allowance { calls: MOST, until: open.until, counts: pack(open)? })
        });
        rejections.unwrap_or_else(|| {
            let UncountedSuccesses { calls, until } = circuit.uncounted_successes(config);
            Allowance { calls: calls.min(MOST), until, counts: 0 }
        })
    }
}

/// Bits of a count: two counts and a unit fit into a word.
const COUNT_BITS: u32 = 15;
const COUNT: u32 = (1 << COUNT_BITS) - 1;
/// The units that a break can have, in the order of their numbers.
const UNITS: [Unit; 3] = [Unit::Failures, Unit::SlowCalls, Unit::FailedProbes];

/// Packs the counts of a break and their unit, if they fit.
fn pack(open: OpenSnapshot) -> Option<u32> {
    let OpenSnapshot { observed, limit, unit, .. } = open;
    let unit = UNITS.iter().position(|it| *it == unit)?;
    let fits = observed <= COUNT && limit <= COUNT;
    fits.then(|| {
        u32::try_from(unit).ok().map(|unit| (unit << COUNT_BITS | observed) << COUNT_BITS | limit)
    })?
}

fn unpack(until: Tick, counts: u32) -> OpenSnapshot {
    // Three units in two bits: the fourth is never packed.
    let unit = UNITS[(counts >> (2 * COUNT_BITS)) as usize % UNITS.len()];
    let observed = counts >> COUNT_BITS & COUNT;
    OpenSnapshot { until, observed, limit: counts & COUNT, unit }
}

fn word(config: &CircuitConfig, circuit: &Circuit, allowance: Allowance) -> u64 {
    let passes = if circuit.passes_all() { PASSES } else { 0 };
    let timed = if config.slow_after.is_some() { TIMED } else { 0 };
    let allowance = u64::from(allowance.calls) * ONE;
    circuit.generation() << BITS | allowance | timed | passes
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
        common: Common,
        shared: SharedCircuit,
        now: Instant,
    }

    impl Shared {
        /// Opens at the first failure; one probe.
        fn new() -> Arc<Shared> {
            Shared::by(CircuitConfig::builder().consecutive_failures(1).probes(1))
        }

        fn by(config: CircuitBreakerBuilder) -> Arc<Shared> {
            let config = config.config();
            let common = Common::new(config.unwrap());
            let shared = SharedCircuit::new(common.config.get());
            Arc::new(Shared { common, shared, now: clock::now() })
        }

        fn admit(&self, now: Instant) -> Option<Admission> {
            let fast = self.shared.admit_fast(|| Tick::of(now));
            fast.or_else(|| {
                self.shared.with(&self.common, |config, circuit| {
                    circuit.advance(config, now, || 0.5);
                    circuit.admit(config, now, || 0.5).ok()
                })
            })
        }

        fn record(&self, admission: Admission, outcome: Outcome, now: Instant) {
            let good = outcome == Outcome::Success;
            if good && self.shared.count_success(&self.common, &admission, || Tick::of(now)) {
                return;
            }
            self.shared.with(&self.common, |config, circuit| {
                circuit.record(config, admission, outcome, now, || 0.5);
            });
        }

        fn is_rejected(&self) -> bool {
            let fast = self.rejects_fast();
            let slow = |config: &CircuitConfig, circuit: &mut Circuit| {
                circuit.admit(config, self.now, || 0.5).is_err()
            };
            fast || self.shared.with(&self.common, slow)
        }

        fn rejects_fast(&self) -> bool {
            let checked = self.shared.check_fast(&self.common, || Tick::of(self.now));
            matches!(checked, FastCheck::Rejected(_))
        }

        fn state(&self) -> CircuitState {
            self.shared.with(&self.common, |_, circuit| circuit.state())
        }
    }

    /// A success that was admitted while closed neither keeps the circuit from opening nor closes
    /// it.
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
            assert!(shared.shared.admit_fast(|| Tick::of(shared.now)).is_none());
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
            let admit = |shared: Arc<Shared>| move || shared.admit(over);
            let other = thread::spawn(admit(shared.clone()));
            // A failure from before ends meanwhile: it gives back no place and reopens nothing.
            shared.record(late, Outcome::transient(), over);
            let mine = admit(shared.clone())();
            let theirs = other.join().unwrap();
            assert!(mine.is_some() != theirs.is_some());
            assert_eq!(shared.state(), CircuitState::HalfOpen);
        });
    }
    /// Calls that use the allowance while another thread reclaims it are counted, and only once.
    #[test]
    fn loom_every_call_is_counted_once() {
        loom::model(|| {
            let window = SlidingWindow::count(100);
            let shared = Shared::by(CircuitConfig::builder().failure_rate(1.0, window));
            let begin = shared.admit(shared.now).unwrap();
            // There is an allowance from here on.
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
                .shared
                .with(&shared.common, |config, circuit| circuit.snapshot(config, shared.now));
            assert_eq!((seen.calls, seen.failures), (4, 1));
        });
    }

    /// A call that ends after another configuration has opened the circuit takes none of the
    /// allowance.
    #[test]
    fn loom_a_new_configuration_is_applied_before_a_call_is_counted_by_the_old() {
        loom::model(|| {
            let window = SlidingWindow::count(10);
            let shared = Shared::by(CircuitConfig::builder().failure_rate(0.9, window));
            let begin = shared.admit(shared.now).unwrap();
            let late = shared.admit(shared.now).unwrap();
            shared.record(begin, Outcome::Success, shared.now);
            let other = {
                let shared = shared.clone();
                thread::spawn(move || {
                    let common = CircuitConfig::builder().consecutive_failures(1).config();
                    shared.common.set(common.unwrap());
                    let failing = shared.admit(shared.now).unwrap();
                    shared.record(failing, Outcome::transient(), shared.now);
                })
            };
            shared.record(late, Outcome::Success, shared.now);
            other.join().unwrap();
            assert_eq!(shared.state(), CircuitState::Open);
        });
    }

    /// A thread that reclaims the allowance and ends the break loses no rejection.
    #[test]
    fn loom_every_rejection_is_counted_once() {
        loom::model(|| {
            let shared = Shared::new();
            let failing = shared.admit(shared.now).unwrap();
            shared.record(failing, Outcome::transient(), shared.now);
            let other = {
                let shared = shared.clone();
                thread::spawn(move || u32::from(shared.is_rejected()))
            };
            let mine = u32::from(shared.is_rejected());
            let half_open = shared.shared.with(&shared.common, |_, circuit| circuit.half_open());
            assert!(half_open.is_ok());
            assert!(!shared.rejects_fast());
            let rejected = mine + other.join().unwrap();
            let seen = shared
                .shared
                .with(&shared.common, |config, circuit| circuit.snapshot(config, shared.now));
            assert_eq!(seen.not_permitted, rejected);
        });
    }
}
