//! Futures of layers are `Send`, `Sync` and `'static` as the service below is, and small, since
//! futures are moved.

use std::io;

use resilience_core::retry::{Retry, RetryBudget, RetryLayer, RetryPolicy, retry};
use resilience_core::testing::Ready;
use resilience_core::timeout::{DeadlineLayer, DeadlineService, Timeout, TimeoutLayer, within};
use resilience_core::{Deadline, Error, InvalidConfig, Outcome, Rejection};
use tower::{BoxError, Layer, Service};

use crate::every::{Numbers, Stacked, StackedPerKey};
use resilience_core::admission::Admission;
use resilience_core::breaker::{self, CircuitBreaker, CircuitBreakerLayer, CircuitBreakerService};
use resilience_core::bulkhead::{self, Bulkhead, BulkheadLayer};
use resilience_core::keyed::Keyed;
use resilience_core::pool::{
    CheckoutFuture, CheckoutLayer, LeastLoaded, Lifetime, PoolSnapshot, Pooled, ResilientManager,
    ResilientPool,
};
use resilience_core::profiles::Profiles;
use resilience_core::rate::{self, RateLimitLayer, RateLimiter};
use resilience_core::shutdown::{Reached, ShutdownLayer, ShutdownToken};

type Inner = Ready<BoxError>;

fn shared<T: Send + Sync + Unpin + 'static>() {}
fn movable<T: Send + 'static>() {}

type FutureOf<S> = <S as Service<u64>>::Future;
type Stack = <Stacked as Layer<Inner>>::Service;
type StackPerKey = <StackedPerKey as Layer<Inner>>::Service;
type Bulkheaded = <BulkheadLayer as Layer<Inner>>::Service;
type Limited = <RateLimitLayer as Layer<Inner>>::Service;
type Counted = <ShutdownLayer as Layer<Inner>>::Service;
type Broken = CircuitBreakerService<Inner>;

#[test]
fn everything_public_is_send_and_sync() {
    shared::<RetryBudget>();
    shared::<RetryPolicy>();
    shared::<RetryLayer>();
    shared::<TimeoutLayer>();
    shared::<DeadlineLayer>();
    shared::<Stack>();
    shared::<(Deadline, Outcome, Rejection, InvalidConfig, Error<io::Error>)>();
    shared::<(Bulkhead, bulkhead::BulkheadConfig, bulkhead::BulkheadPermit, BulkheadLayer)>();
    shared::<(CircuitBreaker, breaker::CircuitConfig, breaker::Admitted, CircuitBreakerLayer)>();
    shared::<(RateLimiter, rate::RateConfig, rate::RatePermit, RateLimitLayer)>();
    shared::<(Keyed<u64, Bulkhead>, Keyed<u64, RateLimiter>, Keyed<u64, CircuitBreaker>)>();
    shared::<(Stacked, StackedPerKey, StackPerKey, Profiles, Admission<Inner, ()>)>();
    shared::<(Bulkheaded, Limited, Broken)>();
    movable::<(bulkhead::Acquire, rate::Acquire, rate::Reservation)>();
    movable::<(FutureOf<Bulkheaded>, FutureOf<Limited>, FutureOf<Broken>)>();
    movable::<(FutureOf<Stack>, FutureOf<StackPerKey>)>();
    shared::<(ResilientPool<Numbers>, Pooled<Numbers>, ResilientManager<Numbers>)>();
    shared::<(CheckoutLayer<Numbers>, LeastLoaded<Inner>, Lifetime, PoolSnapshot)>();
    movable::<CheckoutFuture<u64, BoxError>>();
    shared::<(ShutdownToken, ShutdownLayer, Counted)>();
    movable::<(FutureOf<Counted>, Reached)>();
    movable::<FutureOf<Retry<Inner>>>();
    movable::<FutureOf<Timeout<Inner>>>();

    fn is_movable(_: &(impl Send + 'static)) {}
    let policy: &'static RetryPolicy =
        Box::leak(Box::new(RetryPolicy::builder().build().expect("the defaults")));
    let made = ResilientPool::builder(ResilientManager::builder(Numbers).build()).build();
    let pool: &'static ResilientPool<Numbers> = Box::leak(Box::new(made.expect("the defaults")));
    is_movable(&pool.get());
    is_movable(&pool.maintenance());
    is_movable(&retry(policy, || async { Ok::<_, io::Error>(()) }));
    is_movable(&within(Deadline::at(resilience_core::clock::now()), async {}));
}

/// Ceilings in bytes, above an inner future of 32. Lower them when a change allows it.
#[test]
fn futures_are_small() {
    let sizes = [
        ("inner", size_of::<FutureOf<Inner>>(), 32),
        ("timeout", size_of::<FutureOf<Timeout<Inner>>>(), 224),
        ("deadline", size_of::<FutureOf<DeadlineService<Inner>>>(), 256),
        ("retry", size_of::<FutureOf<Retry<Inner>>>(), 256),
        ("bulkhead", size_of::<FutureOf<Bulkheaded>>(), 144),
        ("rate", size_of::<FutureOf<Limited>>(), 184),
        ("breaker", size_of::<FutureOf<Broken>>(), 136),
        ("shutdown", size_of::<FutureOf<Counted>>(), 112),
        ("stack", size_of::<FutureOf<Stack>>(), 384),
        ("stack per key", size_of::<FutureOf<StackPerKey>>(), 432),
    ];
    for (name, size, ceiling) in sizes {
        println!("{name}: {size}");
        assert!(size <= ceiling, "{name}: {size} bytes, more than {ceiling}");
    }
}
