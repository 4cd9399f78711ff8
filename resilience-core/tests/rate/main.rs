//! The rate limit: its engine beside a model, its queue, its layer, and what threads do to it.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod config;
mod layer;
mod limit;
mod panics;
mod per_key;
mod queue;
mod windows;

use std::time::Duration;

use resilience_core::rate::{Quota, RateLimiter, RateLimiterBuilder};

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A quota of this count a second, with this burst.
pub(crate) fn limiter(count: u32, burst: u32) -> RateLimiterBuilder {
    RateLimiter::builder().quota(Quota::per_second(count).and_then(|quota| quota.with_burst(burst)))
}
