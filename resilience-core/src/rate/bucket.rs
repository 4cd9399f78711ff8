//! A token bucket that admits a call now, later or never.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::clock;
//! use resilience_core::rate::{Decision, Quota, TokenBucket};
//!
//! let start = clock::now();
//! let mut bucket = TokenBucket::new(Quota::per_second(10)?.with_burst(2)?);
//! assert_eq!(bucket.take(start, 2), Decision::Conforms);
//! let Decision::NotUntil(then) = bucket.take(start, 1) else { panic!() };
//! assert_eq!(then, start + Duration::from_millis(100));
//! assert_eq!(bucket.take(then, 1), Decision::Conforms);
//! assert_eq!(bucket.take(then, 3), Decision::Never);
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

use std::time::Instant;

use super::gcra::{Gcra, GcraDecision, Grant};
use super::quota::Shaping;
use crate::clock::tick::Tick;
use crate::clock::{MAX_WAIT, later};

/// A token bucket, exact to the nanosecond (GCRA): in every closed window of length *w*, the
/// admitted calls cost at most `burst + rate · w`.
///
/// Starts full. Times may come out of order; a call with an earlier time is admitted later rather
/// than sooner. After a call at a [far instant](crate::clock#far-instants), earlier calls get the
/// rest of the burst, and then none before that instant.
#[derive(Debug)]
pub struct TokenBucket {
    shaping: Shaping,
    gcra: Gcra,
}

/// The decision about a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "now, later or never: there is no fourth")]
pub enum Decision {
    /// The call is admitted, and counted.
    Conforms,
    /// The call is admitted at this time if no other call comes before. Nothing is counted.
    NotUntil(Instant),
    /// The call costs more than the burst.
    Never,
}

/// Tokens that were taken, and may be [given back](TokenBucket::give_back).
#[derive(Debug, PartialEq, Eq)]
#[must_use = "dropped, the tokens are spent"]
pub struct Taken(Grant);

impl TokenBucket {
    /// Returns a full bucket.
    pub fn new(shaping: impl Into<Shaping>) -> TokenBucket {
        TokenBucket { shaping: shaping.into(), gcra: Gcra::default() }
    }

    /// Takes `cost` tokens if there are as many.
    pub fn take(&mut self, now: Instant, cost: u32) -> Decision {
        // See docs/decisions/0041-permits-are-one-word-the-limiter-is-a-lock.md.
        let ns = ns_of(now);
        if self.gcra.admit(&self.shaping, ns, cost) {
            return Decision::Conforms;
        }
        match self.try_take(now, cost) {
            Ok(_) => Decision::Conforms,
            Err(decision) => decision,
        }
    }

    /// Takes `cost` tokens if there are as many, and returns a receipt for
    /// [`give_back`](Self::give_back).
    ///
    /// # Errors
    /// [`Decision::NotUntil`] or [`Decision::Never`]; never [`Decision::Conforms`].
    pub fn try_take(&mut self, now: Instant, cost: u32) -> Result<Taken, Decision> {
        let now = ns_of(now);
        match self.gcra.take(&self.shaping, now, cost) {
            GcraDecision::Granted(grant) => Ok(Taken(grant)),
            GcraDecision::NotBefore(then, _) => Err(Decision::NotUntil(instant_at(then))),
            GcraDecision::Never => Err(Decision::Never),
        }
    }

    /// Gives back unused tokens, as many as the bound on every window allows: all of them if no
    /// call was admitted since, and otherwise those that would not have come back by now.
    pub fn give_back(&mut self, taken: Taken) {
        self.gcra.give_back(&self.shaping, taken.0);
    }

    /// Admits no call before `until`, at most a year after `now`. For the hints of servers.
    pub fn pause_until(&mut self, now: Instant, until: Instant) {
        let wait = until.saturating_duration_since(now).min(MAX_WAIT);
        self.gcra.pause(ns_of(later(now, wait)));
    }

    /// Puts another quota, gap and warm-up into force. Used tokens stay used.
    pub fn set_shaping(&mut self, now: Instant, shaping: impl Into<Shaping>) {
        let new = shaping.into();
        self.gcra.change(&self.shaping, &new, ns_of(now));
        self.shaping = new;
    }

    /// Returns the most tokens that [`take`](Self::take) would take at `now`: 0 during a pause or a
    /// gap.
    #[must_use]
    pub fn available(&self, now: Instant) -> u32 {
        self.gcra.available(&self.shaping, ns_of(now))
    }
}

/// Returns the nanoseconds between the earliest tick and `time`.
#[inline]
pub(super) const fn ns_of_tick(time: Tick) -> u64 {
    i64::MIN.abs_diff(time.as_i64())
}

/// The origin of the clock in these nanoseconds. Models and tests begin there.
#[cfg(any(test, feature = "testing"))]
pub(crate) const START: u64 = ns_of_tick(Tick::from_i64(0));

#[inline]
pub(super) fn ns_of(time: Instant) -> u64 {
    ns_of_tick(Tick::of(time))
}

pub(super) fn instant_at(ns: u64) -> Instant {
    Tick::from_i64(i64::MIN.saturating_add_unsigned(ns)).instant()
}
