//! The shared state of all circuits of one live configuration.

use std::sync::atomic::AtomicBool;

use super::circuit::Admission;
use super::config::CircuitConfig;
use super::outcomes::OutcomeCounters;
use crate::clock::nanos;
use crate::clock::tick::Tick;
use crate::live::LiveConfig;
use crate::sync::{AtomicU64, Ordering};

/// The live configuration and the counters of a breaker and its
/// [`fresh`](super::CircuitBreaker::fresh) breakers.
#[derive(Debug)]
pub(super) struct Common {
    pub(super) config: LiveConfig<CircuitConfig>,
    /// The time in nanoseconds after which a call is slow, for calls that take no lock.
    slow_after: AtomicU64,
    /// `true` once a failure that no code recognised was reported.
    met_unknown: AtomicBool,
    /// The calls that have ended.
    pub(super) ended: OutcomeCounters,
}

impl Common {
    pub(super) fn new(config: CircuitConfig) -> Common {
        let slow_after = AtomicU64::new(slow_after(&config));
        Common {
            config: LiveConfig::new(config),
            slow_after,
            met_unknown: AtomicBool::new(false),
            ended: OutcomeCounters::default(),
        }
    }

    /// Puts `config` into force.
    pub(super) fn set(&self, config: CircuitConfig) {
        self.config.update(|_| {
            // Before the version: a call that finds the version finds this time, or a later one.
            self.slow_after.store(slow_after(&config), Ordering::Relaxed);
            config
        });
    }

    /// Returns `true` at the first call.
    pub(super) fn meets_unknown(&self) -> bool {
        !self.met_unknown.swap(true, Ordering::Relaxed)
    }

    /// Returns `true` if the call was slow, by the configuration of the version that was just read.
    #[inline]
    pub(super) fn is_slow(&self, admission: &Admission, mut now: impl FnMut() -> Tick) -> bool {
        admission.is_timed() && admission.took(now()) >= self.slow_after.load(Ordering::Relaxed)
    }
}

fn slow_after(config: &CircuitConfig) -> u64 {
    config.slow_after.map_or(u64::MAX, nanos)
}
