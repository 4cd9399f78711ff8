//! Warnings about a stack that can work, but hardly as intended.

use std::fmt;
use std::time::Duration;

use crate::observe::Rounded;
use crate::on_full::OnFull;
use crate::plan_input::{BudgetInput, PlanInput, QueueInput, RetryInput};

/// A setting that works, but hardly as intended. See [`Plan::warnings`](super::Plan).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Warning {
    /// The field, by the name that [`InvalidConfig`](crate::InvalidConfig) would use.
    pub field: &'static str,
    /// The consequence.
    pub reason: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`: {}", self.field, self.reason)
    }
}

/// Returns all warnings, outermost part first.
pub(super) fn of(input: &PlanInput) -> Vec<Warning> {
    let mut found = Vec::new();
    hangs(input, &mut found);
    queues(input, &mut found);
    if let Some(retry) = input.retry.as_ref().filter(|retry| retry.max_attempts > 1) {
        attempts(input, retry, &mut found);
        budget(retry, &mut found);
    }
    breaker(input, &mut found);
    found
}

fn warn(found: &mut Vec<Warning>, field: &'static str, reason: String) {
    found.push(Warning { field, reason });
}

fn hangs(input: &PlanInput, found: &mut Vec<Warning>) {
    let more = input.retry.as_ref().is_some_and(|retry| retry.max_attempts > 1);
    match (input.deadline, input.attempt_timeout) {
        (None, None) => {
            let reason = "nothing ends a call that hangs, unless the caller has a deadline".into();
            warn(found, "deadline", reason);
        }
        (Some(deadline), None) if more => {
            let reason = format!(
                "an attempt that hangs takes all of `deadline` ({}), and is never retried",
                Rounded(deadline)
            );
            warn(found, "attempt_timeout", reason);
        }
        _ => {}
    }
}

fn queues(input: &PlanInput, found: &mut Vec<Warning>) {
    let attempt = input.attempt_timeout;
    if let Some(bulkhead) = input.bulkhead {
        queue_wait(input, "bulkhead.wait", bulkhead.queue, found);
        // Each place in the queue is one call's time, shared by all permits.
        let drain = attempt.map(|takes| {
            takes.saturating_mul(bulkhead.queue.max_queued) / bulkhead.max_concurrent.max(1)
        });
        last_in_queue(input, "bulkhead.max_queued", bulkhead.queue, drain, found);
    }
    if let Some(rate) = input.rate {
        queue_wait(input, "rate_limit.wait", rate.queue, found);
        let seconds = f64::from(rate.queue.max_queued) / rate.per_second();
        let drain = Duration::try_from_secs_f64(seconds).ok();
        last_in_queue(input, "rate_limit.max_queued", rate.queue, drain, found);
    }
}

fn queue_wait(input: &PlanInput, field: &'static str, queue: QueueInput, found: &mut Vec<Warning>) {
    match (queue.on_full, input.deadline, input.attempt_timeout) {
        (OnFull::Wait, None, _) => {
            let reason = "nothing ends the wait, unless the caller has a deadline".into();
            warn(found, field, reason);
        }
        (OnFull::WaitAtMost(wait), Some(deadline), Some(attempt))
            if queue.chosen && wait + attempt > deadline =>
        {
            let reason = format!(
                "a call that waits {} has less than `attempt_timeout` ({}) left of `deadline` ({})",
                Rounded(wait),
                Rounded(attempt),
                Rounded(deadline)
            );
            warn(found, field, reason);
        }
        _ => {}
    }
}

/// Warns of a queue without a limit on its waits: a limit rejects calls that would be too late.
fn last_in_queue(
    input: &PlanInput,
    field: &'static str,
    queue: QueueInput,
    drain: Option<Duration>,
    found: &mut Vec<Warning>,
) {
    if let (OnFull::Wait, Some(deadline), Some(drain)) = (queue.on_full, input.deadline, drain)
        && drain >= deadline
    {
        let reason = format!(
            "the last of {} in the queue may wait {}, and `deadline` is {}",
            queue.max_queued,
            Rounded(drain),
            Rounded(deadline)
        );
        warn(found, field, reason);
    }
}

fn attempts(input: &PlanInput, retry: &RetryInput, found: &mut Vec<Warning>) {
    let sure = input.sure_attempts();
    if input.attempt_timeout.is_some() && sure < retry.max_attempts {
        let reason = format!(
            "only {sure} of {} attempts begin in time if each times out and each wait is the longest",
            retry.max_attempts
        );
        warn(found, "retry.max_attempts", reason);
    }
}

fn budget(retry: &RetryInput, found: &mut Vec<Warning>) {
    let most = f64::from(retry.max_attempts - 1);
    match retry.budget {
        None => {
            let reason = format!("without one, an outage is {}× the load", retry.max_attempts);
            warn(found, "retry.budget", reason);
        }
        Some(BudgetInput::Share { ratio, .. }) if ratio >= most => {
            let reason = format!("{ratio} for each call pays for all of {most} retries: no limit");
            warn(found, "retry.budget.ratio", reason);
        }
        Some(_) => {}
    }
}

fn breaker(input: &PlanInput, found: &mut Vec<Warning>) {
    let Some(breaker) = &input.breaker else { return };
    if let Some(attempt) = input.attempt_timeout.filter(|&it| it > breaker.max_half_open) {
        let reason = format!(
            "probes are given up after {}, before they time out ({})",
            Rounded(breaker.max_half_open),
            Rounded(attempt)
        );
        warn(found, "circuit_breaker.max_half_open", reason);
    }
    let waits = input.retry.as_ref().filter(|retry| retry.waits_when_not_ready);
    let limit = [input.deadline, waits.and_then(|retry| retry.max_elapsed)].into_iter().flatten();
    if let (Some(_), Some(limit)) = (waits, limit.min())
        && breaker.shortest_break >= limit
    {
        let reason = format!(
            "set for an open circuit in vain: it stays open for {}, and a call lasts {}",
            Rounded(breaker.shortest_break),
            Rounded(limit)
        );
        warn(found, "retry.wait_when_not_ready", reason);
    }
}
