//! Retry policy: configuration and shared state.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
#[cfg(feature = "profiles")]
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::attempts::Attempts;
use super::backoff::Backoff;
use super::budget::RetryBudget;
use super::builder::RetryPolicyBuilder;
use crate::clock::tick::Tick;
#[cfg(feature = "tokio")]
use crate::ended::Ended;
use crate::name::Name;
use crate::observe::Listener;
use crate::outcome::{Classify, Outcome, Standard};
#[cfg(feature = "tokio")]
use crate::rejection::Rejection;

/// A retry policy: retryable outcomes, number of attempts, backoff, time limits and budget.
///
/// Clones share the budget, the listener and the sequence of seeds. `C` is the classifier.
///
/// The Tower layer and the plain functions only carry out what [`Attempts::decide`] returns, and so can a simulator:
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

/// All of a policy but its classifier.
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
    /// Returns `true` for a failure that another attempt may mend: one that may pass, or may be one that does.
    #[inline]
    pub(super) fn is_retryable(&self, outcome: Outcome) -> bool {
        outcome.failure().is_some() && (self.retry_unknown || outcome != Outcome::Unknown)
    }

    /// Where the retries of a call are paid from that may have an account of its own.
    #[inline]
    pub(super) fn budget<'a>(&'a self, own: Option<&'a RetryBudget>) -> Option<&'a RetryBudget> {
        own.or(self.budget.as_ref())
    }
}

impl RetryPolicy {
    /// Starts from the defaults: 3 attempts, decorrelated jitter from 250 ms to 20 s, no attempt
    /// begun later than 60 s after the first, and a budget of 10 % of the traffic with a reserve of
    /// 10.
    pub fn builder() -> RetryPolicyBuilder {
        RetryPolicyBuilder::new()
    }
}

impl<C> RetryPolicy<C> {
    /// A call begins at `now`: deposits its share into the budget.
    #[must_use]
    #[inline]
    pub fn start(&self, now: Instant) -> Attempts {
        self.begin(now, None)
    }

    /// A call begins at `now` whose retries are paid from this budget, and not from the policy's.
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

    /// How the attempt that ended in `result` ended, by the policy's classifier.
    pub fn classify<T, E>(&self, result: Result<&T, &E>) -> Outcome
    where
        C: Classify<T, E>,
    {
        self.classifier.classify(result)
    }

    /// Returns how the attempt that ended in `result` ended, with its error.
    #[cfg(feature = "tokio")]
    pub(super) fn ended<'e, T, E>(&self, result: Result<&T, &'e E>) -> Ended<'e>
    where
        C: Classify<T, E>,
    {
        let ended = Ended::new(self.classifier.classify(result), &self.classifier, result);
        let rejection = ended.error.and_then(Rejection::find);
        Ended { repeats: rejection.is_some_and(Rejection::may_have_run), ..ended }
    }

    /// The same rules, budget and listener, and outcomes read by another [`Classify`] type.
    #[must_use]
    pub fn with_classifier<D>(&self, classifier: D) -> RetryPolicy<D> {
        RetryPolicy { rules: self.rules.clone(), classifier }
    }

    /// Returns this policy with another budget. Without a seed, as no text of profiles has one.
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
