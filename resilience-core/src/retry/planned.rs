//! A policy in numbers, for the plan of the stack that it is a part of.

use std::time::Duration;

use super::backoff::Step;
use super::builder::RetryPolicyBuilder;
use super::policy::RetryPolicy;
use crate::name::Name;
use crate::observe::Listener;
use crate::shape::Retrying;

impl<C> RetryPolicyBuilder<C> {
    /// Returns the name and the listener.
    pub(crate) fn identity(&mut self) -> (&mut Name, &mut Listener) {
        (&mut self.draft.name, &mut self.draft.listener)
    }
}

impl<C> RetryPolicy<C> {
    pub(crate) fn planned(&self) -> Retrying {
        let rules = &self.rules;
        Retrying {
            max_attempts: rules.max_attempts,
            shortest: self.waits(0.0, Duration::min),
            longest: self.waits(1.0, Duration::max),
            max_elapsed: rules.max_elapsed,
            attempt_time: rules.attempt_time,
            budget: rules.budget.as_ref().and_then(super::RetryBudget::planned),
            waits_when_not_ready: rules.wait_when_not_ready,
            retries_unknown: rules.retry_unknown,
        }
    }

    /// Returns the bytes of the policy and its budget, without its name and listener.
    pub(crate) fn heap_bytes(&self) -> usize {
        size_of::<super::policy::RetryRules>()
            + self.budget().map_or(0, super::RetryBudget::heap_bytes)
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
