//! Errors of a stack that cannot work. Settings that work, but hardly as intended, are in
//! `warnings`.
//!
//! Each check compares two parts. An error is only for a value that is *never* right: whatever the
//! other side does, the value has no effect, or another value cancels its effect.

use std::time::Duration;

use crate::config::InvalidConfig;
use crate::on_full::OnFull;
use crate::shape::{Breaking, Pacing, Paying, Retrying, Shape};

type Checked = Result<(), InvalidConfig>;

/// Returns the first error.
pub(super) fn check(shape: &Shape) -> Checked {
    attempt_within_deadline(shape)?;
    waits_within_deadline(shape)?;
    if let Some(retry) = &shape.retry {
        attempt_time_within_timeout(shape, retry)?;
        every_attempt_possible(shape, retry)?;
        budget_ever_pays(shape, retry)?;
    }
    if let Some(breaker) = &shape.breaker {
        if let Some(rate) = shape.rate.as_ref().filter(|rate| rate.enforced) {
            minimum_reachable(breaker, rate)?;
        }
        slow_before_timeout(shape, breaker)?;
    }
    Ok(())
}

/// Rejects an attempt timeout as long as the deadline: the deadline ends every attempt, no breaker
/// counts a failure, and there is no time for a second attempt.
fn attempt_within_deadline(shape: &Shape) -> Checked {
    match (shape.attempt_timeout, shape.deadline) {
        (Some(timeout), Some(deadline)) if timeout >= deadline => {
            invalid("attempt_timeout", timeout, under("deadline", deadline))
        }
        _ => Ok(()),
    }
}

/// Rejects a wait for admission that may last until the deadline.
fn waits_within_deadline(shape: &Shape) -> Checked {
    let Some(deadline) = shape.deadline else { return Ok(()) };
    let bulkhead = shape.bulkhead.map(|bulkhead| ("bulkhead.wait_at_most", bulkhead.line));
    let rate = shape.rate.map(|rate| ("rate_limit.wait_at_most", rate.line));
    for (field, line) in bulkhead.into_iter().chain(rate) {
        if let OnFull::WaitAtMost(wait) = line.on_full
            && line.chosen
            && wait >= deadline
        {
            return invalid(field, wait, under("deadline", deadline));
        }
    }
    Ok(())
}

/// Rejects a usual duration of an attempt that is longer than its timeout.
fn attempt_time_within_timeout(shape: &Shape, retry: &Retrying) -> Checked {
    match shape.attempt_timeout {
        Some(timeout) if retry.attempt_time > timeout => {
            let bound = format!("at most `attempt_timeout` ({timeout:?})");
            invalid("retry.attempt_time", retry.attempt_time, bound)
        }
        _ => Ok(()),
    }
}

/// Rejects attempts that cannot begin in time even if all others fail at once and every wait is the
/// shortest.
fn every_attempt_possible(shape: &Shape, retry: &Retrying) -> Checked {
    let possible = shape.attempts_begun(retry, &retry.shortest, Duration::ZERO);
    if possible >= retry.max_attempts {
        return Ok(());
    }
    let bound = format!(
        "at most {possible}: the shortest waits alone leave no time for more, by {}",
        limits(shape, retry)
    );
    Err(InvalidConfig::new("retry.max_attempts", retry.max_attempts, bound))
}

fn limits(shape: &Shape, retry: &Retrying) -> String {
    let deadline = shape.deadline.map(|limit| format!("`deadline` ({limit:?})"));
    let elapsed = retry.max_elapsed.map(|limit| format!("`retry.max_elapsed` ({limit:?})"));
    deadline.into_iter().chain(elapsed).collect::<Vec<_>>().join(" and ")
}

/// Rejects a retry budget that can never fund a retry: deposits expire before they add up to one,
/// and there is no reserve.
fn budget_ever_pays(shape: &Shape, retry: &Retrying) -> Checked {
    let Some(Paying::Share { ratio, window, reserve }) = retry.budget else { return Ok(()) };
    if retry.max_attempts == 1 || reserve >= 1.0 {
        return Ok(());
    }
    if ratio == 0.0 {
        let bound = "more than 0, without a reserve: it would never pay for a retry";
        return Err(InvalidConfig::new("retry.budget.ratio", ratio, bound));
    }
    let Some(rate) = shape.rate.as_ref().filter(|rate| rate.enforced) else { return Ok(()) };
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
fn minimum_reachable(breaker: &Breaking, rate: &Pacing) -> Checked {
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
fn slow_before_timeout(shape: &Shape, breaker: &Breaking) -> Checked {
    match (breaker.slow_after, shape.attempt_timeout) {
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
