//! The rules of a circuit and of those made from it, while they can change.

use std::sync::atomic::AtomicBool;

use super::circuit::Admission;
use super::config::CircuitConfig;
use super::outcomes::Ended;
use crate::clock::nanos;
use crate::live::{Live, Seen};
use crate::sync::{AtomicU64, Ordering};
use crate::tick::Tick;

/// What is in force, and the one thing of it that a good call is asked on its way past the lock.
#[derive(Debug)]
pub(super) struct Rules {
    live: Live<CircuitConfig>,
    /// Nanoseconds after which a call was slow.
    slow_after: AtomicU64,
    /// A failure that no code recognised was reported.
    met_unknown: AtomicBool,
    /// Calls that have ended.
    pub(super) ended: Ended,
}

impl Rules {
    pub(super) fn new(config: CircuitConfig) -> Rules {
        let slow_after = AtomicU64::new(slow_after(&config));
        Rules {
            live: Live::new(config),
            slow_after,
            met_unknown: AtomicBool::new(false),
            ended: Ended::default(),
        }
    }

    /// Puts `config` into force.
    pub(super) fn set(&self, config: CircuitConfig) {
        let after = slow_after(&config);
        // Before the version: whoever finds that in force finds this, or what came after it.
        self.live.set_with(config, || self.slow_after.store(after, Ordering::Relaxed));
    }

    /// Returns `true` at the first call.
    pub(super) fn meets_unknown(&self) -> bool {
        !self.met_unknown.swap(true, Ordering::Relaxed)
    }

    pub(super) fn see(&self) -> Seen<CircuitConfig> {
        self.live.see()
    }

    /// Whether the rules of this version are in force.
    #[inline]
    pub(super) fn are_at(&self, version: u32) -> bool {
        self.live.is_at(version)
    }

    /// Whether it was slow, by the rules that were just found in force.
    #[inline]
    pub(super) fn is_slow(&self, admission: &Admission, mut now: impl FnMut() -> Tick) -> bool {
        admission.is_timed() && admission.took(now()) >= self.slow_after.load(Ordering::Relaxed)
    }
}

fn slow_after(config: &CircuitConfig) -> u64 {
    config.slow_after.map_or(u64::MAX, nanos)
}
