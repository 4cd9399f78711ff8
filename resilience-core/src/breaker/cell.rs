//! One circuit, shared by threads.
//!
//! Most calls meet a closed circuit, and all they need to know of it is that it is closed and in which
//! generation. Both stand in one word beside the lock, and only who holds the lock writes it. A call that
//! reads it a moment too late is admitted in a generation that is over: what becomes of it then decides
//! nothing. Every other admission is decided under the lock, so there are never more probes than there
//! may be.

use std::time::Instant;

use super::circuit::{Admission, Circuit};
use super::config::CircuitConfig;
use crate::live::{Live, Seen};
use crate::sync::{AtomicU64, Mutex, Ordering};

#[derive(Debug)]
pub(super) struct Cell {
    /// The generation above two bits.
    word: AtomicU64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: Seen<CircuitConfig>,
    circuit: Circuit,
}

/// Every call passes.
const PASSES: u64 = 0b01;
/// When it began will be asked.
const TIMED: u64 = 0b10;

impl Cell {
    pub(super) fn new(config: Seen<CircuitConfig>) -> Cell {
        let circuit = Circuit::new();
        let word = AtomicU64::new(word(&config, &circuit));
        Cell { word, state: Mutex::new(State { config, circuit }) }
    }

    /// Admits a call to a circuit that is closed. One load, and a look at the clock only where it will
    /// matter how long the call took.
    #[inline]
    pub(super) fn glance(&self, now: impl FnOnce() -> Instant) -> Option<Admission> {
        let word = self.word.load(Ordering::Acquire);
        if word & PASSES == 0 {
            return None;
        }
        let started = if word & TIMED == 0 { None } else { Some(now()) };
        Some(Admission::of(word >> 2, started))
    }

    /// Whether it is closed, or as good as.
    #[cfg(feature = "tower")]
    #[inline]
    pub(super) fn passes_all(&self) -> bool {
        self.word.load(Ordering::Acquire) & PASSES != 0
    }

    /// Does something with the circuit, by the rules that are in force. `body` runs under the lock: it
    /// decides, and calls nobody.
    #[inline]
    pub(super) fn with<R>(
        &self,
        live: &Live<CircuitConfig>,
        body: impl FnOnce(&CircuitConfig, &mut Circuit) -> R,
    ) -> R {
        let mut state = self.state.lock();
        let State { config, circuit } = &mut *state;
        if let Some(former) = config.refresh(live) {
            circuit.reconfigured(&former, config);
        }
        let result = body(config, circuit);
        let word = word(config, circuit);
        // Read as it was written last: only who holds the lock writes.
        if self.word.load(Ordering::Relaxed) != word {
            self.word.store(word, Ordering::Release);
        }
        result
    }
}

#[inline]
fn word(config: &CircuitConfig, circuit: &Circuit) -> u64 {
    let passes = if circuit.passes_all() { PASSES } else { 0 };
    let timed = if config.slow_after.is_some() { TIMED } else { 0 };
    circuit.generation() << 2 | timed | passes
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use crate::breaker::CircuitState;
    use crate::clock;
    use crate::outcome::Outcome;
    use loom::sync::Arc;
    use loom::thread;
    use std::time::Duration;

    struct Shared {
        live: std::sync::Arc<Live<CircuitConfig>>,
        cell: Cell,
        now: Instant,
    }

    impl Shared {
        /// Opens at the first failure; one probe.
        fn new() -> Arc<Shared> {
            let config = CircuitConfig::builder().consecutive_failures(1).probes(1).config();
            let live = Live::new(config.unwrap());
            let cell = Cell::new(live.see());
            Arc::new(Shared { live, cell, now: clock::now() })
        }

        fn admit(&self, now: Instant) -> Option<Admission> {
            let glanced = self.cell.glance(|| now);
            glanced.or_else(|| {
                self.cell.with(&self.live, |config, circuit| {
                    circuit.advance(config, now, || 0.5);
                    circuit.admit(config, now, || 0.5).ok()
                })
            })
        }

        fn record(&self, admission: Admission, outcome: Outcome, now: Instant) {
            self.cell.with(&self.live, |config, circuit| {
                circuit.record(config, admission, outcome, now, || 0.5);
            });
        }

        fn state(&self) -> CircuitState {
            self.cell.with(&self.live, |_, circuit| circuit.state())
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
            assert!(shared.cell.glance(|| shared.now).is_none());
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
}
