//! The input of a stack's plan: its parts in numbers.

use std::time::Duration;

use crate::clock::nanos;
use crate::on_full::OnFull;

/// The parts of a stack in numbers, outermost first.
#[derive(Debug, Clone, Default)]
pub(crate) struct PlanInput {
    pub(crate) deadline: Option<Duration>,
    pub(crate) bulkhead: Option<BulkheadInput>,
    pub(crate) retry: Option<RetryInput>,
    pub(crate) rate: Option<RateInput>,
    pub(crate) breaker: Option<BreakerInput>,
    pub(crate) attempt_timeout: Option<Duration>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct BulkheadInput {
    pub(crate) max_concurrent: u32,
    pub(crate) queue: QueueInput,
    pub(crate) enforced: bool,
}

/// The queue before a bulkhead or a rate limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueInput {
    pub(crate) on_full: OnFull,
    /// Set if the wait is not the default. A default that the deadline cuts short is no mistake.
    pub(crate) chosen: bool,
    pub(crate) max_queued: u32,
}

#[derive(Debug, Clone)]
pub(crate) struct RetryInput {
    pub(crate) max_attempts: u32,
    /// The least and the most backoff before each further attempt.
    pub(crate) shortest: Vec<Duration>,
    pub(crate) longest: Vec<Duration>,
    pub(crate) max_elapsed: Option<Duration>,
    pub(crate) attempt_time: Duration,
    pub(crate) budget: Option<BudgetInput>,
    pub(crate) waits_when_not_ready: bool,
    pub(crate) retries_unknown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum BudgetInput {
    /// A share of the calls: tokens for each, their lifetime, and the reserve kept of those that
    /// expire.
    Share { ratio: f64, window: Duration, reserve: f64 },
    /// Anything else: bounded over time, though not by a share of the calls.
    Bucket,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct RateInput {
    pub(crate) calls: u32,
    pub(crate) per: Duration,
    pub(crate) burst: u32,
    pub(crate) min_gap: Duration,
    pub(crate) queue: QueueInput,
    pub(crate) enforced: bool,
}

#[derive(Debug, Clone)]
pub(crate) struct BreakerInput {
    /// The windows of time, each with the calls that it needs.
    pub(crate) windows: Vec<(Duration, u32)>,
    pub(crate) slow_after: Option<Duration>,
    pub(crate) shortest_break: Duration,
    pub(crate) max_half_open: Duration,
}

impl QueueInput {
    /// Returns the most calls that wait.
    pub(crate) fn longest(self) -> u64 {
        if self.on_full == OnFull::Reject { 0 } else { self.max_queued.into() }
    }
}

impl PlanInput {
    /// Returns the longest wait for the bulkhead.
    pub(crate) fn bulkhead_wait(&self) -> Option<Duration> {
        let enforced = self.bulkhead.filter(|bulkhead| bulkhead.enforced);
        enforced.map_or(Some(Duration::ZERO), |bulkhead| bulkhead.queue.on_full.longest_wait())
    }

    /// Returns the longest wait for the rate limit, before each attempt.
    pub(crate) fn rate_wait(&self) -> Option<Duration> {
        let enforced = self.rate.filter(|rate| rate.enforced);
        enforced.map_or(Some(Duration::ZERO), |rate| rate.queue.on_full.longest_wait())
    }

    /// Returns how many attempts begin if each takes `takes` and the waits are `waits`, by the
    /// rules of `Attempts::decide`.
    pub(crate) fn attempts_begun(
        &self,
        retry: &RetryInput,
        waits: &[Duration],
        takes: Duration,
    ) -> u32 {
        let mut elapsed = Duration::ZERO;
        let mut begun = 1;
        for &wait in waits {
            elapsed = elapsed.saturating_add(takes);
            let needed = wait.saturating_add(retry.attempt_time);
            let too_late = |deadline: Duration| needed >= deadline.saturating_sub(elapsed);
            let too_long = |allowed: Duration| elapsed.saturating_add(needed) > allowed;
            if self.deadline.is_some_and(too_late) || retry.max_elapsed.is_some_and(too_long) {
                break;
            }
            elapsed = elapsed.saturating_add(wait);
            begun += 1;
        }
        begun
    }
}

impl RateInput {
    /// Returns the most attempts that pass in any time of this length.
    pub(crate) fn admitted_within(&self, time: Duration) -> u64 {
        let refilled =
            u128::from(self.calls) * u128::from(nanos(time)) / u128::from(nanos(self.per).max(1));
        let by_quota = u128::from(self.burst) + refilled;
        let by_gap = match nanos(self.min_gap) {
            0 => u128::MAX,
            gap => u128::from(nanos(time) / gap) + 1,
        };
        u64::try_from(by_quota.min(by_gap)).unwrap_or(u64::MAX)
    }

    /// Returns the attempts a second that it admits for ever.
    pub(crate) fn per_second(&self) -> f64 {
        let quota = f64::from(self.calls) / self.per.as_secs_f64();
        if self.min_gap.is_zero() { quota } else { quota.min(1.0 / self.min_gap.as_secs_f64()) }
    }
}
