//! Model of a retry policy: one call.

use std::time::Duration;

use arbitrary::Arbitrary;

use super::backoff::BackoffInput;
use crate::clock;
use crate::deadline::Deadline;
use crate::model_input::{parse, unreachable_input};
use crate::outcome::{Outcome, RetryHint};
use crate::retry::{RetryBudget, RetryPolicy, StopReason, Verdict};

#[derive(Debug, Arbitrary)]
struct PolicyInput {
    max_attempts: u32,
    max_elapsed: Duration,
    attempt_time: Duration,
    backoff: BackoffInput,
    reserve: u8,
    wait_when_not_ready: bool,
    deadline: Option<Duration>,
    attempts: Vec<AttemptInput>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
struct AttemptInput {
    kind: u8,
    hint: Option<Duration>,
    never: bool,
    took: Duration,
    sample: f64,
    cancelled: bool,
}

impl AttemptInput {
    fn outcome(self) -> Outcome {
        let hint = if self.never { RetryHint::Never } else { self.hint.into() };
        match self.kind % 7 {
            _ if self.kind >= 250 => Outcome::Unknown,
            0 => Outcome::Success,
            1 => Outcome::TimedOut,
            2 => Outcome::Permanent,
            3 => Outcome::Abandoned,
            4 => Outcome::Throttled(hint),
            5 => Outcome::NotReady(hint),
            _ => Outcome::Transient(hint),
        }
    }
}

/// Asserts for a call that there are no more attempts than allowed; that no wait reaches the
/// deadline or the allowed time, or is shorter than a hint; and that every retry is paid for and
/// every cancelled retry is given back. Any configuration is valid or rejected.
pub fn policy(bytes: &[u8]) {
    let Some(input) = parse::<PolicyInput>(bytes) else { return };
    let Ok(budget) = RetryBudget::builder().ratio(0.0).reserve(u32::from(input.reserve)).build()
    else {
        unreachable_input(&input)
    };
    let mut builder = RetryPolicy::builder()
        .max_attempts(input.max_attempts)
        .max_elapsed(input.max_elapsed)
        .attempt_time(input.attempt_time)
        .budget(budget.clone());
    if let Some((backoff, _)) = input.backoff.backoff() {
        builder = builder.backoff(backoff);
    }
    if input.wait_when_not_ready {
        builder = builder.wait_when_not_ready();
    }
    let Ok(policy) = builder.build() else { return };

    let start = clock::now();
    let deadline = input.deadline.map(|wait| Deadline::after(start, wait));
    let mut now = start;
    let mut attempts = policy.start(start);
    let mut left = f64::from(input.reserve);
    for &attempt in &input.attempts {
        now = clock::later(now, attempt.took.min(Duration::from_secs(3_600)));
        let outcome = attempt.outcome();
        match attempts.decide(now, deadline, outcome, attempt.sample) {
            Verdict::Done => return assert_eq!(outcome, Outcome::Success),
            Verdict::Stop { reason, .. } => return check_stop(outcome, reason, input.max_attempts),
            Verdict::Retry(retry) => {
                let delay = retry.delay();
                if let RetryHint::After(hint) = outcome.hint() {
                    assert!(delay >= hint);
                }
                let needed = delay + input.attempt_time;
                assert!(deadline.is_none_or(|deadline| needed < deadline.remaining(now)));
                assert!(now - start + needed <= input.max_elapsed);
                if attempt.cancelled {
                    drop(retry);
                    return assert_eq!(budget.available(now), left);
                }
                now += delay;
                retry.sent(&mut attempts);
                left -= if outcome.failure().is_some() { 1.0 } else { 0.0 };
                assert_eq!(budget.available(now), left);
                assert!(attempts.made() <= input.max_attempts);
            }
        }
    }
}

fn check_stop(outcome: Outcome, reason: StopReason, max_attempts: u32) {
    match reason {
        StopReason::NotRetryable => {
            assert!(matches!(outcome, Outcome::Permanent | Outcome::Abandoned), "{outcome:?}");
        }
        StopReason::NotReady => assert!(matches!(outcome, Outcome::NotReady(_)), "{outcome:?}"),
        StopReason::ServerForbids => assert_eq!(outcome.hint(), RetryHint::Never),
        StopReason::AttemptsExhausted => assert!(max_attempts > 0),
        _ => assert!(outcome != Outcome::Success),
    }
}
