//! A limiter in the making.

use std::time::Duration;

use super::limiter::RateLimiter;
use super::quota::{Pace, Quota};
use crate::config::{self, InvalidConfig, OrInvalid};
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::patience::Patience;

/// A [`RateLimiter`] in the making. See [`RateLimiter::builder`] for the defaults.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RateLimiterBuilder {
    pub(super) name: Name,
    pub(super) listener: Listener,
    observe_only: bool,
    quota: Option<Result<Quota, InvalidConfig>>,
    min_gap: Duration,
    warm_up: Duration,
    pub(super) patience: Patience,
    max_queued: u32,
    #[cfg(feature = "tower")]
    longest_hint: Duration,
}

/// What a [`RateLimiter`] goes by, checked. Made by [`RateLimiterBuilder::config`].
/// The name and the listener are no part of it: a limiter keeps its own.
#[derive(Debug, Clone)]
pub struct RateConfig {
    pub(super) observe_only: bool,
    pub(super) pace: Pace,
    pub(super) patience: Patience,
    pub(super) max_queued: u32,
    #[cfg(feature = "tower")]
    pub(super) longest_hint: Duration,
}

impl RateConfig {
    /// The quota, the gap and the warm-up.
    #[must_use]
    pub const fn pace(&self) -> &Pace {
        &self.pace
    }
}

impl RateLimiterBuilder {
    pub(super) fn new() -> RateLimiterBuilder {
        RateLimiterBuilder {
            name: Name::from_static("rate"),
            listener: Listener::default(),
            observe_only: false,
            quota: None,
            min_gap: Duration::ZERO,
            warm_up: Duration::ZERO,
            patience: Patience::AtMost(Duration::from_secs(30)),
            max_queued: 1_024,
            #[cfg(feature = "tower")]
            longest_hint: Duration::from_secs(300),
        }
    }

    /// What events and refusals call this limiter. Kept by a later [`set_config`](RateLimiter::set_config).
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Tells this listener what happens. Kept by a later [`set_config`](RateLimiter::set_config).
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Lets every call pass at once, and reports those that it would have made wait or refused.
    pub fn observe_only(mut self) -> Self {
        self.observe_only = true;
        self
    }

    /// How many, in how long, and how many at once. Takes a [`Quota`] or the result of making one: a
    /// bad one is reported by [`build`](Self::build).
    pub fn quota(mut self, quota: impl OrInvalid<Quota>) -> Self {
        self.quota = Some(quota.or_invalid());
        self
    }

    /// At least so long between two calls, whatever they cost.
    pub fn min_gap(mut self, gap: Duration) -> Self {
        self.min_gap = gap;
        self
    }

    /// Starts at a third of the rate and grows to the whole over this time, when cold. See
    /// [`Pace::with_warm_up`].
    pub fn warm_up(mut self, warm_up: Duration) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// A call that may not go now is refused.
    pub fn reject(mut self) -> Self {
        self.patience = Patience::None;
        self
    }

    /// A call waits for its turn: as long as it takes, or at once not at all if that is known to be
    /// longer than its [deadline](crate::Deadline).
    pub fn wait(mut self) -> Self {
        self.patience = Patience::Endless;
        self
    }

    /// A call waits for its turn for so long, or at once not at all if it is known to take longer. At
    /// most 365 days; zero rejects at once, as [`reject`](Self::reject) does.
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.patience = Patience::AtMost(wait);
        self
    }

    /// The most that wait, reservations included. At least 1; from [`reject`](Self::reject) on, of
    /// matter to reservations only.
    pub fn max_queued(mut self, waiting: u32) -> Self {
        self.max_queued = waiting;
        self
    }

    /// A server that asks for a longer pause than this gets this.
    #[cfg(feature = "tower")]
    pub fn longest_hint(mut self, pause: Duration) -> Self {
        self.longest_hint = pause;
        self
    }

    /// The limiter.
    ///
    /// # Errors
    /// If a value is out of its bounds, or there is no quota.
    pub fn build(self) -> Result<RateLimiter, InvalidConfig> {
        let config = self.config()?;
        Ok(RateLimiter::new(self.name, self.listener, config))
    }

    /// Returns the checked configuration, for [`RateLimiter::set_config`]. The name and the listener are
    /// no part of it.
    ///
    /// # Errors
    /// If a value is out of its bounds, or there is no quota.
    pub fn config(&self) -> Result<RateConfig, InvalidConfig> {
        let missing = || Err(InvalidConfig::new("quota", "not there", "given"));
        let quota = self.quota.clone().unwrap_or_else(missing)?;
        let mut patience = self.patience;
        if let Patience::AtMost(wait) = patience {
            config::wait_or_none("wait_at_most", wait)?;
            if wait.is_zero() {
                patience = Patience::None;
            }
        }
        if self.max_queued == 0 {
            return Err(InvalidConfig::new("max_queued", 0, "at least 1"));
        }
        Ok(RateConfig {
            observe_only: self.observe_only,
            pace: Pace::new(quota).with_min_gap(self.min_gap)?.with_warm_up(self.warm_up)?,
            patience,
            max_queued: self.max_queued,
            #[cfg(feature = "tower")]
            longest_hint: config::wait("longest_hint", self.longest_hint)?,
        })
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn impossible_configurations_are_named() {
        let named = |builder: RateLimiterBuilder| builder.build().unwrap_err().field();
        let builder = || RateLimiter::builder().quota(Quota::per_second(1));
        assert_eq!(named(RateLimiter::builder()), "quota");
        assert_eq!(named(builder().quota(Quota::per_second(0))), "count");
        assert_eq!(named(builder().min_gap(Duration::MAX)), "min_gap");
        assert_eq!(named(builder().warm_up(Duration::MAX)), "warm_up");
        assert_eq!(named(builder().wait_at_most(Duration::MAX)), "wait_at_most");
        assert_eq!(named(builder().max_queued(0)), "max_queued");
        #[cfg(feature = "tower")]
        assert_eq!(named(builder().longest_hint(Duration::ZERO)), "longest_hint");
    }

    #[test]
    fn to_wait_for_no_time_is_to_be_rejected_at_once() {
        let builder = RateLimiter::builder().quota(Quota::per_second(1));
        let config = builder.wait_at_most(Duration::ZERO).config().unwrap();
        assert_eq!(config.patience, Patience::None);
    }
}
