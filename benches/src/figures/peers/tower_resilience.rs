//! tower-resilience: every layer has an error type of its own, which is boxed here before the next.

use std::sync::Arc;
use std::time::Duration;

use tower::util::MapErr;
use tower::{BoxError, Layer, Service, ServiceExt};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};
use tower_resilience_ratelimiter::RateLimiterLayer;
use tower_resilience_retry::{RetryBudget, RetryBudgetBuilder, RetryBudgetConfigError, RetryLayer};
use tower_resilience_timelimiter::TimeLimiterLayer;

use super::{LIMIT, PER_SECOND, PERMITS};
use crate::figures::Answer;

/// A service that can be wrapped again, and called.
pub(in crate::figures) trait Layered:
    Service<u64, Response = u64, Error = BoxError, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}
impl<S> Layered for S where
    S: Service<u64, Response = u64, Error = BoxError, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}

pub(in crate::figures) fn bulkhead(inner: impl Layered) -> Result<impl Layered, BoxError> {
    let layer = BulkheadLayer::builder().max_concurrent_calls(PERMITS as usize).build()?;
    Ok(boxed(layer.layer(inner)))
}

pub(in crate::figures) fn rate_limit(inner: impl Layered) -> Result<impl Layered, BoxError> {
    let layer = RateLimiterLayer::builder()
        .limit_for_period(PER_SECOND.get() as usize)
        .refresh_period(Duration::from_secs(1))
        .build()?;
    Ok(boxed(layer.layer(inner)))
}

/// Creates circuit breakers over a count window and a time window.
pub(in crate::figures) fn breakers(inner: Answer) -> Result<[impl Layered; 2], BoxError> {
    let time = CircuitBreakerLayer::builder()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(Duration::from_millis(100))
        .build()?;
    Ok([boxed(CircuitBreakerLayer::builder().build()?.layer(inner)), boxed(time.layer(inner))])
}

pub(in crate::figures) fn time_limit(inner: impl Layered) -> impl Layered {
    boxed(TimeLimiterLayer::builder().timeout_duration(LIMIT).build().layer(inner))
}

pub(in crate::figures) fn retry(
    budget: Option<Arc<dyn RetryBudget>>,
) -> RetryLayer<u64, u64, BoxError> {
    let builder = RetryLayer::builder().max_attempts(3);
    match budget {
        Some(budget) => builder.budget(budget).build(),
        None => builder.build(),
    }
}

pub(in crate::figures) fn bucket() -> Result<Arc<dyn RetryBudget>, RetryBudgetConfigError> {
    RetryBudgetBuilder::new().token_bucket().build()
}

/// Bulkhead, retry with a budget, rate limit, breaker, time limit.
pub(in crate::figures) fn five(inner: Answer) -> Result<impl Layered, BoxError> {
    let breaker = CircuitBreakerLayer::builder().build()?;
    let admitted = boxed(breaker.layer(time_limit(inner)));
    bulkhead(retry(Some(bucket()?)).layer(rate_limit(admitted)?))
}

/// Boxes the errors of a service again.
fn boxed<S>(service: S) -> MapErr<S, fn(S::Error) -> BoxError>
where
    S: Service<u64>,
    S::Error: std::fmt::Display,
{
    service.map_err(|error| error.to_string().into())
}
