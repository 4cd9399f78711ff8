//! The peers' admission, set up as their documentation does it, with limits that are never reached.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use failsafe::CircuitBreaker as _;
use governor::clock::MonotonicClock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use recloser::Recloser;
use tokio::sync::Semaphore;
use tower::limit::ConcurrencyLimitLayer;
use tower::{BoxError, Layer, Service};
use tower_resilience_bulkhead::BulkheadLayer;
use tower_resilience_circuitbreaker::{CircuitBreakerLayer, SlidingWindowType};
use tower_resilience_ratelimiter::RateLimiterLayer;

use super::keys::Keys;
use crate::cost::{Group, Subject};

/// So many at once are never reached.
pub(super) const PERMITS: u32 = 1_000;

/// So many a second are never reached, and governor's cell is one nanosecond long.
pub(super) const PER_SECOND: NonZeroU32 = NonZeroU32::new(1_000_000_000).unwrap();

pub(super) fn breakers<S>(group: Group, inner: S) -> Result<Vec<Subject>, BoxError>
where
    S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let by_count = CircuitBreakerLayer::builder().build()?;
    let by_time = CircuitBreakerLayer::builder()
        .sliding_window_type(SlidingWindowType::TimeBased)
        .sliding_window_duration(Duration::from_millis(100))
        .build()?;
    let failsafe = failsafe::Config::new().build();
    let recloser = Arc::new(Recloser::custom().build());
    Ok(vec![
        Subject::service(group, "tower-resilience, by count", boxed(by_count.layer(inner.clone()))),
        Subject::service(group, "tower-resilience, by time", boxed(by_time.layer(inner))),
        Subject::function(group, "failsafe (no async)", move || {
            let _ = failsafe.call(|| Ok::<_, ()>(()));
        }),
        Subject::function(group, "recloser (no async)", move || {
            let _ = recloser.call(|| Ok::<_, ()>(()));
        }),
    ])
}

pub(super) fn bulkheads<S>(group: Group, inner: S) -> Result<Vec<Subject>, BoxError>
where
    S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let permits = PERMITS as usize;
    let theirs = BulkheadLayer::builder().max_concurrent_calls(permits).build()?;
    Ok(vec![
        Subject::service(
            group,
            "tower ConcurrencyLimit",
            ConcurrencyLimitLayer::new(permits).layer(inner.clone()),
        ),
        Subject::service(group, "tower-resilience", boxed(theirs.layer(inner))),
    ])
}

pub(super) fn semaphore(group: Group) -> Subject {
    let semaphore = Arc::new(Semaphore::new(PERMITS as usize));
    Subject::function(group, "tokio Semaphore::try_acquire", move || {
        drop(std::hint::black_box(semaphore.try_acquire()));
    })
}

/// tower's own is not `Clone`, cannot be shared, and has no row.
pub(super) fn rate_limits<S>(group: Group, inner: S) -> Result<Vec<Subject>, BoxError>
where
    S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let limit = PER_SECOND.get() as usize;
    let theirs = RateLimiterLayer::builder()
        .limit_for_period(limit)
        .refresh_period(Duration::from_secs(1))
        .build()?;
    Ok(vec![Subject::service(group, "tower-resilience, fixed window", boxed(theirs.layer(inner)))])
}

/// governor on its own clock (the processor's counter), and on the one that everybody else reads.
pub(super) fn governor(group: Group) -> [Subject; 2] {
    let quanta = Arc::new(RateLimiter::direct(Quota::per_second(PER_SECOND)));
    let monotonic: Arc<RateLimiter<NotKeyed, InMemoryState, MonotonicClock, NoOpMiddleware<_>>> =
        Arc::new(RateLimiter::direct_with_clock(Quota::per_second(PER_SECOND), MonotonicClock));
    [
        Subject::function(group, "governor, quanta clock", move || check(quanta.check())),
        Subject::function(group, "governor, Instant clock", move || check(monotonic.check())),
    ]
}

fn check<T>(decision: Result<(), T>) {
    let _ = std::hint::black_box(decision);
}

pub(super) fn governor_keyed(group: Group) -> Subject {
    let limiter = Arc::new(RateLimiter::keyed(Quota::per_second(PER_SECOND)));
    let keys = Keys::new();
    Subject::function(group, "governor keyed, dashmap", move || {
        check(limiter.check_key(keys.next()));
    })
}

/// A service whose errors are boxed again.
fn boxed<S>(service: S) -> tower::util::MapErr<S, fn(S::Error) -> BoxError>
where
    S: Service<u64>,
    S::Error: std::fmt::Display,
{
    tower::ServiceExt::map_err(service, |error| error.to_string().into())
}
