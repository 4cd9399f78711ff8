//! Whether to try again, and when: every limit of one call in one place, told the time.
//!
//! A [`RetryPolicy`] is configuration and shared state; [`Attempts`] is one call. The Tower layer
//! and the plain functions only carry out what [`Attempts::decide`] says, and so can a simulator:
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::Outcome;
//! use resilience_core::retry::{RetryPolicy, StopReason, Verdict};
//!
//! let policy = RetryPolicy::builder().max_attempts(2).build()?;
//! let start = resilience_core::clock::now();
//! let mut attempts = policy.start(start);
//! let Verdict::Retry(retry) = attempts.decide(start, None, Outcome::transient(), 0.5) else { panic!() };
//! let later = start + retry.delay();
//! retry.sent(&mut attempts);
//! let verdict = attempts.decide(later, None, Outcome::transient(), 0.5);
//! assert_eq!(verdict.stop_reason(), Some(StopReason::AttemptsExhausted));
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::backoff::{Backoff, Step};
use super::budget::{Receipt, RetryBudget, Withdrawal};
use crate::config::{self, InvalidConfig, OrInvalid};
use crate::deadline::Deadline;
use crate::observe::{Event, Listen, Listener};
use crate::outcome::{Classify, Outcome, RetryHint, Standard};
use crate::rejection::Name;

/// What may be retried, how often, how far apart, and at whose cost.
///
/// Clones share the budget, the listener and the sequence of seeds. `C` is the classifier.
#[derive(Debug, Clone)]
pub struct RetryPolicy<C = Standard> {
    pub(crate) rules: Arc<Rules>,
    pub(crate) classifier: C,
}

/// All of a policy but its classifier.
#[derive(Debug)]
pub(crate) struct Rules {
    pub(crate) name: Name,
    pub(crate) listener: Listener,
    #[cfg(feature = "tokio")]
    pub(crate) seed: Option<super::seed::Seed>,
    max_attempts: u32,
    backoff: Backoff,
    throttled_backoff: Backoff,
    max_elapsed: Option<Duration>,
    attempt_time: Duration,
    budget: Option<RetryBudget>,
    wait_when_not_ready: bool,
    pace_refusals: bool,
}

impl RetryPolicy {
    /// Starts from the defaults: 3 attempts, decorrelated jitter from 250 ms to 20 s, no attempt
    /// begun later than 60 s after the first, and a budget of 10 % of the traffic with a reserve of
    /// 10.
    pub fn builder() -> RetryPolicyBuilder {
        RetryPolicyBuilder {
            name: Name::from_static("retry"),
            max_attempts: 3,
            backoff: Backoff::decorrelated_jitter(
                Duration::from_millis(250),
                Duration::from_secs(20),
            ),
            throttled_backoff: None,
            max_elapsed: Some(Duration::from_secs(60)),
            attempt_time: Duration::ZERO,
            budget: Some(Ok(RetryBudget::default())),
            wait_when_not_ready: false,
            pace_refusals: false,
            #[cfg(feature = "tokio")]
            seed: None,
            listener: Listener::default(),
            classifier: Standard,
        }
    }
}

impl<C> RetryPolicy<C> {
    /// A call begins at `now`: deposits its share into the budget.
    #[must_use]
    #[inline]
    pub fn start(&self, now: Instant) -> Attempts {
        if let Some(budget) = &self.rules.budget {
            budget.call_started(now);
        }
        self.rules.attempts(Some(now))
    }

    /// A call begins; the clock is read only if a limit asks for the time.
    #[cfg(feature = "tokio")]
    #[inline]
    pub(crate) fn start_lazily(&self) -> Attempts {
        let rules = &self.rules;
        let timed = rules.max_elapsed.is_some()
            || rules.budget.as_ref().is_some_and(RetryBudget::counts_calls);
        if timed { self.start(crate::clock::now()) } else { rules.attempts(None) }
    }

    /// How the attempt that ended in `result` ended, by the policy's classifier.
    pub fn classify<T, E>(&self, result: Result<&T, &E>) -> Outcome
    where
        C: Classify<T, E>,
    {
        self.classifier.classify(result)
    }

    /// The name that events carry.
    #[must_use]
    pub fn name(&self) -> &str {
        self.rules.name.as_str()
    }

    /// The budget that retries are paid from.
    #[must_use]
    pub fn budget(&self) -> Option<&RetryBudget> {
        self.rules.budget.as_ref()
    }

    /// The most attempts that one call may make, the first included.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.rules.max_attempts
    }
}

impl Rules {
    #[inline]
    fn attempts(self: &Arc<Self>, started: Option<Instant>) -> Attempts {
        Attempts { rules: self.clone(), started, made: 1, step: Step::default(), receipt: None }
    }
}

/// One call: how many attempts it has made, and what the next would take.
#[derive(Debug)]
pub struct Attempts {
    pub(crate) rules: Arc<Rules>,
    started: Option<Instant>,
    made: u32,
    step: Step,
    /// What the latest retry has cost, until it is known how it ended.
    receipt: Option<Receipt>,
}

impl Attempts {
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
        self.report(outcome, &Verdict::stop(reason));
        Verdict::stop(reason)
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
        let Some((class, budget)) = class.zip(self.rules.budget.as_ref()) else {
            return Verdict::Retry(Retry { delay, withdrawal: None });
        };
        match budget.withdraw(now, class) {
            Ok(withdrawal) => Verdict::Retry(Retry { delay, withdrawal: Some(withdrawal) }),
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
        let Some(budget) = &self.rules.budget else {
            return;
        };
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
        let (allowed, started) = self.rules.max_elapsed.zip(self.started)?;
        let elapsed = now.saturating_duration_since(started);
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

/// What to do with the result of an attempt.
#[derive(Debug)]
#[must_use]
#[expect(clippy::exhaustive_enums, reason = "whoever carries out a verdict must know them all")]
pub enum Verdict {
    /// It succeeded: return it.
    Done,
    /// Drop it, wait, and try again.
    Retry(Retry),
    /// Return it, after a pause (zero unless refusals are paced).
    Stop {
        /// Why there is no other attempt.
        reason: StopReason,
        /// How long to keep the caller first.
        pause: Duration,
    },
}

impl Verdict {
    fn stop(reason: StopReason) -> Verdict {
        Verdict::Stop { reason, pause: Duration::ZERO }
    }

    /// Why there is no other attempt, if there is none.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        match self {
            Verdict::Stop { reason, .. } => Some(*reason),
            _ => None,
        }
    }
}

/// A retry that was granted and paid for. Dropped before it is [`sent`](Retry::sent), its price goes
/// back to the budget.
#[derive(Debug)]
#[must_use = "dropping a granted retry gives its price back"]
pub struct Retry {
    delay: Duration,
    withdrawal: Option<Withdrawal>,
}

impl Retry {
    /// How long to wait first, from the instant of the decision.
    #[must_use]
    pub fn delay(&self) -> Duration {
        self.delay
    }

    /// The wait is over and the attempt begins.
    pub fn sent(self, attempts: &mut Attempts) {
        attempts.made = attempts.made.saturating_add(1);
        attempts.receipt = self.withdrawal.map(Withdrawal::sent);
    }
}

/// Why a call makes no other attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// As many were made as are allowed.
    AttemptsExhausted,
    /// The budget refused the retry.
    BudgetExhausted,
    /// The wait and another attempt would not end before the caller's deadline.
    DeadlineTooNear {
        /// What the wait and an attempt take.
        needed: Duration,
        /// What was left.
        remaining: Duration,
    },
    /// The wait and another attempt would not end within the time that retrying may take.
    OutOfTime {
        /// What the wait and an attempt take.
        needed: Duration,
        /// What was left.
        remaining: Duration,
    },
    /// The failure will not pass.
    NotRetryable,
    /// It did not run, and is not expected to by trying again at once.
    NotReady,
    /// The other side asked not to be tried again.
    ToldNotTo,
    /// The request cannot be sent twice.
    NotReplayable,
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopReason::AttemptsExhausted => f.write_str("no attempts left"),
            StopReason::BudgetExhausted => f.write_str("the retry budget is spent"),
            StopReason::DeadlineTooNear { needed, remaining } => {
                write!(f, "needs {needed:?}, {remaining:?} left before the deadline")
            }
            StopReason::OutOfTime { needed, remaining } => {
                write!(f, "needs {needed:?}, {remaining:?} left for retrying")
            }
            StopReason::NotRetryable => f.write_str("the failure is permanent"),
            StopReason::NotReady => f.write_str("not ready yet"),
            StopReason::ToldNotTo => f.write_str("told not to try again"),
            StopReason::NotReplayable => f.write_str("the request cannot be sent twice"),
        }
    }
}

/// A [`RetryPolicy`] in the making. See [`RetryPolicy::builder`] for the defaults.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RetryPolicyBuilder<C = Standard> {
    name: Name,
    max_attempts: u32,
    backoff: Result<Backoff, InvalidConfig>,
    throttled_backoff: Option<Result<Backoff, InvalidConfig>>,
    max_elapsed: Option<Duration>,
    attempt_time: Duration,
    budget: Option<Result<RetryBudget, InvalidConfig>>,
    wait_when_not_ready: bool,
    pace_refusals: bool,
    #[cfg(feature = "tokio")]
    seed: Option<u64>,
    listener: Listener,
    classifier: C,
}

impl<C> RetryPolicyBuilder<C> {
    /// What events call this policy.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// The most attempts one call may make, the first included. From 1 to 1,000.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.max_attempts = attempts;
        self
    }

    /// How long to wait between attempts. Takes a [`Backoff`] or the result of making one: a bad one
    /// is reported by [`build`](Self::build).
    pub fn backoff(mut self, backoff: impl OrInvalid<Backoff>) -> Self {
        self.backoff = backoff.or_invalid();
        self
    }

    /// How long to wait after a throttled attempt, where that differs.
    pub fn throttled_backoff(mut self, backoff: impl OrInvalid<Backoff>) -> Self {
        self.throttled_backoff = Some(backoff.or_invalid());
        self
    }

    /// No attempt begins later than this after the first. A server's hint that lies beyond ends the
    /// call at once.
    pub fn max_elapsed(mut self, elapsed: Duration) -> Self {
        self.max_elapsed = Some(elapsed);
        self
    }

    /// Waits are limited by the attempts, the backoff's cap, the hints of the other side and the
    /// caller's deadline only.
    pub fn unlimited_elapsed(mut self) -> Self {
        self.max_elapsed = None;
        self
    }

    /// What an attempt usually takes: one that could not end before the deadline is not begun.
    pub fn attempt_time(mut self, usual: Duration) -> Self {
        self.attempt_time = usual;
        self
    }

    /// The account that retries are paid from. Give the same one (a clone) to everything that calls
    /// the same upstream. As with [`backoff`](Self::backoff), the result of making one will do.
    pub fn budget(mut self, budget: impl OrInvalid<RetryBudget>) -> Self {
        self.budget = Some(budget.or_invalid());
        self
    }

    /// No limit but each call's own. For a caller that is alone.
    pub fn without_budget(mut self) -> Self {
        self.budget = None;
        self
    }

    /// When something is [not ready](Outcome::NotReady) and says for how long, waits that long and
    /// tries again, if that fits the deadline; it costs an attempt, but no budget. Otherwise, and by
    /// default, not ready goes back to the caller.
    pub fn wait_when_not_ready(mut self) -> Self {
        self.wait_when_not_ready = true;
        self
    }

    /// Keeps a caller whose retry the budget refused for as long as the retry would have waited. For
    /// loops that poll, and would otherwise spin on the refusal (AWS 2.1, long-polling operations).
    pub fn pace_refusals(mut self) -> Self {
        self.pace_refusals = true;
        self
    }

    /// Makes the delays repeatable: the *n*-th call to fail draws from stream *n* of this seed. Without
    /// one, every draw is from the operating system's entropy.
    #[cfg(feature = "tokio")]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Tells this listener what happens.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.listener = Listener::new(listener);
        self
    }

    /// Reads outcomes off results with a closure.
    ///
    /// Under the Tower layer it is not asked about the refusals of inner layers: an open circuit is
    /// not a transient failure, whatever the closure thinks of errors.
    pub fn classify<T, E, F>(self, classifier: F) -> RetryPolicyBuilder<F>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.classifier(classifier)
    }

    /// Reads outcomes off results with a [`Classify`] type.
    pub fn classifier<D>(self, classifier: D) -> RetryPolicyBuilder<D> {
        RetryPolicyBuilder {
            name: self.name,
            max_attempts: self.max_attempts,
            backoff: self.backoff,
            throttled_backoff: self.throttled_backoff,
            max_elapsed: self.max_elapsed,
            attempt_time: self.attempt_time,
            budget: self.budget,
            wait_when_not_ready: self.wait_when_not_ready,
            pace_refusals: self.pace_refusals,
            #[cfg(feature = "tokio")]
            seed: self.seed,
            listener: self.listener,
            classifier,
        }
    }

    /// The policy.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn build(self) -> Result<RetryPolicy<C>, InvalidConfig> {
        config::number("max_attempts", f64::from(self.max_attempts), 1.0, 1_000.0)?;
        if let Some(elapsed) = self.max_elapsed {
            config::wait("max_elapsed", elapsed)?;
        }
        config::wait_or_none("attempt_time", self.attempt_time)?;
        let backoff = self.backoff?;
        let rules = Rules {
            name: self.name,
            listener: self.listener,
            #[cfg(feature = "tokio")]
            seed: self.seed.map(super::seed::Seed::new),
            max_attempts: self.max_attempts,
            backoff,
            throttled_backoff: self.throttled_backoff.unwrap_or(Ok(backoff))?,
            max_elapsed: self.max_elapsed,
            attempt_time: self.attempt_time,
            budget: self.budget.transpose()?,
            wait_when_not_ready: self.wait_when_not_ready,
            pace_refusals: self.pace_refusals,
        };
        Ok(RetryPolicy { rules: Arc::new(rules), classifier: self.classifier })
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use crate::clock;

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

    #[test]
    fn impossible_configurations_are_named() {
        let named = |builder: RetryPolicyBuilder| builder.build().unwrap_err().field();
        assert_eq!(named(RetryPolicy::builder().max_attempts(0)), "max_attempts");
        assert_eq!(named(RetryPolicy::builder().max_attempts(u32::MAX)), "max_attempts");
        assert_eq!(named(RetryPolicy::builder().max_elapsed(Duration::ZERO)), "max_elapsed");
        assert_eq!(named(RetryPolicy::builder().max_elapsed(Duration::MAX)), "max_elapsed");
        assert_eq!(named(RetryPolicy::builder().attempt_time(Duration::MAX)), "attempt_time");
        let bad = Backoff::full_jitter(SECOND, Duration::ZERO);
        assert_eq!(named(RetryPolicy::builder().backoff(bad.clone())), "cap");
        assert_eq!(named(RetryPolicy::builder().throttled_backoff(bad)), "cap");
    }
}
