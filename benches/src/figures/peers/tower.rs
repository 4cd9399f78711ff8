//! tower's own layers.

use std::future::{Ready, ready};
use std::sync::Arc;
use std::time::Duration;

use tower::retry::budget::{Budget, TpsBudget};
use tower::retry::{Policy, RetryLayer};
use tower::{BoxError, Service, ServiceBuilder};

use super::{LIMIT, PER_SECOND, PERMITS};
use crate::figures::Answer;

/// A minimal retry policy, a number of attempts; tower has no policy of its own.
#[derive(Debug, Clone)]
pub(in crate::figures) struct Attempts {
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

/// A retry with tower's budget, used as its documentation describes.
#[derive(Debug, Clone)]
pub(in crate::figures) struct Budgeted {
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

pub(in crate::figures) fn retry() -> RetryLayer<Attempts> {
    RetryLayer::new(Attempts { left: 2 })
}

pub(in crate::figures) fn retry_budgeted() -> RetryLayer<Budgeted> {
    RetryLayer::new(Budgeted { attempts: Attempts { left: 2 }, budget: Arc::default() })
}

/// Load shedding, concurrency limit, retry, timeout.
pub(crate) fn four<S>(
    inner: S,
) -> impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + 'static
where
    S: Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + 'static,
{
    ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(PERMITS as usize)
        .layer(retry())
        .timeout(LIMIT)
        .service(inner)
}

/// Creates tower's layers with a rate limit, outside of the retry since it is not `Clone`.
pub(in crate::figures) fn five(
    inner: Answer,
) -> impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Send + 'static {
    ServiceBuilder::new()
        .load_shed()
        .concurrency_limit(PERMITS as usize)
        .rate_limit(PER_SECOND.get().into(), Duration::from_secs(1))
        .layer(retry())
        .timeout(LIMIT)
        .service(inner)
}
