//! Errors of a stack that cannot work. Stacks that can work but hardly as intended are in `warnings`.
//!
//! Each check compares two parts, which no part can do by itself. A check is here only if it is *never*
//! right: whatever the other side does, the value named has no effect, or an effect that another value
//! takes away.

use std::time::Duration;

use crate::config::InvalidConfig;
use crate::on_full::OnFull;
use crate::shape::{Breaking, Pacing, Paying, Retrying, Shape};

type Checked = Result<(), InvalidConfig>;

/// Returns the first error.
pub(super) fn refuse(shape: &Shape) -> Checked {
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

/// An attempt that may take as long as the call never times out: the deadline ends it, no breaker sees
/// a failure, and there is no time for a second.
fn attempt_within_deadline(shape: &Shape) -> Checked {
    match (shape.attempt_timeout, shape.deadline) {
        (Some(timeout), Some(deadline)) if timeout >= deadline => {
            refused("attempt_timeout", timeout, under("deadline", deadline))
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
            return refused(field, wait, under("deadline", deadline));
        }
    }
    Ok(())
}

/// "Usually takes" longer than it may: every retry is refused for want of time, or none should be.
fn attempt_time_within_timeout(shape: &Shape, retry: &Retrying) -> Checked {
    match shape.attempt_timeout {
        Some(timeout) if retry.attempt_time > timeout => {
            let bound = format!("at most `attempt_timeout` ({timeout:?})");
            refused("retry.attempt_time", retry.attempt_time, bound)
        }
        _ => Ok(()),
    }
}

/// Attempts that cannot begin though every other fails at once and every wait is the shortest.
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

/// Rejects a retry budget that can never fund a retry: deposits expire before they add up to one, and there is no
/// reserve.
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

/// Rejects a breaker whose minimum of calls does not pass the rate limit within its window.
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

/// No call is ever that slow.
fn slow_before_timeout(shape: &Shape, breaker: &Breaking) -> Checked {
    match (breaker.slow_after, shape.attempt_timeout) {
        (Some(slow), Some(timeout)) if slow > timeout => {
            let bound = format!("at most `attempt_timeout` ({timeout:?})");
            refused("circuit_breaker.slow_calls", slow, bound)
        }
        _ => Ok(()),
    }
}

fn under(field: &str, limit: Duration) -> String {
    format!("less than `{field}` ({limit:?})")
}

fn refused(field: &'static str, value: Duration, bound: String) -> Checked {
    Err(InvalidConfig::new(field, format_args!("{value:?}"), bound))
}
