//! The handles on the parts of a stack, and their snapshot.

use std::time::Duration;

use crate::breaker::{CircuitBreaker, CircuitSnapshot};
use crate::bulkhead::{Bulkhead, BulkheadSnapshot};
use crate::clock;
use crate::keyed::Entry;
use crate::observe::Gauges;
use crate::plan_input::PlanInput;
use crate::rate::{RateLimiter, RateSnapshot};
use crate::retry::{RetryBudget, RetryPolicy};

/// Handles on the parts of a stack, and the limits of the parts that have none.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handles {
    pub(crate) deadline: Option<Duration>,
    pub(crate) bulkhead: Option<Bulkhead>,
    pub(crate) retry: Option<RetryPolicy>,
    pub(crate) rate_limit: Option<RateLimiter>,
    pub(crate) circuit_breaker: Option<CircuitBreaker>,
    pub(crate) attempt_timeout: Option<Duration>,
}

/// The state of a stack at one moment, for metrics. A field is `None` for a missing part, and for a
/// part that keeps one state for each key: the store of the part has these states.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct StackSnapshot {
    /// Permits in use, and waiting calls.
    pub bulkhead: Option<BulkheadSnapshot>,
    /// Tokens in the retry budget.
    pub budget: Option<f64>,
    /// Tokens and waiting calls of the rate limit.
    pub rate_limit: Option<RateSnapshot>,
    /// State and counts of the circuit breaker.
    pub circuit_breaker: Option<CircuitSnapshot>,
}

impl Handles {
    /// Returns these parts, and `models` for the parts that keep one state for each key.
    pub(crate) fn with_models(&self, models: &Handles) -> Handles {
        // See docs/decisions/0033-a-handle-shows-the-state-that-calls-use.md.
        Handles {
            bulkhead: self.bulkhead.clone().or_else(|| models.bulkhead.clone()),
            rate_limit: self.rate_limit.clone().or_else(|| models.rate_limit.clone()),
            circuit_breaker: self
                .circuit_breaker
                .clone()
                .or_else(|| models.circuit_breaker.clone()),
            ..self.clone()
        }
    }

    pub(crate) fn plan_input(&self) -> PlanInput {
        PlanInput {
            deadline: self.deadline,
            bulkhead: self.bulkhead.as_ref().map(Bulkhead::planned),
            retry: self.retry.as_ref().map(RetryPolicy::planned),
            rate: self.rate_limit.as_ref().map(|limiter| limiter.config().planned()),
            breaker: self.circuit_breaker.as_ref().map(|breaker| breaker.config().planned()),
            attempt_timeout: self.attempt_timeout,
        }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        let bulkhead = self.bulkhead.as_ref().map(Entry::heap_bytes);
        let rate = self.rate_limit.as_ref().map(Entry::heap_bytes);
        let breaker = self.circuit_breaker.as_ref().map(Entry::heap_bytes);
        let retry = self.retry.as_ref().map(RetryPolicy::heap_bytes);
        [bulkhead, rate, breaker, retry].into_iter().flatten().sum()
    }

    /// Visits the gauges of each part and of `budget`.
    pub(crate) fn gauges(
        &self,
        budget: Option<&RetryBudget>,
        visit: &mut dyn FnMut(&'static str, f64),
    ) {
        let parts: [Option<&dyn Gauges>; 4] = [
            self.bulkhead.as_ref().map(|it| it as _),
            budget.map(|it| it as _),
            self.rate_limit.as_ref().map(|it| it as _),
            self.circuit_breaker.as_ref().map(|it| it as _),
        ];
        parts.into_iter().flatten().for_each(|part| part.gauges(visit));
    }

    pub(crate) fn snapshot(&self) -> StackSnapshot {
        let budget = self.retry.as_ref().and_then(RetryPolicy::budget);
        StackSnapshot {
            bulkhead: self.bulkhead.as_ref().map(Bulkhead::snapshot),
            budget: budget.map(|budget| budget.available(clock::now())),
            rate_limit: self.rate_limit.as_ref().map(RateLimiter::snapshot),
            circuit_breaker: self.circuit_breaker.as_ref().map(CircuitBreaker::snapshot),
        }
    }
}
