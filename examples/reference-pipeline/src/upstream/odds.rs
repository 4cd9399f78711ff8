//! An odds API that counts.
//!
//! The real one allows thirty calls a minute and five at once. Here a minute takes a second
//! ([`SCALE`]), on both sides of the wire. Whoever is over is refused with a `Retry-After`, and so is
//! everybody who comes before that is over: it is the account that was told, not the call. Once in a
//! run it refuses though nothing was wrong, as it does when another program with the same account
//! has used the minute up. No limiter can know of that one; it can only listen.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ledger::peak;

/// How much faster than in life: thirty a minute are thirty a second.
pub const SCALE: u32 = 60;

/// Calls that the API allows in a minute.
pub const PER_MINUTE: u32 = 30;

/// Calls that it allows at once.
pub const BURST: u32 = 5;

/// A minute, as the demo counts it.
pub const MINUTE: Duration = Duration::from_millis(60_000 / SCALE as u64);

/// The call, counted from 0, that is refused whatever the rate.
const REFUSED_ONCE: u64 = 40;

/// The API's side of the contract. Told the time.
#[derive(Debug, Default)]
pub struct OddsApi {
    arrivals: Vec<Instant>,
    refused: u64,
    early: u64,
    /// When all that was used will have come back. It may be ahead of now by the burst.
    used_until: Option<Instant>,
    not_before: Option<Instant>,
}

impl OddsApi {
    /// A call arrives. Returns how long to stay away, if it is refused.
    pub fn arrive(&mut self, now: Instant) -> Option<Duration> {
        let nth = self.arrivals.len() as u64;
        self.arrivals.push(now);
        let early = self.not_before.is_some_and(|told| now < told);
        self.early += u64::from(early);
        if !early && nth != REFUSED_ONCE && self.has_room(now) {
            return None;
        }
        self.refused += 1;
        if !early {
            self.not_before = Some(now + MINUTE);
        }
        Some(MINUTE)
    }

    /// Takes a call's share of the rate, if there is one left.
    fn has_room(&mut self, now: Instant) -> bool {
        let gap = MINUTE / PER_MINUTE;
        let used_until = self.used_until.map_or(now, |until| until.max(now)) + gap;
        let fits = used_until <= now + gap * BURST;
        if fits {
            self.used_until = Some(used_until);
        }
        fits
    }

    /// What it counted.
    #[must_use]
    pub fn statement(&self) -> OddsStatement {
        OddsStatement {
            calls: self.arrivals.len() as u64,
            refused: self.refused,
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
    /// Those that were answered with a 429.
    pub refused: u64,
    /// Those that came while the account was told to stay away.
    pub early: u64,
    /// The most requests in any [`MINUTE`].
    pub peak: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use resilience_core::clock;

    #[test]
    fn what_is_within_the_rate_is_served() {
        let (mut api, start) = (OddsApi::default(), clock::now());
        let gap = MINUTE / PER_MINUTE;
        for nth in 0..REFUSED_ONCE as u32 {
            assert_eq!(api.arrive(start + gap * nth), None, "{nth}");
        }
        // A minute is not a whole number of gaps, to the nanosecond.
        assert!((30..=31).contains(&api.statement().peak));
    }

    #[test]
    fn a_burst_is_five_and_the_account_is_told() {
        let (mut api, start) = (OddsApi::default(), clock::now());
        let refused = (0..8).filter(|_| api.arrive(start).is_some()).count();
        assert_eq!(refused, 3);
        assert_eq!(api.arrive(start + MINUTE - Duration::from_nanos(1)), Some(MINUTE));
        assert_eq!(api.arrive(start + MINUTE), None);
        let OddsStatement { calls, refused, early, peak } = api.statement();
        assert_eq!((calls, refused, early, peak), (10, 4, 3, 9));
    }

    #[test]
    fn one_call_is_refused_that_did_nothing_wrong() {
        let (mut api, start) = (OddsApi::default(), clock::now());
        let refused = |nth| api.arrive(start + MINUTE * nth).is_some();
        let refused: Vec<_> = (0..REFUSED_ONCE as u32 + 2).map(refused).collect();
        assert_eq!(refused.iter().position(|refused| *refused), Some(REFUSED_ONCE as usize));
        assert_eq!(refused.into_iter().filter(|refused| *refused).count(), 1);
    }
}
