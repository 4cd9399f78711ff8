//! Quotas: a number of calls in a period.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::rate::{Shaping, Quota};
//!
//! let scraper = Shaping::new(Quota::per_minute(30)?.with_burst(5)?).with_min_gap(Duration::from_secs(1))?;
//! assert_eq!((scraper.quota().count(), scraper.quota().burst()), (30, 5));
//! assert!(Quota::per_second(0).is_err());
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

use std::time::Duration;

use super::span::FracNanos;
use crate::clock::{MAX_WAIT, nanos};
use crate::config::{self, InvalidConfig};

/// A number of calls in a period, and a number at once (the burst).
///
/// In every closed window of length *w*, at most `burst + count · w / period` tokens are admitted.
/// For a limit of "never more than N in any period", use a burst of one, or a count of N − burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    count: u32,
    /// Nanoseconds.
    period: u64,
    burst: u32,
    /// The time in which one token comes back.
    interval: FracNanos,
    /// The time in which a full bucket comes back.
    full: FracNanos,
}

impl Quota {
    /// Returns a quota of `count` a second, with a burst of `count`.
    ///
    /// # Errors
    /// If `count` is 0.
    pub fn per_second(count: u32) -> Result<Quota, InvalidConfig> {
        Quota::per(count, Duration::from_secs(1))
    }

    /// Returns a quota of `count` a minute, with a burst of `count`.
    ///
    /// # Errors
    /// If `count` is 0.
    pub fn per_minute(count: u32) -> Result<Quota, InvalidConfig> {
        Quota::per(count, Duration::from_secs(60))
    }

    /// Returns a quota of `count` in a period of a nanosecond to 365 days, with a burst of `count`.
    ///
    /// # Errors
    /// If `count` is 0, or the period is out of its bounds.
    pub fn per(count: u32, period: Duration) -> Result<Quota, InvalidConfig> {
        let period = nanos(config::wait("period", period)?);
        if count == 0 {
            return Err(InvalidConfig::new("count", count, "at least 1"));
        }
        let interval = FracNanos::from_parts(period.into(), count);
        Ok(Quota { count, period, burst: count, interval, full: FracNanos::ns(period) })
    }

    /// Sets the burst: the most tokens at once.
    ///
    /// # Errors
    /// If `burst` is 0, or takes more than 365 days to come back.
    pub fn with_burst(self, burst: u32) -> Result<Quota, InvalidConfig> {
        let full = FracNanos::from_parts(u128::from(self.period) * u128::from(burst), self.count);
        if burst == 0 {
            return Err(InvalidConfig::new("burst", burst, "at least 1"));
        }
        if full.ceil() > nanos(MAX_WAIT) {
            return Err(InvalidConfig::new("burst", burst, "what comes back within 365 days"));
        }
        Ok(Quota { burst, full, ..self })
    }

    /// Returns the number of calls in a [period](Quota::period).
    #[must_use]
    #[inline]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Returns the time in which `count` tokens come back.
    #[must_use]
    pub const fn period(&self) -> Duration {
        Duration::from_nanos(self.period)
    }

    /// Returns the burst, which is the most that one call may cost.
    #[must_use]
    #[inline]
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    #[inline]
    pub(super) const fn full(&self) -> FracNanos {
        self.full
    }

    /// Returns the time in which `tokens` come back.
    #[inline]
    pub(super) fn time_of(&self, tokens: u64) -> FracNanos {
        if tokens == 1 { self.interval } else { self.time_of_many(tokens) }
    }

    /// Computes in 64 bits if they suffice, as they do for all costs up to the burst.
    #[inline(never)]
    fn time_of_many(&self, tokens: u64) -> FracNanos {
        let short = || {
            let count = u64::from(self.count);
            let FracNanos { ns, part } = self.interval;
            let parts = u64::from(part).checked_mul(tokens)?;
            let ns = ns.checked_mul(tokens)?.checked_add(parts / count)?;
            Some(FracNanos { ns, part: u32::try_from(parts % count).ok()? })
        };
        short().unwrap_or_else(|| {
            let parts = u128::from(self.period).saturating_mul(tokens.into());
            FracNanos::from_parts(parts, self.count)
        })
    }

    /// Returns the number of tokens that come back in this time, and the remainder in parts.
    pub(super) fn tokens_in(&self, span: FracNanos) -> (u128, u128) {
        let parts = span.parts(self.count);
        // A division of 128 bits is slow, and hardly ever needed.
        if let Ok(parts) = u64::try_from(parts) {
            return ((parts / self.period).into(), (parts % self.period).into());
        }
        (parts / u128::from(self.period), parts % u128::from(self.period))
    }

    /// Returns the time in which the tokens of `span` under this quota come back under `other`;
    /// rounded up.
    pub(super) fn translate(&self, span: FracNanos, other: &Quota) -> FracNanos {
        let (tokens, rest) = self.tokens_in(span);
        // Both below 2^55, and the tokens of a year below 2^64.
        let rest = (rest * u128::from(other.period)).div_ceil(u128::from(self.period));
        let parts = tokens.saturating_mul(u128::from(other.period)).saturating_add(rest);
        FracNanos::from_parts(parts, other.count)
    }
}

/// A [`Quota`], with a minimum gap between calls and a warm-up: the limit of a
/// [`TokenBucket`](super::TokenBucket).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shaping {
    pub(crate) quota: Quota,
    pub(super) min_gap: u64,
    pub(super) warm_up: u64,
}

impl Shaping {
    /// Returns a quota without a gap and a warm-up.
    #[must_use]
    pub const fn new(quota: Quota) -> Shaping {
        Shaping { quota, min_gap: 0, warm_up: 0 }
    }

    /// Sets the shortest time between two admissions of any cost. Up to 365 days; zero for none.
    ///
    /// # Errors
    /// If `gap` is longer.
    pub fn with_min_gap(self, gap: Duration) -> Result<Shaping, InvalidConfig> {
        Ok(Shaping { min_gap: nanos(config::wait_or_none("min_gap", gap)?), ..self })
    }

    /// Starts a cold bucket at a third of the rate and of the burst, and grows to the whole over
    /// this time. A bucket is cold at its first admission, and after it was full for this time. Up
    /// to 365 days; zero for none. The third is the cold factor of Sentinel and Guava.
    ///
    /// # Errors
    /// If `warm_up` is longer.
    pub fn with_warm_up(self, warm_up: Duration) -> Result<Shaping, InvalidConfig> {
        Ok(Shaping { warm_up: nanos(config::wait_or_none("warm_up", warm_up)?), ..self })
    }

    /// Returns `true` if there is a gap or a warm-up.
    #[inline]
    pub(crate) const fn is_shaped(&self) -> bool {
        self.min_gap | self.warm_up != 0
    }

    /// Returns the quota.
    #[must_use]
    pub const fn quota(&self) -> &Quota {
        &self.quota
    }

    /// Returns the time in which the tokens of an admission come back, `age` after a cold start:
    /// from three times `time` down to `time`.
    pub(super) fn warming(&self, time: FracNanos, age: u64) -> FracNanos {
        if age >= self.warm_up {
            return time;
        }
        let whole = u128::from(self.warm_up);
        let age = u128::from(age);
        let ns = (u128::from(time.ceil()) * 3 * whole).div_ceil(whole + 2 * age);
        FracNanos::ns(u64::try_from(ns).unwrap_or(u64::MAX)).max(time)
    }
}

impl From<Quota> for Shaping {
    fn from(quota: Quota) -> Shaping {
        Shaping::new(quota)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn impossible_quotas_are_named() {
        let year = MAX_WAIT;
        assert_eq!(Quota::per_second(0).unwrap_err().field(), "count");
        assert_eq!(Quota::per(1, Duration::ZERO).unwrap_err().field(), "period");
        assert_eq!(Quota::per(1, Duration::MAX).unwrap_err().field(), "period");
        let yearly = Quota::per(1, year).unwrap();
        assert_eq!(yearly.with_burst(0).unwrap_err().field(), "burst");
        assert_eq!(yearly.with_burst(2).unwrap_err().field(), "burst");
        assert_eq!(yearly.with_burst(1), Ok(yearly));
        let shaping = Shaping::new(yearly);
        assert_eq!(shaping.with_min_gap(Duration::MAX).unwrap_err().field(), "min_gap");
        assert_eq!(shaping.with_warm_up(Duration::MAX).unwrap_err().field(), "warm_up");
    }

    proptest! {
        #[test]
        fn many_tokens_take_as_long_as_in_one_division(
            count in 1..=u32::MAX,
            period in prop_oneof![1..1_000_u64, 1..nanos(MAX_WAIT)],
            tokens in prop_oneof![0..10_u64, any::<u32>().prop_map(u64::from), any::<u64>()],
        ) {
            let quota = Quota::per(count, Duration::from_nanos(period)).unwrap();
            let parts = u128::from(period).saturating_mul(tokens.into());
            let expected = FracNanos::from_parts(parts, count);
            prop_assert_eq!(quota.time_of(tokens), expected);
        }
    }

    #[test]
    fn used_tokens_stay_used_under_another_quota() {
        let slow = Quota::per_minute(7).unwrap();
        let fast = Quota::per_second(1_000_000_001).unwrap();
        let used = slow.time_of(5);
        assert_eq!(slow.translate(used, &fast), fast.time_of(5));
        assert_eq!(fast.translate(fast.time_of(5), &slow), used);
        let half = FracNanos::ns(slow.interval.ns / 2);
        assert!(fast.translate(slow.translate(half, &fast), &slow) >= half);
    }

    #[test]
    fn a_cold_start_takes_three_times_as_long() {
        let shaping = Shaping::new(Quota::per_second(10).unwrap());
        let shaping = shaping.with_warm_up(Duration::from_secs(1)).unwrap();
        let time = shaping.quota.interval;
        let warming = |ms: u64| shaping.warming(time, ms * 1_000_000).ns / 1_000_000;
        assert_eq!([0, 250, 500, 999, 1_000].map(warming), [300, 200, 150, 100, 100]);
    }
}
