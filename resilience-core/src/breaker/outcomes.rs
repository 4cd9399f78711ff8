//! Calls by outcome, counted where they end.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::observe::names;
use crate::outcome::Outcome;

/// Calls that a breaker admitted and that have ended, by [`Outcome`]. Read by
/// [`CircuitBreaker::outcomes`](super::CircuitBreaker::outcomes).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct OutcomeCounts {
    /// [`Outcome::Success`].
    pub success: u64,
    /// [`Outcome::Transient`].
    pub transient: u64,
    /// [`Outcome::TimedOut`].
    pub timed_out: u64,
    /// [`Outcome::Throttled`].
    pub throttled: u64,
    /// [`Outcome::Permanent`].
    pub permanent: u64,
    /// [`Outcome::Unknown`].
    pub unknown: u64,
    /// [`Outcome::NotReady`].
    pub not_ready: u64,
    /// [`Outcome::Abandoned`].
    pub abandoned: u64,
}

impl OutcomeCounts {
    /// Returns all calls that have ended.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.named().iter().map(|(_, calls)| calls).sum()
    }

    /// Returns each count with the name of its gauge.
    pub(super) const fn named(&self) -> [(&'static str, u64); 8] {
        [
            (names::CALLS_SUCCESS, self.success),
            (names::CALLS_TRANSIENT, self.transient),
            (names::CALLS_TIMED_OUT, self.timed_out),
            (names::CALLS_THROTTLED, self.throttled),
            (names::CALLS_PERMANENT, self.permanent),
            (names::CALLS_UNKNOWN, self.unknown),
            (names::CALLS_NOT_READY, self.not_ready),
            (names::CALLS_ABANDONED, self.abandoned),
        ]
    }
}

/// The counters behind [`OutcomeCounts`], shared by all circuits of one configuration.
// Relaxed: each is a number of its own, and orders nothing.
#[derive(Debug, Default)]
pub(super) struct OutcomeCounters {
    success: AtomicU64,
    transient: AtomicU64,
    timed_out: AtomicU64,
    throttled: AtomicU64,
    permanent: AtomicU64,
    unknown: AtomicU64,
    not_ready: AtomicU64,
    abandoned: AtomicU64,
}

impl OutcomeCounters {
    pub(super) fn add(&self, outcome: Outcome, calls: u32) {
        if calls == 0 {
            return;
        }
        let counter = match outcome {
            Outcome::Success => &self.success,
            Outcome::Transient(_) => &self.transient,
            Outcome::TimedOut => &self.timed_out,
            Outcome::Throttled(_) => &self.throttled,
            Outcome::Permanent => &self.permanent,
            Outcome::Unknown => &self.unknown,
            Outcome::NotReady(_) => &self.not_ready,
            Outcome::Abandoned => &self.abandoned,
        };
        counter.fetch_add(calls.into(), Ordering::Relaxed);
    }

    pub(super) fn read(&self) -> OutcomeCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        OutcomeCounts {
            success: read(&self.success),
            transient: read(&self.transient),
            timed_out: read(&self.timed_out),
            throttled: read(&self.throttled),
            permanent: read(&self.permanent),
            unknown: read(&self.unknown),
            not_ready: read(&self.not_ready),
            abandoned: read(&self.abandoned),
        }
    }
}
