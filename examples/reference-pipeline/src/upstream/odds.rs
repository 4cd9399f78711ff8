//! An odds API with a rate limit.
//!
//! The real API allows thirty calls a minute and five at once. Here a minute takes a second
//! ([`SCALE`]), on both sides of the wire. A call over the limit is rejected with a `Retry-After`,
//! and so is every call before its end, because it applies to the whole account. Once in a run the
//! API rejects a call within the limit, as if another program with the same account had used the
//! minute up. No limiter of the client can predict that rejection; it can only obey the
//! `Retry-After`.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ledger::peak;

/// Speed-up compared with the real API: thirty a minute are thirty a second.
pub const SCALE: u32 = 60;

/// Calls that the API allows a minute.
pub const PER_MINUTE: u32 = 30;

/// Calls that the API allows at once.
pub const BURST: u32 = 5;

/// A minute of the demo.
pub const MINUTE: Duration = Duration::from_millis(60_000 / SCALE as u64);

/// Index of the call, from 0, that is rejected at any rate.
const REJECTED_ONCE: u64 = 40;

/// The rate limit of the API. Takes the time as an argument.
#[derive(Debug, Default)]
pub struct OddsApi {
    arrivals: Vec<Instant>,
    rejected: u64,
    early: u64,
    /// Time at which the whole rate is available again (GCRA). At most the burst ahead of now.
    used_until: Option<Instant>,
    not_before: Option<Instant>,
}

impl OddsApi {
    /// Counts a call. Returns its `Retry-After` if it is rejected.
    pub fn arrive(&mut self, now: Instant) -> Option<Duration> {
        let nth = self.arrivals.len() as u64;
        self.arrivals.push(now);
        let early = self.not_before.is_some_and(|until| now < until);
        self.early += u64::from(early);
        if !early && nth != REJECTED_ONCE && self.take_share(now) {
            return None;
        }
        self.rejected += 1;
        if !early {
            self.not_before = Some(now + MINUTE);
        }
        Some(MINUTE)
    }

    /// Takes the share of one call. Returns `false` if none is left.
    fn take_share(&mut self, now: Instant) -> bool {
        let gap = MINUTE / PER_MINUTE;
        let used_until = self.used_until.map_or(now, |until| until.max(now)) + gap;
        let fits = used_until <= now + gap * BURST;
        if fits {
            self.used_until = Some(used_until);
        }
        fits
    }

    /// Returns the counts.
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

/// The counts of the API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OddsStatement {
    /// Requests on the wire.
    pub calls: u64,
    /// Requests with the response 429.
    pub rejected: u64,
    /// Requests before the end of the account's `Retry-After`.
    pub early: u64,
    /// Most requests in any [`MINUTE`].
    pub peak: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use resilience_core::clock;

    #[test]
    fn calls_within_the_rate_are_served() {
        let (mut api, start) = (OddsApi::default(), clock::now());
        let gap = MINUTE / PER_MINUTE;
        for nth in 0..REJECTED_ONCE as u32 {
            assert_eq!(api.arrive(start + gap * nth), None, "{nth}");
        }
        // A minute is not a whole number of gaps, to the nanosecond.
        assert!((30..=31).contains(&api.statement().peak));
    }

    #[test]
    fn a_burst_is_five_and_a_retry_after_is_for_the_account() {
        let (mut api, start) = (OddsApi::default(), clock::now());
        let rejected = (0..8).filter(|_| api.arrive(start).is_some()).count();
        assert_eq!(rejected, 3);
        assert_eq!(api.arrive(start + MINUTE - Duration::from_nanos(1)), Some(MINUTE));
        assert_eq!(api.arrive(start + MINUTE), None);
        let OddsStatement { calls, rejected, early, peak } = api.statement();
        assert_eq!((calls, rejected, early, peak), (10, 4, 3, 9));
    }

    #[test]
    fn one_call_within_the_rate_is_rejected() {
        let (mut api, start) = (OddsApi::default(), clock::now());
        let rejected = |nth| api.arrive(start + MINUTE * nth).is_some();
        let rejected: Vec<_> = (0..REJECTED_ONCE as u32 + 2).map(rejected).collect();
        assert_eq!(rejected.iter().position(|rejected| *rejected), Some(REJECTED_ONCE as usize));
        assert_eq!(rejected.into_iter().filter(|rejected| *rejected).count(), 1);
    }
}
