//! Ours, by the same limits as the peers.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer, SlidingWindow};
use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::clock;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};
use resilience_core::outcome::AnyError;
use resilience_core::rate::{Quota, RateLimitLayer, RateLimiter};
use resilience_core::stack::Stack;
use tower::{BoxError, Layer, Service};

use super::keys::Keys;
use super::peers::{PER_SECOND, PERMITS};
use crate::cost::{Group, Subject};

/// What the benchmarks call: always ready, never failing.
pub(super) trait Inner:
    Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + Sync + 'static
{
}
impl<S> Inner for S where
    S: Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + Sync + 'static
{
}

pub(super) fn breakers(group: Group, inner: impl Inner) -> Result<Vec<Subject>, BoxError> {
    let by_count =
        CircuitBreaker::builder().failure_rate(0.5, SlidingWindow::count(100)).build()?;
    let by_time = CircuitBreaker::builder().build()?;
    let slow = Duration::from_secs(1);
    let slow = CircuitBreaker::builder()
        .slow_calls(slow, 0.5, SlidingWindow::time(Duration::from_secs(10)))
        .build()?;
    let open = CircuitBreaker::builder().build()?;
    open.force_open();
    let layer = |breaker| CircuitBreakerLayer::new(breaker).classifier(AnyError);
    let handle = by_time.clone();
    Ok(vec![
        Subject::function(group, "our handle, by time", move || {
            if let Ok(admitted) = handle.try_admit() {
                admitted.success();
            }
        })
        .ours(),
        Subject::service(group, "our layer, by time", layer(by_time).layer(inner.clone())).ours(),
        Subject::service(group, "our layer, by count", layer(by_count).layer(inner.clone())).ours(),
        Subject::service(group, "our layer, slow calls", layer(slow).layer(inner)).ours(),
        Subject::function(group, "our handle, open (a refusal)", move || {
            let _ = black_box(open.try_admit());
        })
        .ours(),
    ])
}

pub(super) fn bulkhead(group: Group, inner: impl Inner) -> Result<Subject, BoxError> {
    let layer = BulkheadLayer::new(permits()?);
    Ok(Subject::service(group, "our layer", layer.layer(inner)).ours())
}

pub(super) fn permit(group: Group) -> Result<Subject, BoxError> {
    let bulkhead = permits()?;
    Ok(Subject::function(group, "our Bulkhead::try_acquire", move || {
        drop(black_box(bulkhead.try_acquire(1)));
    })
    .ours())
}

fn permits() -> Result<Bulkhead, BoxError> {
    Ok(Bulkhead::builder().max_concurrent(PERMITS).build()?)
}

fn tokens() -> Result<RateLimiter, BoxError> {
    Ok(RateLimiter::builder().quota(Quota::per_second(PER_SECOND.get())).build()?)
}

pub(super) fn rate_limit(group: Group, inner: impl Inner) -> Result<Subject, BoxError> {
    Ok(Subject::service(group, "our layer", RateLimitLayer::new(tokens()?).layer(inner)).ours())
}

pub(super) fn token(group: Group) -> Result<[Subject; 2], BoxError> {
    let (limiter, timed) = (tokens()?, tokens()?);
    let now = clock::now();
    Ok([
        Subject::function(group, "our RateLimiter::check", move || {
            let _ = black_box(limiter.check(1));
        })
        .ours(),
        Subject::function(group, "our check_at, the time being known", move || {
            let _ = black_box(timed.check_at(now, 1));
        })
        .ours(),
    ])
}

pub(super) fn keyed_token(group: Group) -> Result<Subject, BoxError> {
    let limiter = tokens()?;
    let store: Keyed<Arc<str>, RateLimiter> =
        Keyed::new(KeyedLimits::default(), move |_| limiter.fresh());
    let keys = Keys::new();
    fill(&store, &keys);
    Ok(Subject::function(group, "our keyed limit", move || {
        let now = clock::now();
        let _ = black_box(store.with(keys.next(), now, |limiter| limiter.check_at(now, 1)));
    })
    .ours())
}

/// Looks every key up once: a lookup is of what is there.
fn fill<T: Entry>(store: &Keyed<Arc<str>, T>, keys: &Keys) {
    let now = clock::now();
    keys.iter().for_each(|key| store.with(key, now, |_| ()));
}

/// Something small that calls share.
#[derive(Clone)]
struct State(Arc<u64>);

impl Entry for State {}

pub(super) fn lookups(group: Group) -> [Subject; 2] {
    let store: Keyed<Arc<str>, State> = Keyed::new(KeyedLimits::default(), |_| State(Arc::new(0)));
    let (keys, other, now) = (Keys::new(), store.clone(), clock::now());
    fill(&store, &keys);
    let other_keys = keys.clone();
    [
        Subject::function(group, "our Keyed::with", move || {
            black_box(store.with(keys.next(), now, |state| *state.0));
        })
        .ours(),
        Subject::function(group, "our Keyed::get (with a clone)", move || {
            drop(black_box(other.get(other_keys.next(), now)));
        })
        .ours(),
    ]
}

/// Deadline, bulkhead, retry with a budget, rate limit, breaker, attempt timeout.
pub(super) fn stack(group: Group, inner: impl Inner) -> Result<Subject, BoxError> {
    let stack = Stack::builder()
        .name("bench")
        .classifier(AnyError)
        .deadline(Duration::from_secs(30))
        .bulkhead(permits()?)
        .retry(resilience_core::retry::RetryPolicy::builder())
        .rate_limit(RateLimiter::builder().quota(Quota::per_second(PER_SECOND.get())))
        .circuit_breaker(CircuitBreaker::builder())
        .attempt_timeout(Duration::from_secs(5))
        .build()?;
    Ok(Subject::service(group, "our six", stack.layer(inner)).ours())
}
