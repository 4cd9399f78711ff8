//! The worst case of a stack, computed when it is built.

use std::fmt;
use std::time::Duration;

use super::checks;
use super::warnings::{self, Warning};
use crate::config::InvalidConfig;
use crate::observe::Rounded;
use crate::plan_input::{BudgetInput, PlanInput};

/// The worst case of a stack. Returned by [`Stack::plan`](super::Stack::plan), printed by
/// `Display`. Parts that only observe do not count.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Plan {
    /// The longest time of a call, with all waits and retries, whatever hints the server sends.
    /// `None` without a limit.
    pub worst_case_latency: Option<Duration>,
    /// The maximum number of attempts of a call, including the first.
    pub max_attempts: u32,
    /// The number of attempts that begin in time if each times out, each backoff is the longest,
    /// and no queue has to be waited for.
    pub sure_attempts: u32,
    /// Attempts for each call in the long run when everything fails, without the reserve of a
    /// budget, which is granted once.
    pub amplification: f64,
    /// The longest hint of a server that a call waits for. A longer hint ends the call at once.
    /// `None`: a year.
    pub longest_hint: Option<Duration>,
    /// `true` if failures that no code recognised ([`Outcome::Unknown`](crate::Outcome::Unknown))
    /// are retried.
    pub retries_unknown: bool,
    /// Attempts a second that reach the service in the long run. `None` without a limit.
    pub attempts_per_second: Option<f64>,
    /// Attempts that may follow each other at once. `None` without a rate limit.
    pub burst: Option<u32>,
    /// Calls under way at once. `None` without a limit.
    pub max_in_flight: Option<u32>,
    /// Calls that wait at once, for the bulkhead and for the rate limit.
    pub max_queued: u64,
    /// Bytes on the heap that all calls share, before the first call. The bytes of a call are
    /// [`Stack::bytes_per_call`](super::Stack::bytes_per_call).
    pub shared_bytes: usize,
    /// Warnings about settings that work, but hardly as intended.
    pub warnings: Vec<Warning>,
}

impl PlanInput {
    /// Computes the plan. Returns an error for a stack that cannot work.
    pub(crate) fn plan(&self, shared_bytes: usize) -> Result<Plan, InvalidConfig> {
        checks::check(self)?;
        let bulkhead = self.bulkhead.filter(|bulkhead| bulkhead.enforced);
        let rate = self.rate.filter(|rate| rate.enforced);
        let queues = [bulkhead.map(|it| it.queue), rate.map(|it| it.queue)];
        let max_queued = queues.iter().flatten().map(|queue| queue.longest()).sum();
        Ok(Plan {
            worst_case_latency: self.worst_case_latency(),
            max_attempts: self.max_attempts(),
            sure_attempts: self.sure_attempts(),
            amplification: self.amplification(),
            longest_hint: self.longest_hint(),
            retries_unknown: self
                .retry
                .as_ref()
                .is_some_and(|it| it.retries_unknown && it.max_attempts > 1),
            attempts_per_second: rate.map(|rate| rate.per_second()),
            burst: rate.map(|rate| rate.burst),
            max_in_flight: bulkhead.map(|bulkhead| bulkhead.max_concurrent),
            max_queued,
            shared_bytes,
            warnings: warnings::of(self),
        })
    }

    fn max_attempts(&self) -> u32 {
        self.retry.as_ref().map_or(1, |retry| retry.max_attempts)
    }

    pub(super) fn sure_attempts(&self) -> u32 {
        match (&self.retry, self.attempt_timeout) {
            (Some(retry), Some(takes)) => self.attempts_begun(retry, &retry.longest, takes),
            // The first attempt may take all the time.
            _ => 1,
        }
    }

    fn amplification(&self) -> f64 {
        let most = f64::from(self.max_attempts());
        match self.retry.as_ref().and_then(|retry| retry.budget) {
            Some(BudgetInput::Share { ratio, .. }) => most.min(1.0 + ratio),
            Some(BudgetInput::Bucket) | None => most,
        }
    }

    fn longest_hint(&self) -> Option<Duration> {
        let retry = self.retry.as_ref().filter(|retry| retry.max_attempts > 1);
        let Some(retry) = retry else { return Some(Duration::ZERO) };
        let limit = [self.deadline, retry.max_elapsed].into_iter().flatten().min();
        limit.map(|limit| limit.saturating_sub(retry.attempt_time))
    }

    fn worst_case_latency(&self) -> Option<Duration> {
        let unlimited = || {
            let attempt = self.rate_wait()?.checked_add(self.attempt_timeout?)?;
            let last_begins = match self.retry.as_ref().filter(|retry| retry.max_attempts > 1) {
                // Hints of a server can delay the last attempt up to the limit.
                Some(retry) => retry.max_elapsed?.saturating_sub(retry.attempt_time),
                None => Duration::ZERO,
            };
            self.bulkhead_wait()?.checked_add(last_begins)?.checked_add(attempt)
        };
        [self.deadline, unlimited()].into_iter().flatten().min()
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a call takes    ")?;
        match self.worst_case_latency {
            Some(latency) => write!(f, "at most {}", Rounded(latency))?,
            None => f.write_str("as long as it likes")?,
        }
        write!(
            f,
            "\nattempts        at most {}, sure of {}",
            self.max_attempts, self.sure_attempts
        )?;
        write!(f, "\nload in outage  {}× the calls", self.amplification)?;
        f.write_str("\na hint is       waited for up to ")?;
        match self.longest_hint {
            Some(hint) => write!(f, "{}", Rounded(hint))?,
            None => f.write_str("a year")?,
        }
        let unknown =
            if self.retries_unknown { "failures, retried" } else { "failures, not retried" };
        write!(f, "\nunknown errors  {unknown}")?;
        f.write_str("\nattempts pass   ")?;
        match (self.attempts_per_second, self.burst) {
            (Some(rate), Some(burst)) => write!(f, "{rate:.3} a second, {burst} at once")?,
            _ => f.write_str("as they come")?,
        }
        f.write_str("\nunder way       ")?;
        match self.max_in_flight {
            Some(calls) => write!(f, "at most {calls} calls")?,
            None => f.write_str("as many calls as come")?,
        }
        if self.max_queued > 0 {
            write!(f, ", {} in the queue", self.max_queued)?;
        }
        write!(f, "\nshared          {} bytes", self.shared_bytes)?;
        self.warnings.iter().try_for_each(|warning| write!(f, "\nwarning         {warning}"))
    }
}
