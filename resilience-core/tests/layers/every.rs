//! Every layer, and the standard order of them. A layer that is added here runs through every
//! suite over all layers.

use std::io;
use std::time::Duration;

use deadpool::managed::{Manager, Metrics, RecycleResult};
use resilience_core::Standard;
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer};
use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::clock;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};
use resilience_core::pool::{CheckoutLayer, Pooled, ResilientManager, ResilientPool};
use resilience_core::rate::{Quota, RateLimitLayer, RateLimiter};
use resilience_core::retry::{
    Backoff, BudgetPerKey, CloneRequest, RetryBudget, RetryLayer, RetryPolicy,
};
use resilience_core::select::PerKey;
use resilience_core::shutdown::{Shutdown, ShutdownLayer, ShutdownToken};
use resilience_core::stack::{KeyedPart, RetryWith, SharedPart, Stack, StackBuilder};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service, ServiceExt};

/// Requests are numbers, so that a script can distinguish calls.
pub(crate) type Boxed = BoxCloneSyncService<u64, u64, BoxError>;

pub(crate) const LAYERS: [&str; 14] = [
    "timeout",
    "deadline",
    "retry",
    "retry, budgets per key",
    "breaker",
    "breaker per key",
    "bulkhead",
    "bulkhead per key",
    "rate",
    "rate per key",
    "stack",
    "stack per key",
    "shutdown",
    "checkout",
];

/// Those that wait in the call and therefore reserve nothing when they become ready (R4): all that
/// do not hand readiness through.
pub(crate) const LATE_BINDING: [&str; 12] = {
    let [_, _, late @ ..] = LAYERS;
    late
};

pub(crate) fn has_retry(name: &str) -> bool {
    name.starts_with("retry") || name.starts_with("stack")
}

/// A budget in which nothing expires while a test runs.
pub(crate) fn budget() -> RetryBudget {
    let day = Duration::from_secs(24 * 60 * 60);
    RetryBudget::builder().ratio(0.1).reserve(RESERVE).window(day).build().unwrap()
}

pub(crate) const RESERVE: u32 = 20;

pub(crate) fn policy(budget: &RetryBudget) -> RetryPolicy {
    RetryPolicy::builder()
        .max_attempts(3)
        .backoff(Backoff::decorrelated_jitter(Duration::from_millis(10), Duration::from_secs(1)))
        .budget(budget.clone())
        .seed(7)
        .build()
        .unwrap()
}

/// Numbers of calls that no test gets to by accident, and a bucket in which nothing comes back
/// while one runs: what is there is what was not taken.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) permits: u32,
    pub(crate) min_gap: Duration,
    /// Also how many probes pass at once.
    pub(crate) failures: u32,
}

pub(crate) const WIDE: Limits = Limits { permits: 8, min_gap: Duration::ZERO, failures: 50 };

/// Calls wait for a permit and for a token behind a single other.
pub(crate) const TIGHT: Limits =
    Limits { permits: 1, min_gap: Duration::from_millis(3), failures: 9 };

pub(crate) const BREAK: Duration = Duration::from_millis(20);

pub(crate) fn bulkhead(limits: Limits) -> Bulkhead {
    Bulkhead::builder().max_concurrent(limits.permits).wait().build().unwrap()
}

pub(crate) fn limiter(limits: Limits) -> RateLimiter {
    let year = Duration::from_secs(365 * 24 * 60 * 60);
    let quota = Quota::per(10_000, year);
    RateLimiter::builder().quota(quota).wait().min_gap(limits.min_gap).build().unwrap()
}

pub(crate) fn breaker(limits: Limits) -> CircuitBreaker {
    CircuitBreaker::builder()
        .consecutive_failures(limits.failures)
        .break_for(BREAK)
        .break_jitter(0.0)
        .probes(limits.failures)
        .build()
        .unwrap()
}

pub(crate) fn shard(request: &u64) -> u64 {
    request % 2
}

pub(crate) type Shard = fn(&u64) -> u64;
type Each<T> = PerKey<u64, T, Shard>;

/// The whole stack, not built yet.
pub(crate) type Whole = StackBuilder<
    Standard,
    SharedPart<DeadlineLayer>,
    SharedPart<Bulkhead>,
    RetryWith,
    SharedPart<RateLimiter>,
    SharedPart<CircuitBreaker>,
    SharedPart<TimeoutLayer>,
>;

pub(crate) fn whole(budget: &RetryBudget, limits: Limits) -> Whole {
    Stack::builder()
        .deadline(Duration::from_secs(10))
        .bulkhead(bulkhead(limits))
        .retry(policy(budget))
        .rate_limit(limiter(limits))
        .circuit_breaker(breaker(limits))
        .attempt_timeout(Duration::from_secs(1))
}

pub(crate) type WholePerKey = StackBuilder<
    Standard,
    SharedPart<DeadlineLayer>,
    KeyedPart<Bulkhead, Shard, u64>,
    RetryWith,
    KeyedPart<RateLimiter, Shard, u64>,
    KeyedPart<CircuitBreaker, Shard, u64>,
    SharedPart<TimeoutLayer>,
>;

pub(crate) fn whole_per_key(budget: &RetryBudget, limits: Limits) -> WholePerKey {
    let keys = KeyedLimits::default();
    whole(budget, limits)
        .bulkhead_per_key(bulkhead(limits), keys, shard as Shard)
        .rate_limit_per_key(limiter(limits), keys, shard as Shard)
        .circuit_breaker_per_key(breaker(limits), keys, shard as Shard)
}

pub(crate) type Stacked = Stack<
    DeadlineLayer,
    BulkheadLayer,
    RetryLayer,
    RateLimitLayer<Standard>,
    CircuitBreakerLayer,
    TimeoutLayer,
>;
pub(crate) type StackedPerKey = Stack<
    DeadlineLayer,
    BulkheadLayer<Each<Bulkhead>>,
    RetryLayer,
    RateLimitLayer<Standard, Each<RateLimiter>>,
    CircuitBreakerLayer<Standard, Each<CircuitBreaker>>,
    TimeoutLayer,
>;

enum Made {
    Timeout(TimeoutLayer),
    Deadline(DeadlineLayer),
    Retry(RetryLayer),
    RetryPerKey(RetryLayer<Standard, CloneRequest, BudgetPerKey<u64, Shard>>),
    Breaker(CircuitBreakerLayer, CircuitBreaker),
    BreakerPerKey(CircuitBreakerLayer<Standard, Each<CircuitBreaker>>),
    Bulkhead(BulkheadLayer, Bulkhead),
    BulkheadPerKey(BulkheadLayer<Each<Bulkhead>>),
    Rate(RateLimitLayer, RateLimiter),
    RatePerKey(RateLimitLayer<Standard, Each<RateLimiter>>),
    Stack(Box<Stacked>),
    StackPerKey(Box<StackedPerKey>),
    Shutdown(ShutdownLayer, ShutdownToken),
    Checkout(CheckoutLayer<Numbers>),
}

/// Makes numbers.
#[derive(Debug)]
pub(crate) struct Numbers;

impl Manager for Numbers {
    type Type = u64;
    type Error = io::Error;

    async fn create(&self) -> Result<u64, io::Error> {
        Ok(1)
    }

    async fn recycle(&self, _: &mut u64, _: &Metrics) -> RecycleResult<io::Error> {
        Ok(())
    }
}

fn checkout(limits: Limits) -> CheckoutLayer<Numbers> {
    let pool = ResilientPool::builder(ResilientManager::builder(Numbers).build());
    CheckoutLayer::new(pool.max_size(limits.permits).wait().build().unwrap())
}

/// A layer value, and the observable state of it; for a state for each key, that of the odd
/// requests.
pub(crate) struct Rig {
    budget: RetryBudget,
    made: Made,
}

const KEY: u64 = 1;

fn of_key<T: Entry>(store: &Keyed<u64, T>) -> T {
    store.get(&KEY, clock::now())
}

fn is_pinned<T: Entry>(store: &Keyed<u64, T>) -> bool {
    let now = clock::now();
    [0, 1].iter().any(|key| store.with(key, now, |entry| entry.is_pinned(now)))
}

impl Rig {
    pub(crate) fn new(name: &str, budget: &RetryBudget, limits: Limits) -> Rig {
        let keys = KeyedLimits::default();
        let each = shard as Shard;
        let made = match name {
            "timeout" => Made::Timeout(TimeoutLayer::new(Duration::from_secs(1)).unwrap()),
            "deadline" => Made::Deadline(DeadlineLayer::new(Duration::from_secs(10)).unwrap()),
            "retry" => Made::Retry(RetryLayer::new(policy(budget))),
            "retry, budgets per key" => Made::RetryPerKey(
                RetryLayer::new(policy(budget)).budget_per_key(budget, keys, each),
            ),
            "breaker" => {
                let breaker = breaker(limits);
                Made::Breaker(CircuitBreakerLayer::new(breaker.clone()), breaker)
            }
            "breaker per key" => {
                Made::BreakerPerKey(CircuitBreakerLayer::per_key(breaker(limits), keys, each))
            }
            "bulkhead" => {
                let bulkhead = bulkhead(limits);
                Made::Bulkhead(BulkheadLayer::new(bulkhead.clone()), bulkhead)
            }
            "bulkhead per key" => {
                Made::BulkheadPerKey(BulkheadLayer::per_key(bulkhead(limits), keys, each))
            }
            "rate" => {
                let limiter = limiter(limits);
                Made::Rate(RateLimitLayer::new(limiter.clone()), limiter)
            }
            "rate per key" => {
                Made::RatePerKey(RateLimitLayer::per_key(limiter(limits), keys, each))
            }
            "stack" => Made::Stack(Box::new(whole(budget, limits).build().unwrap())),
            "stack per key" => {
                Made::StackPerKey(Box::new(whole_per_key(budget, limits).build().unwrap()))
            }
            "shutdown" => {
                let token = Shutdown::builder().build().unwrap().token();
                Made::Shutdown(ShutdownLayer::new(&token), token)
            }
            "checkout" => Made::Checkout(checkout(limits)),
            other => panic!("no layer is called {other}"),
        };
        Rig { budget: budget.clone(), made }
    }

    /// Applies the layer.
    pub(crate) fn layer<S>(&self, inner: S) -> Boxed
    where
        S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        match &self.made {
            Made::Timeout(layer) => Boxed::new(layer.layer(inner)),
            Made::Deadline(layer) => Boxed::new(layer.layer(inner)),
            Made::Retry(layer) => Boxed::new(layer.layer(inner)),
            Made::RetryPerKey(layer) => Boxed::new(layer.layer(inner)),
            Made::Breaker(layer, _) => Boxed::new(layer.layer(inner)),
            Made::BreakerPerKey(layer) => Boxed::new(layer.layer(inner)),
            Made::Bulkhead(layer, _) => Boxed::new(layer.layer(inner)),
            Made::BulkheadPerKey(layer) => Boxed::new(layer.layer(inner)),
            Made::Rate(layer, _) => Boxed::new(layer.layer(inner)),
            Made::RatePerKey(layer) => Boxed::new(layer.layer(inner)),
            Made::Stack(layer) => Boxed::new(layer.layer(inner)),
            Made::StackPerKey(layer) => Boxed::new(layer.layer(inner)),
            Made::Shutdown(layer, _) => Boxed::new(layer.layer(inner)),
            Made::Checkout(layer) => {
                let takes = |(request, _): (u64, Pooled<Numbers>)| request;
                Boxed::new(layer.layer(inner.map_request(takes)))
            }
        }
    }

    pub(crate) fn budget(&self) -> RetryBudget {
        match &self.made {
            Made::RetryPerKey(layer) => of_key(layer.selector().store()),
            _ => self.budget.clone(),
        }
    }

    pub(crate) fn bulkhead(&self) -> Option<Bulkhead> {
        match &self.made {
            Made::Bulkhead(_, bulkhead) => Some(bulkhead.clone()),
            Made::BulkheadPerKey(layer) => Some(of_key(layer.selector().store())),
            Made::Stack(stack) => stack.bulkhead().cloned(),
            Made::StackPerKey(stack) => Some(of_key(stack.bulkhead_layer().selector().store())),
            _ => None,
        }
    }

    pub(crate) fn limiter(&self) -> Option<RateLimiter> {
        match &self.made {
            Made::Rate(_, limiter) => Some(limiter.clone()),
            Made::RatePerKey(layer) => Some(of_key(layer.selector().store())),
            Made::Stack(stack) => stack.rate_limit().cloned(),
            Made::StackPerKey(stack) => Some(of_key(stack.rate_limit_layer().selector().store())),
            _ => None,
        }
    }

    pub(crate) fn breaker(&self) -> Option<CircuitBreaker> {
        match &self.made {
            Made::Breaker(_, breaker) => Some(breaker.clone()),
            Made::BreakerPerKey(layer) => Some(of_key(layer.selector().store())),
            Made::Stack(stack) => stack.circuit_breaker().cloned(),
            Made::StackPerKey(stack) => {
                Some(of_key(stack.circuit_breaker_layer().selector().store()))
            }
            _ => None,
        }
    }

    /// Asserts that nothing is held, and that no key of a store is pinned, except by an open
    /// circuit.
    pub(crate) fn assert_at_rest(&self, what: &str) {
        if let Some(bulkhead) = self.bulkhead().map(|bulkhead| bulkhead.snapshot()) {
            assert_eq!((bulkhead.in_use, bulkhead.queued), (0, 0), "{what}");
        }
        if let Some(limiter) = self.limiter().map(|limiter| limiter.snapshot()) {
            assert_eq!(limiter.queued, 0, "{what}");
        }
        if let Some(breaker) = self.breaker().map(|breaker| breaker.snapshot()) {
            assert_eq!(breaker.probes, 0, "{what}");
        }
        if let Made::Shutdown(_, token) = &self.made {
            assert_eq!(token.in_flight(), 0, "{what}");
        }
        if let Made::Checkout(layer) = &self.made {
            let pool = layer.pool().snapshot();
            assert_eq!((pool.in_use, pool.queued, pool.size), (0, 0, pool.idle), "{what}");
        }
        let pinned = match &self.made {
            Made::RetryPerKey(layer) => is_pinned(layer.selector().store()),
            Made::BreakerPerKey(layer) => is_pinned(layer.selector().store()),
            Made::BulkheadPerKey(layer) => is_pinned(layer.selector().store()),
            Made::RatePerKey(layer) => is_pinned(layer.selector().store()),
            Made::StackPerKey(stack) => {
                is_pinned(stack.bulkhead_layer().selector().store())
                    || is_pinned(stack.rate_limit_layer().selector().store())
                    || is_pinned(stack.circuit_breaker_layer().selector().store())
            }
            _ => false,
        };
        assert!(!pinned, "{what}");
    }
}

/// `inner` under the layer of this name.
pub(crate) fn layered<S>(name: &str, budget: &RetryBudget, inner: S) -> Boxed
where
    S: Service<u64, Response = u64, Error = BoxError> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    Rig::new(name, budget, WIDE).layer(inner)
}

/// A failure that may pass.
pub(crate) fn reset() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}
