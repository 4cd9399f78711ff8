//! Errors of a stack that cannot work. Settings that work, but hardly as intended, are in
//! `warnings`.
//!
//! Each check compares two parts. An error is only for a value that is *never* right: whatever the
//! other side does, the value has no effect, or another value cancels its effect.

use std::time::Duration;

use crate::config::InvalidConfig;
use crate::on_full::OnFull;
use crate::plan_input::{BreakerInput, BudgetInput, PlanInput, RateInput, RetryInput};

type Checked = Result<(), InvalidConfig>;

/// Returns the first error.
pub(super) fn check(input: &PlanInput) -> Checked {
    attempt_within_deadline(input)?;
    waits_within_deadline(input)?;
    if let Some(retry) = &input.retry {
        attempt_time_within_timeout(input, retry)?;
        every_attempt_possible(input, retry)?;
        budget_ever_pays(input, retry)?;
    }
    if let Some(breaker) = &input.breaker {
        if let Some(rate) = input.rate.as_ref().filter(|rate| rate.enforced) {
            minimum_reachable(breaker, rate)?;
        }
        slow_before_timeout(input, breaker)?;
    }
    Ok(())
}

/// Rejects an attempt timeout as long as the deadline: the deadline ends every attempt, no breaker
/// counts a failure, and there is no time for a second attempt.
fn attempt_within_deadline(input: &PlanInput) -> Checked {
    match (input.attempt_timeout, input.deadline) {
        (Some(timeout), Some(deadline)) if timeout >= deadline => {
            invalid("attempt_timeout", timeout, under("deadline", deadline))
        }
        _ => Ok(()),
    }
}

/// Rejects a wait for admission that may last until the deadline.
fn waits_within_deadline(input: &PlanInput) -> Checked {
    let Some(deadline) = input.deadline else { return Ok(()) };
    let bulkhead = input.bulkhead.map(|bulkhead| ("bulkhead.wait_at_most", bulkhead.queue));
    let rate = input.rate.map(|rate| ("rate_limit.wait_at_most", rate.queue));
    for (field, queue) in bulkhead.into_iter().chain(rate) {
        if let OnFull::WaitAtMost(wait) = queue.on_full
            && queue.chosen
            && wait >= deadline
        {
            return invalid(field, wait, under("deadline", deadline));
        }
    }
    Ok(())
}

/// Rejects a usual duration of an attempt that is longer than its timeout.
fn attempt_time_within_timeout(input: &PlanInput, retry: &RetryInput) -> Checked {
    match input.attempt_timeout {
        Some(timeout) if retry.attempt_time > timeout => {
            let bound = format!("at most `attempt_timeout` ({timeout:?})");
            invalid("retry.attempt_time", retry.attempt_time, bound)
        }
        _ => Ok(()),
    }
}

/// Rejects attempts that cannot begin in time even if all others fail at once and every wait is the
/// shortest.
fn every_attempt_possible(input: &PlanInput, retry: &RetryInput) -> Checked {
    let possible = input.attempts_begun(retry, &retry.shortest, Duration::ZERO);
    if possible >= retry.max_attempts {
        return Ok(());
    }
    let bound = format!(
        "at most {possible}: the shortest waits alone leave no time for more, by {}",
        limits(input, retry)
    );
    Err(InvalidConfig::new("retry.max_attempts", retry.max_attempts, bound))
}

fn limits(input: &PlanInput, retry: &RetryInput) -> String {
    let deadline = input.deadline.map(|limit| format!("`deadline` ({limit:?})"));
    let elapsed = retry.max_elapsed.map(|limit| format!("`retry.max_elapsed` ({limit:?})"));
    deadline.into_iter().chain(elapsed).collect::<Vec<_>>().join(" and ")
}

/// Rejects a retry budget that can never fund a retry: deposits expire before they add up to one,
/// and there is no reserve.
fn budget_ever_pays(input: &PlanInput, retry: &RetryInput) -> Checked {
    let Some(BudgetInput::Share { ratio, window, reserve }) = retry.budget else { return Ok(()) };
    if retry.max_attempts == 1 || reserve >= 1.0 {
        return Ok(());
    }
    if ratio == 0.0 {
        let bound = "more than 0, without a reserve: it would never pay for a retry";
        return Err(InvalidConfig::new("retry.budget.ratio", ratio, bound));
    }
    let Some(rate) = input.rate.as_ref().filter(|rate| rate.enforced) else { return Ok(()) };
    // A deposit lives up to a tenth longer than the window.
    let calls = rate.admitted_within(window + window / 10);
    #[expect(clippy::cast_precision_loss, reason = "compared with one")]
    if ratio * (calls as f64) >= 1.0 {
        return Ok(());
    }
    let bound = format!(
        "enough for one retry of the {calls} calls that the rate limit admits in the budget's window, \
         or the reserve at least 1"
    );
    Err(InvalidConfig::new("retry.budget.ratio", ratio, bound))
}

/// Rejects a breaker with a higher minimum of calls in its window than the rate limit admits.
fn minimum_reachable(breaker: &BreakerInput, rate: &RateInput) -> Checked {
    for &(window, minimum) in &breaker.windows {
        let most = rate.admitted_within(window);
        if u64::from(minimum) > most {
            let bound = format!("at most {most}, what the rate limit admits in {window:?}");
            return Err(InvalidConfig::new("circuit_breaker.minimum_calls", minimum, bound));
        }
    }
    Ok(())
}

/// Rejects a duration of slow calls that is longer than the attempt timeout: no call would ever be
/// slow.
fn slow_before_timeout(input: &PlanInput, breaker: &BreakerInput) -> Checked {
    match (breaker.slow_after, input.attempt_timeout) {
        (Some(slow), Some(timeout)) if slow > timeout => {
            let bound = format!("at most `attempt_timeout` ({timeout:?})");
            invalid("circuit_breaker.slow_calls", slow, bound)
        }
        _ => Ok(()),
    }
}

fn under(field: &str, limit: Duration) -> String {
    format!("less than `{field}` ({limit:?})")
}

fn invalid(field: &'static str, value: Duration, bound: String) -> Checked {
    Err(InvalidConfig::new(field, format_args!("{value:?}"), bound))
}
