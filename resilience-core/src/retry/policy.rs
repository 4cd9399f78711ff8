//! Retry policy: configuration and shared state.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
#[cfg(feature = "profiles")]
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::attempts::Attempts;
use super::backoff::Backoff;
#[cfg(feature = "tower")]
use super::backoff::Step;
use super::budget::RetryBudget;
use super::builder::RetryPolicyBuilder;
use crate::clock::tick::Tick;
#[cfg(feature = "tokio")]
use crate::ended::Ended;
use crate::name::Name;
use crate::observe::Listener;
use crate::outcome::{Classify, Outcome, RetryHint, Standard};
#[cfg(feature = "tower")]
use crate::plan_input::RetryInput;
#[cfg(feature = "tokio")]
use crate::rejection::Rejection;

/// A retry policy: retryable outcomes, number of attempts, backoff, time limits and budget. `C` is
/// the classifier.
///
/// Clones share the budget, the listener and the sequence of seeds. The layer, the functions and
/// simulators carry out the decisions of [`Attempts::decide`]:
///
/// ```
/// use std::time::Duration;
/// use resilience_core::Outcome;
/// use resilience_core::retry::{RetryPolicy, StopReason, Verdict};
///
/// let policy = RetryPolicy::builder().max_attempts(2).build()?;
/// let start = resilience_core::clock::now();
/// let mut attempts = policy.start(start);
/// let Verdict::Retry(retry) = attempts.decide(start, None, Outcome::transient(), 0.5) else { panic!() };
/// let later = start + retry.delay();
/// retry.sent(&mut attempts);
/// let verdict = attempts.decide(later, None, Outcome::transient(), 0.5);
/// assert_eq!(verdict.stop_reason(), Some(StopReason::AttemptsExhausted));
/// # Ok::<_, resilience_core::InvalidConfig>(())
/// ```
#[derive(Debug, Clone)]
pub struct RetryPolicy<C = Standard> {
    pub(super) rules: Arc<RetryRules>,
    pub(super) classifier: C,
}

/// A policy without its classifier.
#[derive(Debug)]
pub(crate) struct RetryRules {
    pub(super) name: Name,
    pub(super) listener: Listener,
    #[cfg(feature = "tokio")]
    pub(super) seed: Option<super::seed::Seed>,
    pub(super) max_attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) throttled_backoff: Backoff,
    pub(super) max_elapsed: Option<Duration>,
    pub(super) attempt_time: Duration,
    pub(super) budget: Option<RetryBudget>,
    pub(super) wait_when_not_ready: bool,
    pub(super) retry_unknown: bool,
    pub(super) wait_out_rejected_retry: bool,
    /// A failure that no code recognised was reported.
    pub(super) met_unknown: AtomicBool,
}

impl RetryRules {
    /// Returns `true` for a failure that may pass, and for an unknown one if the policy retries
    /// those.
    #[inline]
    pub(super) fn is_retryable(&self, outcome: Outcome) -> bool {
        outcome.failure().is_some() && (self.retry_unknown || outcome != Outcome::Unknown)
    }

    /// Returns `true` for *not ready* unless the policy waits for it.
    pub(super) fn stops_when_not_ready(&self, outcome: Outcome) -> bool {
        match outcome {
            Outcome::NotReady(RetryHint::After(_)) => !self.wait_when_not_ready,
            Outcome::NotReady(_) => true,
            _ => false,
        }
    }

    /// Returns the budget that pays for the retries of a call: `own`, or that of the policy.
    #[inline]
    pub(super) fn budget<'a>(&'a self, own: Option<&'a RetryBudget>) -> Option<&'a RetryBudget> {
        own.or(self.budget.as_ref())
    }
}

impl RetryPolicy {
    /// Returns a builder with the defaults: 3 attempts, decorrelated jitter from 250 ms to 20 s, no
    /// attempt that begins later than 60 s after the first, and a budget of 10 % of the traffic
    /// with a reserve of 10.
    pub fn builder() -> RetryPolicyBuilder {
        RetryPolicyBuilder::new()
    }
}

impl<C> RetryPolicy<C> {
    /// Begins a call at `now`, which deposits its share into the budget.
    #[must_use]
    #[inline]
    pub fn start(&self, now: Instant) -> Attempts {
        self.begin(now, None)
    }

    /// Begins a call at `now` with `budget` in place of the policy's.
    #[must_use]
    pub fn start_paid_from(&self, budget: RetryBudget, now: Instant) -> Attempts {
        self.begin(now, Some(budget))
    }

    #[inline]
    fn begin(&self, now: Instant, own: Option<RetryBudget>) -> Attempts {
        if let Some(budget) = self.rules.budget(own.as_ref()) {
            budget.call_started(now);
        }
        Attempts::new(&self.rules, Some(Tick::of(now)), own)
    }

    /// Returns the outcome of `result`, by the classifier of the policy.
    pub fn classify<T, E>(&self, result: Result<&T, &E>) -> Outcome
    where
        C: Classify<T, E>,
    {
        self.classifier.classify(result)
    }

    /// Returns the outcome of `result` with its error, for events.
    #[cfg(feature = "tokio")]
    pub(super) fn ended<'e, T, E>(&self, result: Result<&T, &'e E>) -> Ended<'e>
    where
        C: Classify<T, E>,
    {
        let ended = Ended::new(self.classifier.classify(result), &self.classifier, result);
        let rejection = ended.error.and_then(Rejection::find);
        Ended { repeats: rejection.is_some_and(Rejection::may_have_run), ..ended }
    }

    /// Returns a policy that shares the settings, budget and listener, with another [`Classify`]
    /// type.
    #[must_use]
    pub fn with_classifier<D>(&self, classifier: D) -> RetryPolicy<D> {
        RetryPolicy { rules: self.rules.clone(), classifier }
    }

    /// Returns this policy with another budget, and without a seed, which profiles cannot set.
    #[cfg(feature = "profiles")]
    pub(crate) fn paid_from(&self, budget: RetryBudget) -> RetryPolicy<C>
    where
        C: Clone,
    {
        let RetryRules { name, listener, .. } = &*self.rules;
        let rules = RetryRules {
            name: name.clone(),
            listener: listener.clone(),
            seed: None,
            budget: Some(budget),
            met_unknown: AtomicBool::new(self.rules.met_unknown.load(Ordering::Relaxed)),
            ..*self.rules
        };
        RetryPolicy { rules: Arc::new(rules), classifier: self.classifier.clone() }
    }

    /// Returns the name that events carry.
    #[must_use]
    pub fn name(&self) -> &str {
        self.rules.name.as_str()
    }

    /// Returns the budget that pays for retries. `None` without a budget.
    #[must_use]
    pub fn budget(&self) -> Option<&RetryBudget> {
        self.rules.budget.as_ref()
    }

    /// Returns the maximum number of attempts of a call, including the first.
    #[must_use]
    pub fn max_attempts(&self) -> u32 {
        self.rules.max_attempts
    }
}

#[cfg(feature = "tower")]
impl<C> RetryPolicy<C> {
    /// Returns the input of a stack's plan.
    pub(crate) fn planned(&self) -> RetryInput {
        let rules = &self.rules;
        RetryInput {
            max_attempts: rules.max_attempts,
            shortest: self.waits(0.0, Duration::min),
            longest: self.waits(1.0, Duration::max),
            max_elapsed: rules.max_elapsed,
            attempt_time: rules.attempt_time,
            budget: rules.budget.as_ref().and_then(RetryBudget::planned),
            waits_when_not_ready: rules.wait_when_not_ready,
            retries_unknown: rules.retry_unknown,
        }
    }

    /// Returns the bytes of the policy and its budget, without its name and listener.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<RetryRules>() + self.budget().map_or(0, RetryBudget::heap_bytes)
    }

    /// Returns the waits before each further attempt, at `u` of their intervals, each from the
    /// backoff that `pick` chooses. Delays grow with those before them: the extreme of each is the
    /// extreme of all.
    fn waits(&self, u: f64, pick: impl Fn(Duration, Duration) -> Duration) -> Vec<Duration> {
        let mut step = Step::default();
        let retries = 1..self.rules.max_attempts;
        let wait = |_| {
            let mut usual_step = step;
            let mut throttled_step = step;
            let usual = self.rules.backoff.delay(&mut usual_step, u);
            let throttled = self.rules.throttled_backoff.delay(&mut throttled_step, u);
            let delay = pick(usual, throttled);
            step = if delay == usual { usual_step } else { throttled_step };
            delay
        };
        retries.map(wait).collect()
    }
}
