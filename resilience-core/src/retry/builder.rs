//! Builder of a policy.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::backoff::Backoff;
use super::budget::RetryBudget;
use super::policy::{RetryPolicy, RetryRules};
use crate::config::{self, InvalidConfig, OrInvalid};
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::outcome::{Outcome, Standard};

/// A builder of a [`RetryPolicy`]. See [`RetryPolicy::builder`] for the defaults.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct RetryPolicyBuilder<C = Standard> {
    pub(crate) draft: Draft,
    classifier: C,
}

/// [`RetryRules`] before validation.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub(crate) name: Name,
    max_attempts: u32,
    backoff: Result<Backoff, InvalidConfig>,
    throttled_backoff: Option<Result<Backoff, InvalidConfig>>,
    max_elapsed: Option<Duration>,
    attempt_time: Duration,
    budget: Option<Result<RetryBudget, InvalidConfig>>,
    wait_when_not_ready: bool,
    retry_unknown: bool,
    wait_out_rejected_retry: bool,
    #[cfg(feature = "tokio")]
    seed: Option<u64>,
    pub(crate) listener: Listener,
}

impl RetryPolicyBuilder {
    pub(super) fn new() -> RetryPolicyBuilder {
        let cap = Duration::from_secs(20);
        let draft = Draft {
            name: Name::from_static("retry"),
            max_attempts: 3,
            backoff: Backoff::decorrelated_jitter(Duration::from_millis(250), cap),
            throttled_backoff: None,
            max_elapsed: Some(Duration::from_secs(60)),
            attempt_time: Duration::ZERO,
            budget: Some(Ok(RetryBudget::default())),
            wait_when_not_ready: false,
            retry_unknown: true,
            wait_out_rejected_retry: false,
            #[cfg(feature = "tokio")]
            seed: None,
            listener: Listener::default(),
        };
        RetryPolicyBuilder { draft, classifier: Standard }
    }
}

impl<C> RetryPolicyBuilder<C> {
    /// Sets the name in events.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.draft.name = name.into();
        self
    }

    /// Sets the maximum number of attempts of a call, including the first. From 1 to 1,000.
    pub fn max_attempts(mut self, attempts: u32) -> Self {
        self.draft.max_attempts = attempts;
        self
    }

    /// Sets the delays between attempts. Takes a [`Backoff`] or the result of making one;
    /// [`build`](Self::build) returns its error.
    pub fn backoff(mut self, backoff: impl OrInvalid<Backoff>) -> Self {
        self.draft.backoff = backoff.or_invalid();
        self
    }

    /// Sets other delays after throttled attempts.
    pub fn throttled_backoff(mut self, backoff: impl OrInvalid<Backoff>) -> Self {
        self.draft.throttled_backoff = Some(backoff.or_invalid());
        self
    }

    /// Limits the time from the first attempt to the beginning of the last. A longer hint of the
    /// server ends the call at once.
    pub fn max_elapsed(mut self, elapsed: Duration) -> Self {
        self.draft.max_elapsed = Some(elapsed);
        self
    }

    /// Removes the limit of [`max_elapsed`](Self::max_elapsed): waits are limited by the attempts,
    /// the backoff's cap and the caller's deadline; a hint of more than a year ends the call.
    pub fn unlimited_elapsed(mut self) -> Self {
        self.draft.max_elapsed = None;
        self
    }

    /// Sets the usual duration of an attempt: one that could not end before the deadline does not
    /// begin.
    pub fn attempt_time(mut self, usual: Duration) -> Self {
        self.draft.attempt_time = usual;
        self
    }

    /// Sets the budget that pays for retries. Give clones of one budget to everything that calls
    /// the same upstream. Also takes the result of making one.
    pub fn budget(mut self, budget: impl OrInvalid<RetryBudget>) -> Self {
        self.draft.budget = Some(budget.or_invalid());
        self
    }

    /// Removes the budget. For a single caller.
    pub fn without_budget(mut self) -> Self {
        self.draft.budget = None;
        self
    }

    /// Waits and retries when the service is [not ready](Outcome::NotReady) and gives a time that
    /// fits the deadline. Such a retry costs an attempt but no budget. By default *not ready* goes
    /// back to the caller.
    pub fn wait_when_not_ready(mut self) -> Self {
        self.draft.wait_when_not_ready = true;
        self
    }

    /// Does not retry a failure that no code recognised ([`Outcome::Unknown`]). Circuits and the
    /// budget still count it. By default it is retried as a transient failure is.
    pub fn without_unknown_retries(mut self) -> Self {
        self.draft.retry_unknown = false;
        self
    }

    /// Delays the result of a call by the wait of its retry if the budget rejects that retry. For
    /// polling loops, which would otherwise spin (AWS 2.1, long-polling operations).
    pub fn wait_out_rejected_retry(mut self) -> Self {
        self.draft.wait_out_rejected_retry = true;
        self
    }

    /// Makes the delays repeatable: the *n*-th call to fail draws from stream *n* of this seed.
    /// Without a seed, every draw is from the operating system's entropy.
    #[cfg(feature = "tokio")]
    pub fn seed(mut self, seed: u64) -> Self {
        self.draft.seed = Some(seed);
        self
    }

    /// Notifies this listener of retries.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.draft.listener = Listener::new(listener);
        self
    }

    /// Classifies results with a closure.
    ///
    /// Under the Tower layer, the outcome of a rejection is the rejection's own: an open circuit is
    /// not a transient failure, whatever the closure returns for errors. The one exception is an
    /// attempt that timed out ([`RejectionKind::TimedOut`](crate::RejectionKind::TimedOut)), as
    /// everywhere: the classifier can forbid its retry, by an outcome that is not a failure which
    /// may pass.
    pub fn classify<T, E, F>(self, classifier: F) -> RetryPolicyBuilder<F>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.classifier(classifier)
    }

    /// Classifies results with a [`Classify`](crate::Classify) type.
    pub fn classifier<D>(self, classifier: D) -> RetryPolicyBuilder<D> {
        RetryPolicyBuilder { draft: self.draft, classifier }
    }

    /// Builds the policy.
    ///
    /// # Errors
    /// Names the value that is out of its bounds.
    pub fn build(self) -> Result<RetryPolicy<C>, InvalidConfig> {
        let rules = Arc::new(self.draft.check()?);
        Ok(RetryPolicy { rules, classifier: self.classifier })
    }
}

impl Draft {
    fn check(self) -> Result<RetryRules, InvalidConfig> {
        config::number("max_attempts", f64::from(self.max_attempts), 1.0, 1_000.0)?;
        if let Some(elapsed) = self.max_elapsed {
            config::wait("max_elapsed", elapsed)?;
        }
        config::wait_or_none("attempt_time", self.attempt_time)?;
        let backoff = self.backoff.map_err(|error| in_backoff(&error))?;
        Ok(RetryRules {
            name: self.name,
            listener: self.listener,
            #[cfg(feature = "tokio")]
            seed: self.seed.map(super::seed::Seed::new),
            max_attempts: self.max_attempts,
            backoff,
            throttled_backoff: self.throttled_backoff.map_or(Ok(backoff), throttled)?,
            max_elapsed: self.max_elapsed,
            attempt_time: self.attempt_time,
            budget: self.budget.transpose()?,
            wait_when_not_ready: self.wait_when_not_ready,
            retry_unknown: self.retry_unknown,
            wait_out_rejected_retry: self.wait_out_rejected_retry,
            met_unknown: AtomicBool::new(false),
        })
    }
}

/// Returns the error of a backoff with the path of its field.
fn in_backoff(error: &InvalidConfig) -> InvalidConfig {
    let field = match error.field() {
        "base" => "backoff.base",
        "cap" => "backoff.cap",
        "factor" => "backoff.factor",
        "percent" => "backoff.percent",
        "wait" => "backoff.wait",
        _ => "backoff",
    };
    InvalidConfig::new(field, error.value(), error.bound())
}

fn throttled(backoff: Result<Backoff, InvalidConfig>) -> Result<Backoff, InvalidConfig> {
    backoff.map_err(|error| {
        let field = match error.field() {
            "base" => "throttled_backoff.base",
            "cap" => "throttled_backoff.cap",
            "factor" => "throttled_backoff.factor",
            "percent" => "throttled_backoff.percent",
            "wait" => "throttled_backoff.wait",
            _ => "throttled_backoff",
        };
        InvalidConfig::new(field, error.value(), error.bound())
    })
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn impossible_configurations_are_named() {
        let named = |builder: RetryPolicyBuilder| builder.build().unwrap_err().field();
        assert_eq!(named(RetryPolicy::builder().max_attempts(0)), "max_attempts");
        assert_eq!(named(RetryPolicy::builder().max_attempts(u32::MAX)), "max_attempts");
        assert_eq!(named(RetryPolicy::builder().max_elapsed(Duration::ZERO)), "max_elapsed");
        assert_eq!(named(RetryPolicy::builder().max_elapsed(Duration::MAX)), "max_elapsed");
        assert_eq!(named(RetryPolicy::builder().attempt_time(Duration::MAX)), "attempt_time");
        let bad = Backoff::full_jitter(Duration::from_secs(1), Duration::ZERO);
        assert_eq!(named(RetryPolicy::builder().backoff(bad.clone())), "backoff.cap");
        assert_eq!(named(RetryPolicy::builder().throttled_backoff(bad)), "throttled_backoff.cap");
    }
}
