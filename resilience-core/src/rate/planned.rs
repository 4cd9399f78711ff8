//! A rate limit in numbers, for the plan of the stack that it is a part of.

use std::time::Duration;

use super::builder::RateLimiterBuilder;
use super::limiter::RateLimiter;
use crate::name::Name;
use crate::observe::Listener;
use crate::patience::Patience;
use crate::shape::{Line, Pacing, Wait};

impl RateLimiterBuilder {
    /// What it is called, and whom it tells.
    pub(crate) fn identity(&mut self) -> (&mut Name, &mut Listener) {
        (&mut self.name, &mut self.listener)
    }
}

impl RateLimiter {
    pub(crate) fn planned(&self) -> Pacing {
        let config = self.config();
        let wait = match config.patience {
            Patience::None => Wait::No,
            Patience::AtMost(wait) => Wait::AtMost(wait),
            Patience::Endless => Wait::Unbounded,
        };
        let chosen = config.patience != RateLimiter::builder().patience;
        let quota = config.pace.quota();
        Pacing {
            calls: quota.count(),
            per: quota.period(),
            burst: quota.burst(),
            min_gap: Duration::from_nanos(config.pace.min_gap),
            line: Line { wait, chosen, max_queued: config.max_queued },
            enforced: !config.observe_only,
        }
    }
}
