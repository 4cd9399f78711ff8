//! One call: what it has done so far, and whether it may do more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::Step;
use super::budget::{Receipt, RetryBudget};
use super::policy::Rules;
use super::verdict::{GrantedRetry, StopReason, Verdict};
use crate::clock::MAX_WAIT;
use crate::deadline::Deadline;
use crate::observe::Event;
use crate::outcome::{Outcome, RetryHint};

/// One call: how many attempts it has made, and what the next would take.
#[derive(Debug)]
pub struct Attempts {
    pub(super) rules: Arc<Rules>,
    started: Option<Instant>,
    made: u32,
    step: Step,
    /// An account of this call's key, in place of the policy's.
    own_budget: Option<RetryBudget>,
    /// What the latest retry has cost, until it is known how it ended.
    receipt: Option<Receipt>,
}

impl Attempts {
    #[inline]
    pub(super) fn new(
        rules: &Arc<Rules>,
        started: Option<Instant>,
        own_budget: Option<RetryBudget>,
    ) -> Attempts {
        let (rules, step) = (rules.clone(), Step::default());
        Attempts { rules, started, made: 1, step, own_budget, receipt: None }
    }

    /// Where retries are paid from.
    #[inline]
    fn budget(&self) -> Option<&RetryBudget> {
        self.own_budget.as_ref().or(self.rules.budget.as_ref())
    }

    /// Another attempt begins, at this cost.
    pub(super) fn next(&mut self, receipt: Option<Receipt>) {
        self.made = self.made.saturating_add(1);
        self.receipt = receipt;
    }

    /// Attempts made so far, the one under way included.
    #[must_use]
    pub fn made(&self) -> u32 {
        self.made
    }

    /// Whether the limit on attempts allows another.
    #[must_use]
    #[inline]
    pub fn any_left(&self) -> bool {
        self.made < self.rules.max_attempts
    }

    /// The attempt under way succeeded. What [`decide`](Attempts::decide) does with a success, which
    /// asks for neither the time nor a sample.
    #[inline]
    pub fn succeeded(&mut self) -> Verdict {
        self.settle(Outcome::Success);
        if self.made > 1 {
            self.report(Outcome::Success, &Verdict::Done);
        }
        Verdict::Done
    }

    /// The attempt under way ended in `outcome`, and for a `reason` that the policy cannot know of
    /// it is the last.
    pub fn give_up(&mut self, outcome: Outcome, reason: StopReason) -> Verdict {
        self.settle(outcome);
        let verdict = Verdict::stop(reason);
        self.report(outcome, &verdict);
        verdict
    }

    /// The attempt under way ended in `outcome` at `now`: what next?
    ///
    /// `deadline` is the caller's; `u`, a sample of `0..1`, says where in its interval the next delay
    /// lies. Asked in this order: is it worth a retry at all; are attempts left; would the wait, and
    /// an attempt after it, end before the deadline and the time allowed; is the budget good for it.
    pub fn decide(
        &mut self,
        now: Instant,
        deadline: Option<Deadline>,
        outcome: Outcome,
        u: f64,
    ) -> Verdict {
        if outcome == Outcome::Success {
            return self.succeeded();
        }
        self.settle(outcome);
        let verdict = self.judge(now, deadline, outcome, u);
        self.report(outcome, &verdict);
        verdict
    }

    fn judge(
        &mut self,
        now: Instant,
        deadline: Option<Deadline>,
        outcome: Outcome,
        u: f64,
    ) -> Verdict {
        let hint = outcome.hint();
        let class = outcome.failure();
        match outcome {
            Outcome::NotReady(RetryHint::After(_)) if self.rules.wait_when_not_ready => {}
            Outcome::NotReady(_) => return Verdict::stop(StopReason::NotReady),
            _ if class.is_none() => return Verdict::stop(StopReason::NotRetryable),
            _ if hint == RetryHint::Never => return Verdict::stop(StopReason::ToldNotTo),
            _ => {}
        }
        if !self.any_left() {
            return Verdict::stop(StopReason::AttemptsExhausted);
        }
        let delay = self.next_delay(outcome, u);
        if let Some(reason) = self.out_of_time(now, deadline, delay) {
            return Verdict::stop(reason);
        }
        // Waiting until something is ready repeats nothing, so it costs nothing.
        let Some((class, budget)) = class.zip(self.budget()) else {
            return Verdict::Retry(GrantedRetry { delay, withdrawal: None });
        };
        match budget.withdraw(now, class) {
            Ok(withdrawal) => Verdict::Retry(GrantedRetry { delay, withdrawal: Some(withdrawal) }),
            Err(_) if self.rules.pace_refusals => {
                Verdict::Stop { reason: StopReason::BudgetExhausted, pause: delay }
            }
            Err(_) => Verdict::stop(StopReason::BudgetExhausted),
        }
    }

    /// Tells the budget how the attempt under way ended.
    #[inline]
    fn settle(&mut self, outcome: Outcome) {
        let receipt = self.receipt.take();
        let Some(budget) = self.budget() else { return };
        match (outcome, outcome.failure()) {
            (_, Some(class)) => budget.failed(class),
            // A permanent error is an answer: the other side is up.
            (Outcome::Success | Outcome::Permanent, None) => match receipt {
                Some(receipt) => receipt.succeeded(budget),
                None => budget.succeeded(),
            },
            _ => {}
        }
    }

    fn next_delay(&mut self, outcome: Outcome, u: f64) -> Duration {
        let backoff = match outcome {
            Outcome::Throttled(_) => &self.rules.throttled_backoff,
            _ => &self.rules.backoff,
        };
        match outcome.hint() {
            RetryHint::After(hint) => backoff.delay_after(&mut self.step, hint, u),
            _ => backoff.delay(&mut self.step, u),
        }
    }

    /// Why there is no time to wait for `delay` and to attempt again, if there is none.
    fn out_of_time(
        &self,
        now: Instant,
        deadline: Option<Deadline>,
        delay: Duration,
    ) -> Option<StopReason> {
        let needed = delay.saturating_add(self.rules.attempt_time);
        if let Some(remaining) = deadline.map(|deadline| deadline.remaining(now))
            // At the deadline itself it is too late.
            && needed >= remaining
        {
            return Some(StopReason::DeadlineTooNear { needed, remaining });
        }
        // Without a limit of its own a call may still not be sent to sleep for ever by a hint.
        let allowed = self.rules.max_elapsed.unwrap_or(MAX_WAIT);
        let elapsed = self.started.map_or(Duration::ZERO, |at| now.saturating_duration_since(at));
        // Not by what remains: once the time is over, even a wait of nothing is too long.
        (elapsed.saturating_add(needed) > allowed).then(|| {
            let remaining = allowed.saturating_sub(elapsed);
            StopReason::OutOfTime { needed, remaining }
        })
    }

    fn report(&self, outcome: Outcome, verdict: &Verdict) {
        let (layer, attempts) = (self.rules.name.as_str(), self.made);
        self.rules.listener.tell(|| match verdict {
            Verdict::Retry(retry) => {
                Event::RetryScheduled { layer, attempts, outcome, delay: retry.delay }
            }
            Verdict::Stop { reason, .. } => {
                Event::RetryStopped { layer, attempts, outcome, reason: *reason }
            }
            Verdict::Done => Event::RetrySucceeded { layer, attempts },
        });
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use crate::clock;
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
        assert_eq!(reason(Outcome::Transient(RetryHint::Never)), Some(StopReason::ToldNotTo));
    }

    #[test]
    fn no_sleep_that_reaches_the_deadline() {
        let policy = policy(|builder| builder.attempt_time(SECOND));
        let at = |deadline| first(&policy, Some(deadline), Outcome::transient()).stop_reason();
        assert_eq!(at(SECOND * 2 + Duration::from_nanos(1)), None);
        let (needed, remaining) = (SECOND * 2, SECOND * 2);
        assert_eq!(at(SECOND * 2), Some(StopReason::DeadlineTooNear { needed, remaining }));
        assert!(at(Duration::ZERO).is_some());
    }

    /// Found by fuzzing: a delay of nothing was granted when the time had been over for long.
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
