//! The attempts of one call.

use std::sync::Arc;
use std::time::Instant;

use super::budget::RetryBudget;
use super::policy::RetryRules;
use super::progress::Progress;
use super::verdict::{StopReason, Verdict};
use crate::clock::tick::Tick;
use crate::deadline::Deadline;
use crate::outcome::Outcome;

/// The attempts of one call, and the decision on the next one.
#[derive(Debug)]
pub struct Attempts {
    rules: Arc<RetryRules>,
    pub(super) progress: Progress,
}

impl Attempts {
    #[inline]
    pub(super) fn new(
        rules: &Arc<RetryRules>,
        started: Option<Tick>,
        own_budget: Option<RetryBudget>,
    ) -> Attempts {
        Attempts { rules: rules.clone(), progress: Progress::new(started, own_budget, None) }
    }

    /// Returns the number of attempts, including the current one.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.progress.made
    }

    /// Returns `true` if the limit on attempts allows another.
    #[must_use]
    #[inline]
    pub fn any_left(&self) -> bool {
        self.progress.any_left(&self.rules)
    }

    /// Records a success, like [`decide`](Attempts::decide) without a time and a sample.
    #[inline]
    pub fn succeeded(&mut self) -> Verdict {
        self.progress.succeeded(&self.rules)
    }

    /// Records `outcome` and makes no other attempt, for a `reason` outside of the policy.
    pub fn give_up(&mut self, outcome: Outcome, reason: StopReason) -> Verdict {
        self.progress.give_up(&self.rules, outcome.into(), reason)
    }

    /// Records that the current attempt ended in `outcome` at `now`, and decides whether to retry.
    ///
    /// `deadline` is that of the caller; `u`, a sample of `0..1`, chooses the next delay in its
    /// interval. A retry needs, in this order: a retryable outcome, an attempt left, an end of the
    /// wait and of the attempt before the deadline and within the time allowed, and budget.
    pub fn decide(
        &mut self,
        now: Instant,
        deadline: Option<Deadline>,
        outcome: Outcome,
        u: f64,
    ) -> Verdict {
        self.progress.decide(&self.rules, now, deadline, outcome.into(), u)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::outcome::RetryHint;
    use crate::retry::{Backoff, RetryPolicy, RetryPolicyBuilder};

    const SECOND: Duration = Duration::from_secs(1);

    fn policy(change: impl FnOnce(RetryPolicyBuilder) -> RetryPolicyBuilder) -> RetryPolicy {
        change(RetryPolicy::builder().backoff(Backoff::constant(SECOND))).build().unwrap()
    }

    fn first(policy: &RetryPolicy, deadline: Option<Duration>, outcome: Outcome) -> Verdict {
        let now = clock::now();
        let deadline = deadline.map(|wait| Deadline::after(now, wait));
        policy.start(now).decide(now, deadline, outcome, 0.0)
    }

    #[test]
    fn what_is_worth_a_retry() {
        let policy = policy(|builder| builder);
        let reason = |outcome| first(&policy, None, outcome).stop_reason();
        assert_eq!(reason(Outcome::transient()), None);
        assert_eq!(reason(Outcome::TimedOut), None);
        assert_eq!(reason(Outcome::throttled(SECOND)), None);
        assert_eq!(reason(Outcome::Permanent), Some(StopReason::NotRetryable));
        assert_eq!(reason(Outcome::Abandoned), Some(StopReason::NotRetryable));
        assert_eq!(reason(Outcome::not_ready(SECOND)), Some(StopReason::NotReady));
        assert_eq!(reason(Outcome::Transient(RetryHint::Never)), Some(StopReason::ServerForbids));
    }

    #[test]
    fn no_sleep_that_reaches_the_deadline() {
        let policy = policy(|builder| builder.attempt_time(SECOND));
        let at = |deadline| first(&policy, Some(deadline), Outcome::transient()).stop_reason();
        assert_eq!(at(SECOND * 2 + Duration::from_nanos(1)), None);
        let needed = SECOND * 2;
        let too_near = StopReason::DeadlineTooNear { needed, remaining: SECOND * 2 };
        assert_eq!(at(SECOND * 2), Some(too_near));
        assert!(at(Duration::ZERO).is_some());
    }

    /// Found by fuzzing: a delay of zero was granted long after the time was over.
    #[test]
    fn no_attempt_begins_after_the_time_allowed_however_short_the_wait() {
        let policy = policy(|builder| builder.backoff(Backoff::none()).max_elapsed(SECOND));
        let start = clock::now();
        let mut attempts = policy.start(start);
        let late = start + SECOND + Duration::from_nanos(1);
        let verdict = attempts.decide(late, None, Outcome::transient(), 0.0);
        assert!(matches!(verdict.stop_reason(), Some(StopReason::OutOfTime { .. })), "{verdict:?}");
    }

    #[test]
    fn a_hint_beyond_the_time_allowed_ends_the_call_and_costs_nothing() {
        let budget = RetryBudget::builder().reserve(5).build().unwrap();
        let policy = policy(|builder| builder.budget(budget.clone()));
        let now = clock::now();
        let mut attempts = policy.start(now);
        let before = budget.available(now);
        let verdict = attempts.decide(now, None, Outcome::throttled(Duration::MAX), 0.5);
        assert!(matches!(verdict.stop_reason(), Some(StopReason::OutOfTime { .. })));
        assert_eq!(budget.available(now), before);
    }

    #[test]
    fn without_a_limit_a_hint_still_does_not_last_for_ever() {
        let policy = policy(|builder| builder.unlimited_elapsed().without_budget());
        let hint = |wait| first(&policy, None, Outcome::throttled(wait)).stop_reason();
        assert_eq!(hint(Duration::from_secs(3_600)), None);
        assert!(matches!(hint(Duration::MAX), Some(StopReason::OutOfTime { .. })));
    }

    #[test]
    fn waiting_until_ready_costs_an_attempt_and_no_budget() {
        let broke = RetryBudget::builder().ratio(0.0).reserve(0).build().unwrap();
        let policy = policy(|builder| builder.budget(broke).wait_when_not_ready());
        let now = clock::now();
        let mut attempts = policy.start(now);
        for made in 2..=3 {
            let Verdict::Retry(retry) = attempts.decide(now, None, Outcome::not_ready(SECOND), 0.0)
            else {
                panic!("attempts are left");
            };
            assert!(retry.delay() >= SECOND);
            retry.sent(&mut attempts);
            assert_eq!(attempts.made(), made);
        }
        let verdict = attempts.decide(now, None, Outcome::not_ready(SECOND), 0.0);
        assert_eq!(verdict.stop_reason(), Some(StopReason::AttemptsExhausted));
        let unknown = first(&policy, None, Outcome::NotReady(RetryHint::None));
        assert_eq!(unknown.stop_reason(), Some(StopReason::NotReady));
    }
}
