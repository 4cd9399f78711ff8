//! When a pooled object is too old to be used.
//!
//! Servers, load balancers and firewalls drop connections that are old or quiet, and seldom say so. A
//! pool that lets go of them first never hands one out that is half dead. What was made together must
//! not go together, or all of it is made anew at once: so each object has a sample of its own, which
//! shortens its life by up to the jitter. It never lengthens it: the maximum is one.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::pool::{Lifetime, Verdict};
//!
//! let lifetime = Lifetime::new()
//!     .max_age(Duration::from_secs(1_000))
//!     .jitter(0.2)
//!     .max_idle(Duration::from_secs(60))
//!     .build()?;
//! let made = resilience_core::clock::now();
//! let later = made + Duration::from_secs(900);
//! assert_eq!(lifetime.verdict(later, made, later, 0.0), Verdict::Keep);
//! assert_eq!(lifetime.verdict(later, made, later, 0.9), Verdict::TooOld);
//! assert_eq!(lifetime.verdict(later, later, made, 0.0), Verdict::IdleTooLong);
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

use std::time::{Duration, Instant};

use crate::clock::nanos;
use crate::config::{self, InvalidConfig};
#[cfg(feature = "pool")]
use crate::observe::words::Retired;

/// How long an object of a pool is used. A plain value: copies share nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lifetime {
    max_age: Option<Duration>,
    /// Of `max_age`, by how much it is shortened at most.
    jitter: f64,
    max_idle: Option<Duration>,
}

/// A [`Lifetime`] in the making: without limits, and with a jitter of 0.2.
#[derive(Debug, Clone, Copy)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct LifetimeBuilder(Lifetime);

/// Whether an object may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "an age, a rest, or neither: there is no fourth")]
pub enum Verdict {
    /// It may.
    Keep,
    /// It was made too long ago.
    TooOld,
    /// It was used last too long ago.
    IdleTooLong,
}

impl Lifetime {
    /// Starts from a life without limits.
    #[expect(clippy::new_ret_no_self, reason = "as every configuration, it is checked when built")]
    pub const fn new() -> LifetimeBuilder {
        LifetimeBuilder(Lifetime::ENDLESS)
    }

    /// No limits.
    pub const ENDLESS: Lifetime = Lifetime { max_age: None, jitter: 0.2, max_idle: None };

    /// Whether what was made at `created` and used last at `last_used` may still be used at `now`. `u`
    /// is the object's sample of `0..1`, drawn once when it was made; outside of that it counts as the
    /// nearer end. An instant that lies ahead of `now` is `now`.
    ///
    /// At a limit it is over. What is too old is that, however long it was idle.
    #[must_use]
    #[inline]
    pub fn verdict(&self, now: Instant, created: Instant, last_used: Instant, u: f64) -> Verdict {
        self.verdict_at(now, self.end(created, u), last_used)
    }

    /// The same, of what is too old from `end` on.
    #[inline]
    pub(super) fn verdict_at(
        &self,
        now: Instant,
        end: Option<Instant>,
        last_used: Instant,
    ) -> Verdict {
        let idle = now.saturating_duration_since(last_used);
        if end.is_some_and(|end| now >= end) {
            Verdict::TooOld
        } else if self.max_idle.is_some_and(|limit| idle >= limit) {
            Verdict::IdleTooLong
        } else {
            Verdict::Keep
        }
    }

    /// From when on it is too old; `None` if never, or not as long as there are clocks.
    #[inline]
    pub(super) fn end(&self, created: Instant, u: f64) -> Option<Instant> {
        created.checked_add(self.max_age_at(u)?)
    }

    /// The age at which an object of this sample is too old: between `max_age · (1 − jitter)` and
    /// `max_age`.
    #[must_use]
    #[inline]
    pub fn max_age_at(&self, u: f64) -> Option<Duration> {
        self.max_age.map(|max| shortened(max, self.jitter * u.clamp(0.0, 1.0)))
    }

    /// For how long an object may lie unused.
    #[must_use]
    pub const fn max_idle(&self) -> Option<Duration> {
        self.max_idle
    }

    /// Whether it has no limits: nobody needs to look at a clock for it.
    #[must_use]
    #[inline]
    pub const fn is_endless(&self) -> bool {
        self.max_age.is_none() && self.max_idle.is_none()
    }
}

/// By a share of `0..=1`; NaN, which no comparison keeps out of a sample, shortens by nothing.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a year of nanoseconds is rounded by a few, and the cast saturates"
)]
#[inline]
fn shortened(max: Duration, share: f64) -> Duration {
    let max = nanos(max);
    Duration::from_nanos(max.saturating_sub((max as f64 * share) as u64))
}

impl LifetimeBuilder {
    /// The longest that an object is used after it was made. More than zero, at most 365 days.
    pub const fn max_age(mut self, age: Duration) -> Self {
        self.0.max_age = Some(age);
        self
    }

    /// By which share of `max_age` a life is shortened at most, 0 to 1.
    pub const fn jitter(mut self, share: f64) -> Self {
        self.0.jitter = share;
        self
    }

    /// The longest that an object may lie unused. More than zero, at most 365 days.
    pub const fn max_idle(mut self, idle: Duration) -> Self {
        self.0.max_idle = Some(idle);
        self
    }

    /// The lifetime.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn build(self) -> Result<Lifetime, InvalidConfig> {
        let Lifetime { max_age, jitter, max_idle } = self.0;
        max_age.map(|age| config::wait("max_age", age)).transpose()?;
        config::number("jitter", jitter, 0.0, 1.0)?;
        max_idle.map(|idle| config::wait("max_idle", idle)).transpose()?;
        Ok(self.0)
    }
}

#[cfg(feature = "pool")]
impl Retired {
    /// Returns the reason to let go of an object. `None` if it is kept.
    pub(super) const fn of(verdict: Verdict) -> Option<Retired> {
        match verdict {
            Verdict::Keep => None,
            Verdict::TooOld => Some(Retired::TooOld),
            Verdict::IdleTooLong => Some(Retired::IdleTooLong),
        }
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
        assert_eq!(lifetime.verdict(later, now, now, 0.5), Verdict::Keep);
    }

    /// Whole milliseconds, without floats but for the sample.
    fn model(limits: (u64, u64, u64), age: u64, idle: u64, thousandths: u64) -> Verdict {
        let (max_age, percent, max_idle) = limits;
        // Both sides times 100 · 1000: exact.
        if age * 100_000 >= max_age * (100_000 - percent * thousandths) {
            Verdict::TooOld
        } else if idle >= max_idle {
            Verdict::IdleTooLong
        } else {
            Verdict::Keep
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_model_says(
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
            let (jitter, u) = (percent as f64 / 100.0, thousandths as f64 / 1000.0);
            let lifetime =
                Lifetime::new().max_age(ms(max_age)).jitter(jitter).max_idle(ms(max_idle)).build();
            let start = crate::clock::now();
            let now = start + ms(20_000);
            let verdict = lifetime.unwrap().verdict(now, now - ms(age), now - ms(idle), u);
            prop_assert_eq!(verdict, model(limits, age, idle, thousandths));
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
            let at = |age| lifetime.verdict(made + Duration::from_secs(age), made, made, u);
            prop_assert!(at(age) == Verdict::Keep || at(age + more) != Verdict::Keep);
        }
    }

    /// A cohort made in one moment: its ends are spread over the jitter, not in one moment.
    #[test]
    fn what_was_made_together_does_not_go_together() {
        let lifetime = Lifetime::new().max_age(SECOND * 1000).jitter(0.2).build().unwrap();
        let ends: Vec<_> =
            (0..100).map(|i| lifetime.max_age_at(f64::from(i) / 100.0).unwrap()).collect();
        let in_one_second = |second: u64| ends.iter().filter(|end| end.as_secs() == second).count();
        assert!((800..=1000).all(|second| in_one_second(second) <= 1));
    }
}
