//! Maximum age and idle time of pooled objects.
//!
//! Servers, load balancers and firewalls drop connections that are old or idle, often silently. A
//! pool that retires them first never checks out a half-dead one. Objects that were made together
//! must not expire together, or all are replaced at once: each has its own random sample, which
//! shortens its maximum age by up to the jitter.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::pool::{Lifetime, Retired};
//!
//! let lifetime = Lifetime::new()
//!     .max_age(Duration::from_secs(1_000))
//!     .jitter(0.2)
//!     .max_idle(Duration::from_secs(60))
//!     .build()?;
//! let made = resilience_core::clock::now();
//! let later = made + Duration::from_secs(900);
//! assert_eq!(lifetime.expired(later, made, later, 0.0), None);
//! assert_eq!(lifetime.expired(later, made, later, 0.9), Some(Retired::TooOld));
//! assert_eq!(lifetime.expired(later, later, made, 0.0), Some(Retired::IdleTooLong));
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

use std::time::{Duration, Instant};

use crate::clock::nanos;
use crate::config::{self, InvalidConfig};
use crate::observe::words::Retired;

/// Limits on the age and idle time of a pooled object. Copies share nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lifetime {
    max_age: Option<Duration>,
    /// Maximum share of `max_age` by which it is shortened.
    jitter: f64,
    max_idle: Option<Duration>,
}

/// A builder of a [`Lifetime`]. Defaults: no limits, a jitter of 0.2.
#[derive(Debug, Clone, Copy)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LifetimeBuilder(Lifetime);

impl Lifetime {
    /// Starts without limits.
    #[expect(clippy::new_ret_no_self, reason = "as every configuration, it is checked when built")]
    pub const fn new() -> LifetimeBuilder {
        LifetimeBuilder(Lifetime::ENDLESS)
    }

    /// No limits.
    pub const ENDLESS: Lifetime = Lifetime { max_age: None, jitter: 0.2, max_idle: None };

    /// Returns [`TooOld`](Retired::TooOld) or [`IdleTooLong`](Retired::IdleTooLong) if an object
    /// that was made at `created` and last used at `last_used` has expired at `now`; `None` if it
    /// may be used. `TooOld` comes first if both apply.
    ///
    /// `u` is the object's sample of `0..1`, drawn once when it was made and clamped to that range.
    /// An instant later than `now` counts as `now`. An object expires when a limit is reached.
    #[must_use]
    pub fn expired(
        &self,
        now: Instant,
        created: Instant,
        last_used: Instant,
        u: f64,
    ) -> Option<Retired> {
        self.expired_at(now, self.end(created, u), last_used)
    }

    /// Returns the reason to retire an object whose `max_age` is over at `end`.
    pub(super) fn expired_at(
        &self,
        now: Instant,
        end: Option<Instant>,
        last_used: Instant,
    ) -> Option<Retired> {
        let idle = now.saturating_duration_since(last_used);
        if end.is_some_and(|end| now >= end) {
            Some(Retired::TooOld)
        } else if self.max_idle.is_some_and(|limit| idle >= limit) {
            Some(Retired::IdleTooLong)
        } else {
            None
        }
    }

    /// Returns the instant at which the object is too old; `None` if there is no maximum age, or no
    /// such instant.
    pub(super) fn end(&self, created: Instant, u: f64) -> Option<Instant> {
        created.checked_add(self.max_age_at(u)?)
    }

    /// Returns the maximum age for this sample: between `max_age · (1 − jitter)` and `max_age`.
    #[must_use]
    pub fn max_age_at(&self, u: f64) -> Option<Duration> {
        self.max_age.map(|max| shortened(max, self.jitter * u.clamp(0.0, 1.0)))
    }

    /// Returns the maximum idle time.
    #[must_use]
    pub const fn max_idle(&self) -> Option<Duration> {
        self.max_idle
    }

    /// Returns `true` if there are no limits, so that no clock needs to be read.
    #[must_use]
    pub const fn is_endless(&self) -> bool {
        self.max_age.is_none() && self.max_idle.is_none()
    }
}

/// Shortens `max` by a share of `0..=1`. NaN, which `clamp` lets through, shortens by nothing.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a year of nanoseconds is rounded by a few, and the cast saturates"
)]
fn shortened(max: Duration, share: f64) -> Duration {
    let max = nanos(max);
    Duration::from_nanos(max.saturating_sub((max as f64 * share) as u64))
}

impl LifetimeBuilder {
    /// Sets the maximum age. More than zero, at most 365 days.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.0.max_age = Some(age);
        self
    }

    /// Sets the maximum share of `max_age` by which a random sample shortens it, 0 to 1.
    pub const fn jitter(mut self, share: f64) -> Self {
        self.0.jitter = share;
        self
    }

    /// Sets the maximum idle time. More than zero, at most 365 days.
    pub const fn max_idle(mut self, idle: Duration) -> Self {
        self.0.max_idle = Some(idle);
        self
    }

    /// Builds the lifetime.
    ///
    /// # Errors
    /// Names the value that is out of its bounds.
    pub fn build(self) -> Result<Lifetime, InvalidConfig> {
        let Lifetime { max_age, jitter, max_idle } = self.0;
        max_age.map(|age| config::wait("max_age", age)).transpose()?;
        config::number("jitter", jitter, 0.0, 1.0)?;
        max_idle.map(|idle| config::wait("max_idle", idle)).transpose()?;
        Ok(self.0)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn impossible_configurations_are_named() {
        let named = |builder: LifetimeBuilder| builder.build().unwrap_err().field();
        for bad in [Duration::ZERO, Duration::MAX] {
            assert_eq!(named(Lifetime::new().max_age(bad)), "max_age");
            assert_eq!(named(Lifetime::new().max_idle(bad)), "max_idle");
        }
        for bad in [-0.1, 1.1, f64::NAN] {
            assert_eq!(named(Lifetime::new().jitter(bad)), "jitter");
        }
    }

    #[test]
    fn an_endless_life_is_one() {
        let now = crate::clock::now();
        let lifetime = Lifetime::new().build().unwrap();
        assert!(lifetime.is_endless());
        let later = now + crate::clock::MAX_WAIT;
        assert_eq!(lifetime.expired(later, now, now, 0.5), None);
    }

    /// A model in whole milliseconds.
    fn model(limits: (u64, u64, u64), age: u64, idle: u64, thousandths: u64) -> Option<Retired> {
        let (max_age, percent, max_idle) = limits;
        // Both sides times 100 · 1000: exact.
        if age * 100_000 >= max_age * (100_000 - percent * thousandths) {
            Some(Retired::TooOld)
        } else if idle >= max_idle {
            Some(Retired::IdleTooLong)
        } else {
            None
        }
    }

    proptest! {
        #[test]
        fn the_lifetime_agrees_with_its_model(
            max_age in 1_u64..10_000,
            percent in 0_u64..=100,
            max_idle in 1_u64..10_000,
            age in 0_u64..12_000,
            idle in 0_u64..12_000,
            thousandths in 0_u64..1_000,
        ) {
            let limits = (max_age, percent, max_idle);
            // At the very limit a float may round to either side.
            prop_assume!(age * 100_000 != max_age * (100_000 - percent * thousandths) || percent == 0);
            let ms = Duration::from_millis;
            #[expect(clippy::cast_precision_loss, reason = "small")]
            let jitter = percent as f64 / 100.0;
            let u = thousandths as f64 / 1000.0;
            let lifetime =
                Lifetime::new().max_age(ms(max_age)).jitter(jitter).max_idle(ms(max_idle)).build();
            let start = crate::clock::now();
            let now = start + ms(20_000);
            let expired = lifetime.unwrap().expired(now, now - ms(age), now - ms(idle), u);
            prop_assert_eq!(expired, model(limits, age, idle, thousandths));
        }

        #[test]
        fn no_life_is_longer_than_the_maximum_nor_shorter_than_the_jitter_allows(
            seconds in 1_u64..31_000_000,
            jitter in 0.0_f64..=1.0,
            u in proptest::num::f64::ANY,
        ) {
            let max = SECOND * u32::try_from(seconds).unwrap();
            let lifetime = Lifetime::new().max_age(max).jitter(jitter).build().unwrap();
            let age = lifetime.max_age_at(u).unwrap();
            prop_assert!(age <= max);
            prop_assert!(age.as_secs_f64() >= max.as_secs_f64() * (1.0 - jitter) - 1e-3);
        }

        #[test]
        fn once_over_it_stays_over(age in 0_u64..200, more in 0_u64..200, u in 0.0_f64..1.0) {
            let lifetime = Lifetime::new().max_age(SECOND * 100).max_idle(SECOND * 90).build().unwrap();
            let made = crate::clock::now();
            let at = |age| lifetime.expired(made + Duration::from_secs(age), made, made, u);
            prop_assert!(at(age).is_none() || at(age + more).is_some());
        }
    }

    /// The ends of objects made at one moment are spread over the jitter.
    #[test]
    fn what_was_made_together_does_not_go_together() {
        let lifetime = Lifetime::new().max_age(SECOND * 1000).jitter(0.2).build().unwrap();
        let ends: Vec<_> =
            (0..100).map(|i| lifetime.max_age_at(f64::from(i) / 100.0).unwrap()).collect();
        let in_one_second = |second: u64| ends.iter().filter(|end| end.as_secs() == second).count();
        assert!((800..=1000).all(|second| in_one_second(second) <= 1));
    }
}
