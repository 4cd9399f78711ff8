//! The parts of a profile that are in force, and their replacement by a reload.

use std::sync::Arc;
use std::time::Instant;

use super::error::ProfilesError;
use super::spec::Spec;
use crate::breaker::CircuitConfig;
use crate::bulkhead::BulkheadConfig;
use crate::config::InvalidConfig;
use crate::name::Name;
use crate::observe::Listener;
use crate::rate::RateConfig;
use crate::retry::{RetryBudget, RetryPolicy};
use crate::stack::{Handles, Plan};
use crate::timeout::{DeadlineLayer, TimeoutLayer};

/// The parts of a valid profile.
#[derive(Debug, Clone)]
pub(super) struct Parts {
    pub(super) deadline: DeadlineLayer,
    pub(super) attempt_timeout: Option<TimeoutLayer>,
    /// A policy of one attempt where the text has no retry, so that every profile is always ready.
    pub(super) retry: RetryPolicy,
    pub(super) handles: Handles,
    /// The parts of an earlier text that the current text lacks. A later text that has a part again
    /// uses it again, so that handles stay valid.
    pub(super) parked: Option<Arc<Handles>>,
    /// The budget for retries that takes the place of the policy's.
    pub(super) own_budget: Option<RetryBudget>,
    /// The key, if the parts were made for one.
    pub(super) key: Option<Name>,
    pub(super) plan: Arc<Plan>,
}

/// The parts of a valid profile, and the settings to be applied to those parts that are in use
/// already.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) parts: Parts,
    bulkhead: Option<BulkheadConfig>,
    rate: Option<RateConfig>,
    breaker: Option<CircuitConfig>,
}

impl Draft {
    /// Builds the parts. `former` is in force under this name: parts that are in both keep their
    /// state.
    pub(super) fn new(
        spec: &Spec,
        former: Option<&Parts>,
        listener: &Listener,
        now: Instant,
    ) -> Result<Draft, ProfilesError> {
        let name = |part: &str| Name::from(format!("{}.{part}", spec.name));
        let listener = || listener.clone();
        let rejected = |part: &'static str| move |error: InvalidConfig| spec.rejected(part, &error);
        let old = former.map(|parts| &parts.handles);

        let deadline = DeadlineLayer::new(spec.deadline).map_err(rejected("deadline"))?;
        let deadline = deadline.name(name("deadline")).listen(listener());
        let attempt_timeout = spec.attempt_timeout.map(TimeoutLayer::new).transpose();
        let attempt_timeout = attempt_timeout.map_err(rejected("attempt_timeout"))?;
        let attempt_timeout =
            attempt_timeout.map(|layer| layer.name(name("attempt_timeout")).listen(listener()));

        let bulkhead = spec.bulkhead.clone();
        let bulkhead = bulkhead.map(|it| it.name(name("bulkhead")).listen(listener()));
        let (bulkhead, bulkhead_config) =
            made(bulkhead, |it| it.config(), |it| it.build()).map_err(rejected("bulkhead"))?;
        let rate = spec.rate_limit.clone().map(|it| it.name(name("rate_limit")).listen(listener()));
        let (rate, rate_config) =
            made(rate, |it| it.config(), |it| it.build()).map_err(rejected("rate_limit"))?;
        let breaker = spec.circuit_breaker.clone();
        let breaker = breaker.map(|it| it.name(name("circuit_breaker")).listen(listener()));
        let (breaker, breaker_config) = made(breaker, |it| it.config(), |it| it.build())
            .map_err(rejected("circuit_breaker"))?;

        let retry = match &spec.retry {
            Some((policy, budget)) => {
                let budget = budget.map(|budget| budget.build()).transpose();
                let budget = budget.map_err(rejected("retry.budget"))?;
                let old = old.and_then(|old| old.retry.as_ref()).and_then(RetryPolicy::budget);
                let budget = budget.map(|budget| budget_in_place_of(old, budget, now));
                let policy = policy.clone().name(name("retry")).listen(listener());
                let policy = budget.into_iter().fold(policy, |policy, it| policy.budget(it));
                Some(policy.build().map_err(rejected("retry"))?)
            }
            None => None,
        };

        // Planned before any part is exchanged for one in use, which has the former settings.
        let handles = Handles {
            deadline: Some(spec.deadline),
            bulkhead,
            retry: retry.clone(),
            rate_limit: rate,
            circuit_breaker: breaker,
            attempt_timeout: spec.attempt_timeout,
        };
        let plan = handles.plan_input().plan(handles.heap_bytes()).map_err(rejected(""))?;
        let handles = former.map_or(handles.clone(), |former| former.keep(handles));
        let once = || RetryPolicy::builder().max_attempts(1).without_budget().unlimited_elapsed();
        let retry = retry.map_or_else(|| once().build(), Ok).map_err(rejected("retry"))?;
        let parts = Parts {
            deadline,
            attempt_timeout,
            retry,
            parked: former.and_then(|former| former.parked_beside(&handles)),
            handles,
            own_budget: None,
            key: None,
            plan: Arc::new(plan),
        };
        Ok(Draft { parts, bulkhead: bulkhead_config, rate: rate_config, breaker: breaker_config })
    }

    /// Applies the settings to the parts that stay. Cannot fail, and may wake calls.
    pub(super) fn enforce(self) -> Parts {
        self.parts.forget_parked();
        let handles = &self.parts.handles;
        if let (Some(bulkhead), Some(config)) = (&handles.bulkhead, self.bulkhead) {
            bulkhead.set_config(config);
        }
        if let (Some(limiter), Some(config)) = (&handles.rate_limit, self.rate) {
            limiter.set_config(config);
        }
        if let (Some(breaker), Some(config)) = (&handles.circuit_breaker, self.breaker) {
            breaker.set_config(config);
        }
        self.parts
    }
}

/// Builds a part and its settings.
fn made<B: Clone, P, C>(
    builder: Option<B>,
    config: impl FnOnce(B) -> Result<C, InvalidConfig>,
    build: impl FnOnce(B) -> Result<P, InvalidConfig>,
) -> Result<(Option<P>, Option<C>), InvalidConfig> {
    let Some(builder) = builder else { return Ok((None, None)) };
    let config = config(builder.clone())?;
    Ok((Some(build(builder)?), Some(config)))
}

impl Parts {
    /// Returns the budget that calls pay from.
    pub(super) fn budget(&self) -> Option<&RetryBudget> {
        let of_policy = || self.handles.retry.as_ref().and_then(RetryPolicy::budget);
        self.own_budget.as_ref().or_else(of_policy)
    }

    /// Returns the part that calls use, or used before a reload took it out of the text.
    fn known<T: Clone>(&self, part: impl Fn(&Handles) -> &Option<T>) -> Option<T> {
        let parked = self.parked.as_deref().and_then(|parked| part(parked).as_ref());
        part(&self.handles).as_ref().or(parked).cloned()
    }

    /// Returns `new`, with the parts that are known in place of new ones.
    pub(super) fn keep(&self, new: Handles) -> Handles {
        Handles {
            bulkhead: new.bulkhead.map(|new| self.known(|it| &it.bulkhead).unwrap_or(new)),
            rate_limit: new.rate_limit.map(|new| self.known(|it| &it.rate_limit).unwrap_or(new)),
            circuit_breaker: new
                .circuit_breaker
                .map(|new| self.known(|it| &it.circuit_breaker).unwrap_or(new)),
            ..new
        }
    }

    /// Returns the parts that are known and not in `now`.
    pub(super) fn parked_beside(&self, now: &Handles) -> Option<Arc<Handles>> {
        let parked = Handles {
            bulkhead: self.known(|it| &it.bulkhead).filter(|_| now.bulkhead.is_none()),
            rate_limit: self.known(|it| &it.rate_limit).filter(|_| now.rate_limit.is_none()),
            circuit_breaker: self
                .known(|it| &it.circuit_breaker)
                .filter(|_| now.circuit_breaker.is_none()),
            ..Handles::default()
        };
        let Handles { bulkhead, rate_limit, circuit_breaker, .. } = &parked;
        let any = bulkhead.is_some() || rate_limit.is_some() || circuit_breaker.is_some();
        any.then(|| Arc::new(parked))
    }

    /// Closes the circuit breaker that the text no longer has. May notify its listener.
    pub(super) fn forget_parked(&self) {
        if let Some(breaker) =
            self.parked.as_ref().and_then(|parked| parked.circuit_breaker.as_ref())
        {
            breaker.reset();
        }
    }
}

/// Returns the former budget if its settings are the same, or else the new budget with no more
/// tokens than the former has left.
pub(super) fn budget_in_place_of(
    former: Option<&RetryBudget>,
    new: RetryBudget,
    now: Instant,
) -> RetryBudget {
    match former {
        Some(former) if former.planned() == new.planned() => former.clone(),
        Some(former) => {
            new.succeed(former, now);
            new
        }
        None => new,
    }
}
