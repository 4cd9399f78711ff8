//! Builder and configuration of a limiter.

use std::time::{Duration, Instant};

use super::bucket::ns_of;
use super::limiter::RateLimiter;
use super::quota::{Quota, Shaping};
use crate::clock;
use crate::config::{InvalidConfig, OrInvalid};
use crate::deadline::Deadline;
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::on_full::OnFull;
#[cfg(feature = "tower")]
use crate::plan_input::{QueueInput, RateInput};

/// A builder of a [`RateLimiter`]. See [`RateLimiter::builder`] for the defaults.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RateLimiterBuilder {
    pub(crate) name: Name,
    pub(crate) listener: Listener,
    observe_only: bool,
    quota: Option<Result<Quota, InvalidConfig>>,
    min_gap: Duration,
    warm_up: Duration,
    on_full: OnFull,
    max_queued: u32,
    #[cfg(feature = "tower")]
    longest_hint: Option<Duration>,
}

/// The checked configuration of a [`RateLimiter`], returned by [`RateLimiterBuilder::config`].
/// Without the name and the listener, which a limiter keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateConfig {
    pub(super) observe_only: bool,
    pub(super) shaping: Shaping,
    pub(super) on_full: OnFull,
    pub(super) max_queued: u32,
    #[cfg(feature = "tower")]
    pub(super) longest_hint: Option<Duration>,
}

impl RateConfig {
    /// Returns the quota, the gap and the warm-up.
    #[must_use]
    pub const fn shaping(&self) -> &Shaping {
        &self.shaping
    }

    pub(super) const fn with_quota(mut self, quota: Quota) -> RateConfig {
        self.shaping.quota = quota;
        self
    }

    /// Returns the input of a stack's plan.
    #[cfg(feature = "tower")]
    pub(crate) fn planned(&self) -> RateInput {
        let quota = self.shaping.quota();
        let chosen = self.on_full != RateLimiterBuilder::new().on_full;
        RateInput {
            calls: quota.count(),
            per: quota.period(),
            burst: quota.burst(),
            min_gap: Duration::from_nanos(self.shaping.min_gap),
            queue: QueueInput { on_full: self.on_full, chosen, max_queued: self.max_queued },
            enforced: !self.observe_only,
        }
    }

    /// Returns the last time at which a call that begins at `now` may be served; `None` if calls do
    /// not wait.
    pub(super) fn latest_turn(&self, now: Instant) -> Option<u64> {
        let own = match self.on_full {
            OnFull::Reject => return None,
            OnFull::Wait => None,
            OnFull::WaitAtMost(wait) => Some(clock::later(now, wait)),
        };
        let ambient = Deadline::current().map(Deadline::instant);
        let latest = own.into_iter().chain(ambient).min();
        Some(latest.map_or(u64::MAX, ns_of))
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
            on_full: OnFull::WaitAtMost(Duration::from_secs(30)),
            max_queued: 1_024,
            #[cfg(feature = "tower")]
            longest_hint: Some(Duration::from_secs(300)),
        }
    }

    /// Sets the name that events and rejections carry. Kept by a later
    /// [`set_config`](RateLimiter::set_config).
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the listener. Kept by a later [`set_config`](RateLimiter::set_config).
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Admits every call at once, and reports calls that would have waited or been rejected.
    pub fn observe_only(mut self) -> Self {
        self.observe_only = true;
        self
    }

    /// Sets the quota. Takes a [`Quota`] or the result of making one; [`build`](Self::build)
    /// returns its error.
    pub fn quota(mut self, quota: impl OrInvalid<Quota>) -> Self {
        self.quota = Some(quota.or_invalid());
        self
    }

    /// Sets the shortest time between two calls of any cost.
    pub fn min_gap(mut self, gap: Duration) -> Self {
        self.min_gap = gap;
        self
    }

    /// Starts at a third of the rate and grows to the whole over this time, when cold. See
    /// [`Shaping::with_warm_up`].
    pub fn warm_up(mut self, warm_up: Duration) -> Self {
        self.warm_up = warm_up;
        self
    }

    /// Rejects a call that finds no tokens.
    pub fn reject(mut self) -> Self {
        self.on_full = OnFull::Reject;
        self
    }

    /// Makes a call wait for its turn, until its [deadline](crate::Deadline) or until it is
    /// dropped. A call is rejected at once if its turn is known to come after the deadline.
    pub fn wait(mut self) -> Self {
        self.on_full = OnFull::Wait;
        self
    }

    /// Makes a call wait for its turn, for at most `wait`. A call is rejected at once if its turn
    /// is known to come later. At most 365 days; zero rejects at once, as [`reject`](Self::reject)
    /// does.
    pub fn wait_at_most(mut self, wait: Duration) -> Self {
        self.on_full = OnFull::WaitAtMost(wait);
        self
    }

    /// Sets the most calls that wait, reservations included. At least 1; with
    /// [`reject`](Self::reject) it bounds reservations only.
    pub fn max_queued(mut self, calls: u32) -> Self {
        self.max_queued = calls;
        self
    }

    /// Sets the longest pause that a server's hint causes. Longer hints pause for this long.
    #[cfg(feature = "tower")]
    pub fn longest_hint(mut self, pause: Duration) -> Self {
        self.longest_hint = Some(pause);
        self
    }

    /// Ignores the hints of servers.
    #[cfg(feature = "tower")]
    pub fn ignore_hints(mut self) -> Self {
        self.longest_hint = None;
        self
    }

    /// Builds the limiter.
    ///
    /// # Errors
    /// If a value is out of its bounds, or there is no quota.
    pub fn build(self) -> Result<RateLimiter, InvalidConfig> {
        let config = self.config()?;
        Ok(RateLimiter::new(self.name, self.listener, config))
    }

    /// Returns the checked configuration, for [`RateLimiter::set_config`], without the name and the
    /// listener.
    ///
    /// # Errors
    /// If a value is out of its bounds, or there is no quota.
    pub fn config(&self) -> Result<RateConfig, InvalidConfig> {
        let missing = || Err(InvalidConfig::new("quota", "not there", "given"));
        let quota = self.quota.clone().unwrap_or_else(missing)?;
        let on_full = self.on_full.checked()?;
        if self.max_queued == 0 {
            return Err(InvalidConfig::new("max_queued", 0, "at least 1"));
        }
        #[cfg(feature = "tower")]
        let longest_hint = self.longest_hint.map(|hint| crate::config::wait("longest_hint", hint));
        Ok(RateConfig {
            observe_only: self.observe_only,
            shaping: Shaping::new(quota).with_min_gap(self.min_gap)?.with_warm_up(self.warm_up)?,
            on_full,
            max_queued: self.max_queued,
            #[cfg(feature = "tower")]
            longest_hint: longest_hint.transpose()?,
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
}
