//! The peers' layers, set up as their documentation does it and to the same three attempts.

use std::future::{Ready, ready};
use std::sync::Arc;

use tower::BoxError;
use tower::retry::budget::{Budget, TpsBudget};
use tower::retry::{Policy, RetryLayer};
use tower_resilience_retry::{
    RetryBudget, RetryBudgetBuilder, RetryBudgetConfigError, RetryLayer as ResilienceRetryLayer,
};

/// tower leaves the policy to its users: this is the least there can be, a number of attempts.
#[derive(Debug, Clone)]
pub(super) struct Attempts {
    left: u32,
}

impl Policy<u64, u64, BoxError> for Attempts {
    type Future = Ready<()>;

    fn retry(&mut self, _: &mut u64, result: &mut Result<u64, BoxError>) -> Option<Ready<()>> {
        (result.is_err() && self.left > 0).then(|| {
            self.left -= 1;
            ready(())
        })
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

/// The same, with tower's budget asked and told as its documentation asks and tells it.
#[derive(Debug, Clone)]
pub(super) struct Budgeted {
    attempts: Attempts,
    budget: Arc<TpsBudget>,
}

impl Policy<u64, u64, BoxError> for Budgeted {
    type Future = Ready<()>;

    fn retry(
        &mut self,
        request: &mut u64,
        result: &mut Result<u64, BoxError>,
    ) -> Option<Ready<()>> {
        if result.is_ok() {
            self.budget.deposit();
            return None;
        }
        let retry = self.attempts.retry(request, result)?;
        self.budget.withdraw().then_some(retry)
    }

    fn clone_request(&mut self, request: &u64) -> Option<u64> {
        Some(*request)
    }
}

pub(super) fn tower_retry() -> RetryLayer<Attempts> {
    RetryLayer::new(Attempts { left: 2 })
}

pub(super) fn tower_retry_budgeted() -> RetryLayer<Budgeted> {
    RetryLayer::new(Budgeted { attempts: Attempts { left: 2 }, budget: Arc::default() })
}

pub(super) fn tower_resilience(
    budget: Option<Arc<dyn RetryBudget>>,
) -> ResilienceRetryLayer<u64, u64, BoxError> {
    let builder = ResilienceRetryLayer::builder().max_attempts(3);
    match budget {
        Some(budget) => builder.budget(budget).build(),
        None => builder.build(),
    }
}

pub(super) fn tower_resilience_budget() -> Result<Arc<dyn RetryBudget>, RetryBudgetConfigError> {
    RetryBudgetBuilder::new().token_bucket().build()
}
