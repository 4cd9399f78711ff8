//! The state of one call, without the settings of its policy, which are passed to each method.

use std::cell::OnceCell;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::backoff::Step;
use super::budget::{Receipt, RetryBudget};
use super::policy::RetryRules;
use super::verdict::{GrantedRetry, StopReason, Verdict};
use crate::clock::MAX_WAIT;
use crate::clock::tick::Tick;
use crate::deadline::Deadline;
use crate::ended::Ended;
use crate::name::Name;
use crate::observe::{ErrorText, Event, type_of};
use crate::outcome::{FailureClass, Outcome, RetryHint};

/// The state of one call.
#[derive(Debug)]
pub(super) struct Progress {
    started: Option<Tick>,
    /// The number of attempts, including the current one.
    pub(super) made: u32,
    step: Step,
    /// The budget of the key of the call, in place of that of the policy.
    own_budget: Option<RetryBudget>,
    /// The payment for the current retry, until its end.
    receipt: Option<Receipt>,
    /// The key of the call, for events.
    key: Option<Name>,
}

impl Progress {
    /// Creates the state. `started` may be `None` if no time limit needs it.
    #[inline]
    pub(super) fn new(
        started: Option<Tick>,
        own_budget: Option<RetryBudget>,
        key: Option<Name>,
    ) -> Progress {
        Progress { started, made: 1, step: Step::default(), own_budget, receipt: None, key }
    }

    /// Returns the budget that pays for retries.
    #[inline]
    fn budget<'a>(&'a self, rules: &'a RetryRules) -> Option<&'a RetryBudget> {
        rules.budget(self.own_budget.as_ref())
    }

    /// Begins another attempt with this payment.
    pub(super) fn next(&mut self, receipt: Option<Receipt>) {
        self.made = self.made.saturating_add(1);
        self.receipt = receipt;
    }

    /// Returns the number of attempts before the current one.
    #[cfg(feature = "tokio")]
    pub(super) const fn previous(&self) -> u32 {
        self.made.saturating_sub(1)
    }

    #[inline]
    pub(super) const fn any_left(&self, rules: &RetryRules) -> bool {
        self.made < rules.max_attempts
    }

    #[inline]
    pub(super) fn succeeded(&mut self, rules: &RetryRules) -> Verdict {
        self.settle(rules, Outcome::Success);
        if self.made > 1 {
            rules.report(self.key.as_ref(), self.made, Outcome::Success.into(), &Verdict::Done);
        }
        Verdict::Done
    }

    pub(super) fn give_up(
        &mut self,
        rules: &RetryRules,
        ended: Ended<'_>,
        reason: StopReason,
    ) -> Verdict {
        self.settle(rules, ended.outcome);
        let verdict = Verdict::stop(reason);
        rules.report(self.key.as_ref(), self.made, ended, &verdict);
        verdict
    }

    pub(super) fn decide(
        &mut self,
        rules: &RetryRules,
        now: Instant,
        deadline: Option<Deadline>,
        ended: Ended<'_>,
        u: f64,
    ) -> Verdict {
        let outcome = ended.outcome;
        if outcome == Outcome::Success {
            return self.succeeded(rules);
        }
        self.settle(rules, outcome);
        let verdict = self.judge(rules, now, deadline, ended, u);
        rules.report(self.key.as_ref(), self.made, ended, &verdict);
        verdict
    }

    fn judge(
        &mut self,
        rules: &RetryRules,
        now: Instant,
        deadline: Option<Deadline>,
        ended: Ended<'_>,
        u: f64,
    ) -> Verdict {
        let outcome = ended.outcome;
        let hint = outcome.hint();
        let class = outcome.failure().or(ended.repeats.then_some(FailureClass::Transient));
        match outcome {
            _ if rules.stops_when_not_ready(outcome) => return Verdict::stop(StopReason::NotReady),
            Outcome::NotReady(_) => {}
            _ if !rules.is_retryable(outcome) => return Verdict::stop(StopReason::NotRetryable),
            _ if hint == RetryHint::Never => return Verdict::stop(StopReason::ServerForbids),
            _ => {}
        }
        if !self.any_left(rules) {
            return Verdict::stop(StopReason::AttemptsExhausted);
        }
        let delay = self.next_delay(rules, outcome, u);
        if let Some(reason) = self.out_of_time(rules, now, deadline, delay) {
            return Verdict::stop(reason);
        }
        // Waiting for readiness costs nothing, unless it repeats an attempt that may have run.
        let Some((class, budget)) = class.zip(self.budget(rules)) else {
            return Verdict::Retry(GrantedRetry { delay, withdrawal: None });
        };
        match budget.withdraw(now, class) {
            Ok(withdrawal) => Verdict::Retry(GrantedRetry { delay, withdrawal: Some(withdrawal) }),
            Err(_) if rules.wait_out_rejected_retry => {
                Verdict::Stop { reason: StopReason::BudgetExhausted, pause: delay }
            }
            Err(_) => Verdict::stop(StopReason::BudgetExhausted),
        }
    }

    /// Settles the current attempt with the budget.
    #[inline]
    fn settle(&mut self, rules: &RetryRules, outcome: Outcome) {
        let receipt = self.receipt.take();
        let Some(budget) = self.budget(rules) else { return };
        match (outcome, outcome.failure()) {
            (_, Some(class)) => budget.failed(class),
            // A permanent error is a response: the service is up.
            (Outcome::Success | Outcome::Permanent, None) => match receipt {
                Some(receipt) => receipt.succeeded(budget),
                None => budget.succeeded(),
            },
            _ => {}
        }
    }

    fn next_delay(&mut self, rules: &RetryRules, outcome: Outcome, u: f64) -> Duration {
        let backoff = match outcome {
            Outcome::Throttled(_) => &rules.throttled_backoff,
            _ => &rules.backoff,
        };
        match outcome.hint() {
            RetryHint::After(hint) => backoff.delay_after(&mut self.step, hint, u),
            _ => backoff.delay(&mut self.step, u),
        }
    }

    /// Returns a reason if the wait for `delay` and another attempt do not fit the deadline or the
    /// time allowed.
    fn out_of_time(
        &self,
        rules: &RetryRules,
        now: Instant,
        deadline: Option<Deadline>,
        delay: Duration,
    ) -> Option<StopReason> {
        let needed = delay.saturating_add(rules.attempt_time);
        if let Some(remaining) = deadline.map(|deadline| deadline.remaining(now))
            // At the deadline itself it is too late.
            && needed >= remaining
        {
            return Some(StopReason::DeadlineTooNear { needed, remaining });
        }
        // A hint does not make a call without a limit wait for ever.
        let allowed = rules.max_elapsed.unwrap_or(MAX_WAIT);
        let elapsed =
            self.started.map_or(Duration::ZERO, |at| Duration::from_nanos(Tick::of(now).since(at)));
        // Not compared with `remaining`: once the time is over, even a wait of zero is too long.
        (elapsed.saturating_add(needed) > allowed).then(|| {
            let remaining = allowed.saturating_sub(elapsed);
            StopReason::OutOfTime { needed, remaining }
        })
    }

    /// Reports that draining ended the wait for a retry, and the call.
    #[cfg(feature = "tokio")]
    pub(super) fn interrupted(&self, rules: &RetryRules, outcome: Outcome) {
        let verdict = Verdict::stop(StopReason::ShuttingDown);
        rules.report(self.key.as_ref(), self.made, outcome.into(), &verdict);
    }
}

impl RetryRules {
    /// Notifies the listener of the verdict on the last of `attempts`.
    pub(super) fn report(
        &self,
        key: Option<&Name>,
        attempts: u32,
        ended: Ended<'_>,
        verdict: &Verdict,
    ) {
        self.report_unknown(key, ended);
        let layer = self.name.as_str();
        let key = key.map(Name::as_str);
        let outcome = ended.outcome;
        let error = ended.error.map(ErrorText::of);
        self.listener.notify(|| match verdict {
            Verdict::Retry(retry) => {
                Event::RetryScheduled { layer, key, attempts, outcome, error, delay: retry.delay }
            }
            Verdict::Stop { reason, .. } => {
                Event::RetryStopped { layer, key, attempts, outcome, error, reason: *reason }
            }
            Verdict::Done => Event::RetrySucceeded { layer, key, attempts },
        });
    }

    /// Notifies the listener of the first failure of this policy that no code recognised.
    fn report_unknown(&self, key: Option<&Name>, ended: Ended<'_>) {
        let Ended { outcome: Outcome::Unknown, error, error_type: Some(error_type), .. } = ended
        else {
            return;
        };
        if self.listener.is_none() || self.met_unknown.swap(true, Ordering::Relaxed) {
            return;
        }
        // Made in the closure: `tell` catches panics of the user's code.
        let name = OnceCell::new();
        self.listener.notify(|| Event::UnknownError {
            layer: self.name.as_str(),
            key: key.map(Name::as_str),
            error_type: name.get_or_init(|| type_of(error_type, error)),
            error: error.map(ErrorText::of),
        });
    }
}
