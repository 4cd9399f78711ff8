//! A rate limit in numbers, for the plan of the stack that it is a part of.

use std::time::Duration;

use super::builder::RateLimiterBuilder;
use super::limiter::RateLimiter;
use crate::name::Name;
use crate::observe::Listener;
use crate::shape::{Line, Pacing};

impl RateLimiterBuilder {
    /// Returns the name and the listener.
    pub(crate) fn identity(&mut self) -> (&mut Name, &mut Listener) {
        (&mut self.name, &mut self.listener)
    }
}

impl RateLimiter {
    pub(crate) fn planned(&self) -> Pacing {
        let config = self.config();
        let chosen = config.on_full != RateLimiter::builder().on_full;
        let quota = config.shaping.quota();
        Pacing {
            calls: quota.count(),
            per: quota.period(),
            burst: quota.burst(),
            min_gap: Duration::from_nanos(config.shaping.min_gap),
            line: Line { on_full: config.on_full, chosen, max_queued: config.max_queued },
            enforced: !config.observe_only,
        }
    }
}
