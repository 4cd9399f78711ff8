//! Nothing leaks: live bytes after a store is gone are those before it was made, whatever was
//! dropped when.
//!
//! A hundred thousand calls for each of ten kinds, a million in all; ten times as many with
//! `RESILIENCE_KEYED_FULL=1`. What is counted is what one thread allocates and frees, so each kind
//! runs on one.

use std::io;
use std::pin::Pin;
use std::task::{Context, Waker};
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer};
use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::clock;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};
use resilience_core::profiles::{Profile, Profiles};
use resilience_core::rate::{Quota, RateLimitLayer, RateLimiter};
use resilience_core::retry::{Backoff, RetryBudget, RetryLayer, RetryPolicy};
use resilience_core::stack::Stack;
use resilience_core::testing::{Reply, Script};
use resilience_core::{AnyError, FailureClass};
use tower::util::BoxCloneSyncService;
use tower::{BoxError, Layer, Service};

/// Kinds of states, by themselves and behind layers.
const KINDS: u64 = 10;
/// Values that are held at once: handles, permits, calls.
const HELD: usize = 200;

type Boxed = BoxCloneSyncService<u64, u64, BoxError>;
type Call = Pin<Box<dyn Future<Output = Result<u64, BoxError>>>>;

/// Room for a few of the keys, so that most are evicted while others are held.
fn limits() -> KeyedLimits {
    KeyedLimits::new(2_000, 1 << 20, Duration::from_secs(1)).unwrap()
}

fn calls() -> u64 {
    crate::keys(1_000_000) / KINDS
}

/// Bytes that are left of `body`, which is run before to make what stays for good: the thread's
/// own, and what the runtime's timers have grown to.
fn left<F: Future<Output = ()>>(mut body: impl FnMut(u64) -> F) -> i64 {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_time().start_paused(true).build().unwrap();
    let mut run = |calls| {
        let body = || runtime.block_on(body(calls));
        allocation_counter::measure(body).bytes_current
    };
    run(10_000);
    run(calls())
}

/// Passes time, so that keys are idle and timers ring.
async fn pass(random: &mut SmallRng) {
    if random.random_range(0..50) == 0 {
        tokio::time::advance(Duration::from_millis(random.random_range(0..100))).await;
    }
}

/// Mostly new keys, and some that come again.
fn key(number: u64, random: &mut SmallRng) -> u64 {
    if random.random_range(0..4) == 0 { number % 100 } else { number }
}

/// Calls for states by themselves; what each holds is dropped at random, the last of it after the
/// store.
fn by_handles<T: Entry, H>(
    fresh: impl Fn() -> T + Clone + Send + Sync + 'static,
    hold: impl Fn(T, &mut SmallRng) -> Option<H>,
) -> i64 {
    left(async |calls| {
        let mut random = SmallRng::seed_from_u64(calls);
        let mut held = Vec::new();
        let fresh = fresh.clone();
        let store = Keyed::new(limits(), move |_: &String| fresh());
        for number in 0..calls {
            let key = key(number, &mut random);
            let state = store.get(&format!("{key:020}"), clock::now());
            held.extend(hold(state, &mut random));
            if held.len() > random.random_range(0..HELD) {
                drop(held.swap_remove(random.random_range(0..held.len())));
            }
            pass(&mut random).await;
        }
        let seen = store.snapshot();
        assert!(seen.evicted_capacity + seen.evicted_idle > calls / 4 && !held.is_empty());
        drop(store);
    })
}

/// Calls of a service, each dropped when it has ended or after a random number of polls, the last
/// of them after the service.
fn by_calls(layered: impl Fn() -> Boxed) -> i64 {
    left(async |calls| {
        let mut random = SmallRng::seed_from_u64(calls);
        let (mut held, mut ended) = (Vec::<Call>::new(), 0);
        let mut service = layered();
        let mut context = Context::from_waker(Waker::noop());
        for number in 0..calls {
            // All that may wait are ready at once.
            assert!(service.poll_ready(&mut context).is_ready());
            held.push(Box::pin(service.call(key(number, &mut random))));
            for _ in 0..random.random_range(0..4) {
                let place = random.random_range(0..held.len().max(1));
                let call = held.get_mut(place);
                if call.is_some_and(|call| call.as_mut().poll(&mut context).is_ready()) {
                    drop(held.swap_remove(place));
                    ended += 1;
                }
            }
            if held.len() > random.random_range(0..HELD) {
                drop(held.swap_remove(random.random_range(0..held.len())));
            }
            pass(&mut random).await;
        }
        assert!(ended > calls / 10 && !held.is_empty(), "{ended} of {calls} came to their end");
        drop((service, held));
        // The timer that the thread's calls share rings, and forgets for how many.
        tokio::time::advance(Duration::from_secs(60)).await;
    })
}

/// Ends at once, or after a few polls, or some milliseconds; every third call fails.
fn script()
-> impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + Sync {
    Script::new(|_, key: u64| {
        let down = || BoxError::from(io::Error::from(io::ErrorKind::ConnectionRefused));
        let reply = if key.is_multiple_of(3) { Reply::err(down()) } else { Reply::ok(key) };
        reply.yielding((key % 4) as u32).after(Duration::from_millis(key % 2 * 5))
    })
}

fn limiter() -> RateLimiter {
    let quota = Quota::per(3, Duration::from_secs(10));
    RateLimiter::builder().quota(quota).wait().build().unwrap()
}

fn breaker() -> CircuitBreaker {
    let window = resilience_core::breaker::SlidingWindow::time(Duration::from_secs(1));
    let builder = CircuitBreaker::builder().consecutive_failures(3).failure_rate(0.5, window);
    builder.minimum_calls(2).break_for(Duration::from_millis(50)).build().unwrap()
}

fn bulkhead() -> Bulkhead {
    Bulkhead::builder().max_concurrent(1).wait().build().unwrap()
}

fn policy() -> RetryPolicy {
    let backoff = Backoff::constant(Duration::from_millis(1));
    RetryPolicy::builder().max_attempts(3).backoff(backoff).without_budget().build().unwrap()
}

fn profile() -> Profile {
    let text = r#"
[all]
deadline = "10s"
bulkhead = { max_concurrent = 1 }
retry = { max_attempts = 2, backoff = { base = "10ms", cap = "10ms" }, budget = { ratio = "10%", reserve = 5 } }
rate_limit = { per_minute = 10, burst = 10 }
circuit_breaker = { consecutive_failures = 3, break_for = "1m" }
"#;
    Profiles::from_toml(text).unwrap().profile("all").unwrap()
}

#[test]
fn limiters() {
    let limiter = limiter();
    let hold = |limiter: RateLimiter, random: &mut SmallRng| {
        let mut waits = Box::pin(limiter.acquire(1 + random.random_range(0..3)));
        let _turn = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        Some((waits, limiter.try_acquire(1).ok(), limiter.reserve(1).ok()))
    };
    assert_eq!(by_handles(move || limiter.fresh(), hold), 0);
}

#[test]
fn circuits() {
    let breaker = breaker();
    let hold = |breaker: CircuitBreaker, random: &mut SmallRng| {
        let call = breaker.try_admit_owned().ok()?;
        match random.random_range(0..4) {
            0 => call.success(),
            1 => call.outcome(resilience_core::Outcome::transient()),
            _ => return Some(call),
        }
        None
    };
    assert_eq!(by_handles(move || breaker.fresh(), hold), 0);
}

#[test]
fn bulkheads() {
    let bulkhead = bulkhead();
    let hold = |bulkhead: Bulkhead, _: &mut SmallRng| {
        let mut waits = Box::pin(bulkhead.acquire_owned(1));
        let _turn = waits.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        Some((waits, bulkhead.try_acquire_owned(1).ok()))
    };
    assert_eq!(by_handles(move || bulkhead.fresh(), hold), 0);
}

#[test]
fn budgets() {
    let share = RetryBudget::percent(10.0).unwrap();
    for budget in [share, RetryBudget::aws_2_1()] {
        let hold = |budget: RetryBudget, random: &mut SmallRng| {
            budget.call_started(clock::now());
            let withdrawal = budget.withdraw(clock::now(), FailureClass::Transient).ok()?;
            if random.random() {
                let _receipt = withdrawal.sent();
                return None;
            }
            Some(withdrawal)
        };
        assert_eq!(by_handles(move || budget.fresh(), hold), 0);
    }
}

#[test]
fn profiles() {
    let profile = profile();
    let hold = |profile: Profile, random: &mut SmallRng| {
        let mut service = profile.layer().layer(script());
        let mut call = Box::pin(service.call(random.random_range(0..100)));
        let _ended = call.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        Some((call, profile))
    };
    assert_eq!(by_handles(move || profile.fresh(), hold), 0);
}

#[test]
fn calls_behind_limits() {
    let made = || {
        Boxed::new(
            RateLimitLayer::per_key(limiter(), limits(), |key: &u64| key / 2).layer(script()),
        )
    };
    assert_eq!(by_calls(made), 0);
}

#[test]
fn calls_behind_circuits() {
    let made = || {
        let layer = CircuitBreakerLayer::per_key(breaker(), limits(), |key: &u64| key / 2);
        Boxed::new(layer.classifier(AnyError).layer(script()))
    };
    assert_eq!(by_calls(made), 0);
}

#[test]
fn calls_behind_bulkheads() {
    let made = || {
        Boxed::new(
            BulkheadLayer::per_key(bulkhead(), limits(), |key: &u64| key / 2).layer(script()),
        )
    };
    assert_eq!(by_calls(made), 0);
}

#[test]
fn calls_that_are_retried() {
    let made = || {
        let budget = RetryBudget::percent(10.0).unwrap();
        let layer = RetryLayer::new(policy());
        Boxed::new(layer.budget_per_key(&budget, limits(), |key: &u64| key / 2).layer(script()))
    };
    assert_eq!(by_calls(made), 0);
}

#[test]
fn calls_behind_stacks() {
    let made = || {
        let key = |key: &u64| key / 2;
        let stack = Stack::builder()
            .deadline(Duration::from_secs(10))
            .bulkhead_per_key(bulkhead(), limits(), key)
            .retry(policy())
            .rate_limit_per_key(limiter(), limits(), key)
            .circuit_breaker_per_key(breaker(), limits(), key)
            .attempt_timeout(Duration::from_secs(1));
        Boxed::new(stack.build().unwrap().layer(script()))
    };
    assert_eq!(by_calls(made), 0);
}
