//! An odds API with a limit on calls.
//!
//! The real one allows thirty calls a minute and five at once. Here a minute takes a second
//! ([`SCALE`]), for clients and server. A call above the limit is rejected with a `Retry-After`,
//! and so is every other call before that has passed: it applies to the account and not to the
//! call. Once in a run a call within the limit is rejected too, as happens when another program
//! with the same account has used the minute up. No limiter can foresee that; a client can only
//! obey the hint.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ledger::peak;

/// Factor by which the demo is faster than the real API: thirty a minute are thirty a second.
pub const SCALE: u32 = 60;

/// Calls that the API allows a minute.
pub const PER_MINUTE: u32 = 30;

/// Calls that the API allows at once.
pub const BURST: u32 = 5;

/// A minute of the API at the demo's scale.
pub const MINUTE: Duration = Duration::from_millis(60_000 / SCALE as u64);

/// Index, from 0, of the call that is rejected at any rate.
const REJECTED_ONCE: u64 = 40;

/// The server's side of the limit. Reads no clock: callers pass the time.
#[derive(Debug, Default)]
pub struct OddsApi {
    arrivals: Vec<Instant>,
    rejected: u64,
    early: u64,
    /// Instant at which all quota in use is free again. At most a burst ahead of now.
    used_until: Option<Instant>,
    not_before: Option<Instant>,
}

impl OddsApi {
    /// Records a call. Returns the time to stay away if the call is rejected.
    pub fn arrive(&mut self, now: Instant) -> Option<Duration> {
        let nth = self.arrivals.len() as u64;
        self.arrivals.push(now);
        let early = self.not_before.is_some_and(|instant| now < instant);
        self.early += u64::from(early);
        if !early && nth != REJECTED_ONCE && self.take_quota(now) {
            return None;
        }
        self.rejected += 1;
        if !early {
            self.not_before = Some(now + MINUTE);
        }
        Some(MINUTE)
    }

    /// Takes one call from the quota. Returns `false` if none is left.
    fn take_quota(&mut self, now: Instant) -> bool {
        let gap = MINUTE / PER_MINUTE;
        let used_until = self.used_until.map_or(now, |until| until.max(now)) + gap;
        let fits = used_until <= now + gap * BURST;
        if fits {
            self.used_until = Some(used_until);
        }
        fits
    }

    /// Returns the counters.
    #[must_use]
    pub fn statement(&self) -> OddsStatement {
        OddsStatement {
            calls: self.arrivals.len() as u64,
            rejected: self.rejected,
            early: self.early,
            peak: peak(&self.arrivals, MINUTE),
        }
    }
}

/// The API's own counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OddsStatement {
    /// Requests on the wire.
    pub calls: u64,
    /// Calls that were rejected with a 429.
    pub rejected: u64,
    /// Calls that came before the account's `Retry-After` had passed.
    pub early: u64,
    /// The most requests in any [`MINUTE`].
    pub peak: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use resilience_core::clock;

    #[test]
    fn calls_within_the_limit_are_served() {
        let mut api = OddsApi::default();
        let start = clock::now();
        let gap = MINUTE / PER_MINUTE;
        for nth in 0..REJECTED_ONCE as u32 {
            assert_eq!(api.arrive(start + gap * nth), None, "{nth}");
        }
        // A minute is not a whole number of gaps, to the nanosecond.
        assert!((30..=31).contains(&api.statement().peak));
    }

    #[test]
    fn a_burst_is_five_and_retry_after_is_for_the_account() {
        let mut api = OddsApi::default();
        let start = clock::now();
        let rejected = (0..8).filter(|_| api.arrive(start).is_some()).count();
        assert_eq!(rejected, 3);
        assert_eq!(api.arrive(start + MINUTE - Duration::from_nanos(1)), Some(MINUTE));
        assert_eq!(api.arrive(start + MINUTE), None);
        let OddsStatement { calls, rejected, early, peak } = api.statement();
        assert_eq!((calls, rejected, early, peak), (10, 4, 3, 9));
    }

    #[test]
    fn one_call_within_the_limit_is_rejected() {
        let mut api = OddsApi::default();
        let start = clock::now();
        let rejected = |nth| api.arrive(start + MINUTE * nth).is_some();
        let rejected: Vec<_> = (0..REJECTED_ONCE as u32 + 2).map(rejected).collect();
        assert_eq!(rejected.iter().position(|rejected| *rejected), Some(REJECTED_ONCE as usize));
        assert_eq!(rejected.into_iter().filter(|rejected| *rejected).count(), 1);
    }
}
