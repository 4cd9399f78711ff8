//! The time for which the state of each kind must be kept, in a store with the default idle
//! time of ten minutes.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::breaker::{
    CircuitBreaker, CircuitBreakerBuilder, CircuitState, SlidingWindow,
};
use resilience_core::bulkhead::Bulkhead;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};
use resilience_core::profiles::{Profile, Profiles};
use resilience_core::rate::{Quota, RateLimiter, RateLimiterBuilder};
use resilience_core::retry::RetryBudget;
use resilience_core::{FailureClass, Outcome, clock};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Just over the idle time.
const IDLE: Duration = Duration::from_secs(11 * 60);

fn store<T: Entry>(fresh: impl Fn() -> T + Send + Sync + 'static) -> Keyed<u32, T> {
    // Of few keys, so that a few calls look at all of them.
    let limits = KeyedLimits::new(100, 1 << 20, KeyedLimits::default().idle()).unwrap();
    Keyed::new(limits, move |_| fresh())
}

/// Passes time, and makes enough calls for other keys that idle ones are evicted.
async fn idle<T: Entry>(store: &Keyed<u32, T>, wait: Duration) {
    tokio::time::advance(wait).await;
    for call in 0..10_000 {
        store.with(&(1_000 + call % 10), clock::now(), |_| ());
    }
}

/// Remembers `key` over `wait` without calls, and forgets it some time after `until`.
async fn kept<T: Entry>(store: &Keyed<u32, T>, wait: Duration, until: Option<Duration>) {
    idle(store, wait).await;
    assert!(store.peek(&7, clock::now()).is_some(), "its state remembers something");
    assert_eq!(store.len(), 11);
    if let Some(until) = until {
        idle(store, until.saturating_sub(wait) + IDLE).await;
        assert!(store.peek(&7, clock::now()).is_none(), "as good as new, and idle");
        assert_eq!(store.len(), 10, "and not there any more");
    }
}

fn limits(builder: RateLimiterBuilder) -> Keyed<u32, RateLimiter> {
    let limiter = builder.reject().build().unwrap();
    store(move || limiter.fresh())
}

fn take(store: &Keyed<u32, RateLimiter>, times: usize) -> usize {
    (0..times).filter(|_| RateLimiter::check_key(store, &7, 1).is_ok()).count()
}

fn ten_an_hour() -> RateLimiterBuilder {
    RateLimiter::builder().quota(Quota::per(10, HOUR))
}

#[tokio::test(start_paused = true)]
async fn a_bucket_until_it_is_full() {
    let store = limits(ten_an_hour());
    assert_eq!(take(&store, 20), 10);
    kept(&store, IDLE, None).await;
    assert_eq!(take(&store, 20), 1, "eleven minutes of a token every six");
    kept(&store, IDLE, Some(HOUR)).await;
}

#[tokio::test(start_paused = true)]
async fn a_gap_until_it_is_over() {
    let store = limits(RateLimiter::builder().quota(Quota::per_second(10)).min_gap(HOUR));
    assert_eq!(take(&store, 5), 1);
    kept(&store, IDLE, Some(HOUR)).await;
    assert_eq!(take(&store, 5), 1);
}

#[tokio::test(start_paused = true)]
async fn a_warm_up_until_it_would_begin_anew() {
    let store = limits(RateLimiter::builder().quota(Quota::per_second(30)).warm_up(HOUR));
    assert_eq!(take(&store, 30), 10, "a third of the burst while it is cold");
    for _ in 0..60 {
        tokio::time::advance(MINUTE).await;
        take(&store, 1);
    }
    kept(&store, IDLE, None).await;
    assert_eq!(take(&store, 30), 30, "it is warm");
    kept(&store, IDLE, Some(HOUR)).await;
}

#[tokio::test(start_paused = true)]
async fn a_pause_until_it_is_over() {
    let store = limits(RateLimiter::builder().quota(Quota::per_second(10)));
    store.with(&7, clock::now(), |limiter| limiter.pause_for(HOUR));
    kept(&store, IDLE, Some(HOUR)).await;
}

/// Four threads take all tokens of one key at the same instant.
#[tokio::test(start_paused = true)]
async fn tokens_that_several_threads_took() {
    let limiter = RateLimiter::builder().quota(Quota::per(1_000, DAY)).reject().build().unwrap();
    let store = store(move || limiter.fresh());
    let now = clock::now();
    let passed: usize = std::thread::scope(|scope| {
        let takes = |_: &u32| store.with(&7, now, |it| it.check_at(now, 1).is_ok());
        let threads = [(); 4].map(|()| scope.spawn(move || (0..300).filter(takes).count()));
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 1_000);
    kept(&store, IDLE, None).await;
    assert!(take(&store, 20) <= 8);
}

fn breakers(builder: CircuitBreakerBuilder) -> Keyed<u32, CircuitBreaker> {
    let breaker = builder.break_jitter(0.0).build().unwrap();
    store(move || breaker.fresh())
}

fn with<R>(store: &Keyed<u32, CircuitBreaker>, call: impl FnOnce(&CircuitBreaker) -> R) -> R {
    // A handle of its own: listeners and locks aside, this is what a layer does.
    let breaker = store.get(&7, clock::now());
    call(&breaker)
}

fn fail(store: &Keyed<u32, CircuitBreaker>, times: usize) -> CircuitState {
    with(store, |breaker| {
        for _ in 0..times {
            if let Ok(call) = breaker.try_admit() {
                call.outcome(Outcome::transient());
            }
        }
        breaker.state()
    })
}

fn succeed(store: &Keyed<u32, CircuitBreaker>, times: usize) -> CircuitState {
    with(store, |breaker| {
        for _ in 0..times {
            breaker.try_admit().unwrap().success();
        }
        breaker.state()
    })
}

#[tokio::test(start_paused = true)]
async fn a_streak_of_failures_until_a_success() {
    let store = breakers(CircuitBreaker::builder().consecutive_failures(5));
    for _ in 0..4 {
        assert_eq!(fail(&store, 1), CircuitState::Closed);
        kept(&store, IDLE, None).await;
    }
    assert_eq!(fail(&store, 1), CircuitState::Open);
    let store = breakers(CircuitBreaker::builder().consecutive_failures(5));
    fail(&store, 4);
    kept(&store, DAY, None).await;
    succeed(&store, 1);
    idle(&store, IDLE).await;
    assert!(store.peek(&7, clock::now()).is_none(), "nothing is left of it");
}

#[tokio::test(start_paused = true)]
async fn failures_until_they_are_out_of_their_window() {
    let rate =
        |window| breakers(CircuitBreaker::builder().failure_rate(0.5, window).minimum_calls(10));
    // Few calls are kept as bits, and more in windows of their own: the outcome is the same.
    for before in [2, 90] {
        let store = rate(SlidingWindow::time(2 * HOUR));
        succeed(&store, before);
        fail(&store, 7);
        kept(&store, IDLE, None).await;
        assert_eq!(fail(&store, before), CircuitState::Open, "half of {before} and 7");
        let store = rate(SlidingWindow::time(2 * HOUR));
        succeed(&store, before);
        fail(&store, 7);
        kept(&store, IDLE, Some(2 * HOUR)).await;
    }
    let store = rate(SlidingWindow::count(10));
    fail(&store, 9);
    kept(&store, DAY, None).await;
    assert_eq!(fail(&store, 1), CircuitState::Open);
}

#[tokio::test(start_paused = true)]
async fn slow_calls_until_they_are_out_of_their_window() {
    let builder = CircuitBreaker::builder().minimum_calls(4);
    let store = breakers(builder.slow_calls(SECOND, 0.9, SlidingWindow::time(HOUR)));
    for calls in [3, 1] {
        for _ in 0..calls {
            let breaker = store.get(&7, clock::now());
            let call = breaker.try_admit_owned().unwrap();
            tokio::time::advance(SECOND).await;
            call.success();
        }
        kept(&store, IDLE, None).await;
    }
    let state = with(&store, |breaker| breaker.snapshot());
    assert_eq!((state.opened, state.state), (1, CircuitState::HalfOpen));
}

/// A break that is over is not a circuit that is well: it takes a probe to know.
#[tokio::test(start_paused = true)]
async fn a_break_until_a_probe() {
    let store = breakers(CircuitBreaker::builder().consecutive_failures(2).break_for(SECOND));
    fail(&store, 2);
    kept(&store, DAY, None).await;
    assert_eq!(with(&store, CircuitBreaker::state), CircuitState::HalfOpen);
    kept(&store, DAY, None).await;
    assert_eq!(fail(&store, 3), CircuitState::Open, "the probes failed");
}

#[tokio::test(start_paused = true)]
async fn growing_breaks_until_they_are_forgotten() {
    let builder = CircuitBreaker::builder().consecutive_failures(1).probes(1);
    let builder = builder.growing_break(SECOND, 10.0, HOUR).break_memory(HOUR);
    let store = breakers(builder);
    fail(&store, 1);
    tokio::time::advance(SECOND).await;
    assert_eq!(succeed(&store, 1), CircuitState::Closed);
    kept(&store, IDLE, None).await;
    fail(&store, 1);
    let open_for = with(&store, |breaker| breaker.snapshot().open_for);
    assert_eq!(open_for, Some(10 * SECOND), "the second break");
    tokio::time::advance(10 * SECOND).await;
    assert_eq!(succeed(&store, 1), CircuitState::Closed);
    kept(&store, IDLE, Some(2 * HOUR)).await;
}

#[tokio::test(start_paused = true)]
async fn a_ramp_until_it_ends() {
    let builder = CircuitBreaker::builder().consecutive_failures(1).probes(1).break_for(SECOND);
    let store = breakers(builder.ramp([0.1, 0.5], HOUR));
    fail(&store, 1);
    tokio::time::advance(SECOND).await;
    assert_eq!(succeed(&store, 1), CircuitState::Ramping);
    kept(&store, HOUR + IDLE, None).await;
    assert_eq!(with(&store, CircuitBreaker::state), CircuitState::Ramping, "its second stage");
    kept(&store, IDLE, Some(2 * HOUR)).await;
}

#[tokio::test(start_paused = true)]
async fn a_manual_state_stays_until_it_is_changed() {
    for say in [CircuitBreaker::force_open, CircuitBreaker::force_closed, CircuitBreaker::disable] {
        let store = breakers(CircuitBreaker::builder());
        with(&store, say);
        kept(&store, DAY, None).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_hint_until_its_time() {
    let builder = CircuitBreaker::builder().consecutive_failures(2).break_for(SECOND);
    let store = breakers(builder.longest_hint(HOUR));
    with(&store, |breaker| breaker.try_admit().unwrap().outcome(Outcome::throttled(HOUR)));
    succeed(&store, 1);
    kept(&store, IDLE, Some(HOUR)).await;
}

fn budgets(budget: RetryBudget) -> Keyed<u32, RetryBudget> {
    store(move || budget.fresh())
}

fn retries(store: &Keyed<u32, RetryBudget>, times: usize) -> usize {
    let now = clock::now();
    let budget = store.get(&7, now);
    let retry = |_: &usize| {
        let withdrawal = budget.withdraw(now, FailureClass::Transient);
        withdrawal.map(|withdrawal| withdrawal.sent()).is_ok()
    };
    (0..times).filter(retry).count()
}

#[tokio::test(start_paused = true)]
async fn a_reserve_that_was_spent_until_calls_pay_for_it() {
    let share = RetryBudget::builder().ratio(1.0).reserve(3).window(SECOND).build().unwrap();
    let store = budgets(share);
    assert_eq!(retries(&store, 5), 3);
    kept(&store, DAY, None).await;
    assert_eq!(retries(&store, 5), 0, "there is one reserve");
    let now = clock::now();
    (0..3).for_each(|_| store.with(&7, now, |budget| budget.call_started(now)));
    kept(&store, MINUTE, Some(MINUTE)).await;
}

#[tokio::test(start_paused = true)]
async fn deposits_until_they_expire() {
    let share = RetryBudget::builder().ratio(1.0).reserve(3).window(HOUR).build().unwrap();
    let store = budgets(share);
    let now = clock::now();
    (0..5).for_each(|_| store.with(&7, now, |budget| budget.call_started(now)));
    kept(&store, IDLE, None).await;
    assert_eq!(retries(&store, 2), 2);
    kept(&store, IDLE, Some(HOUR + HOUR / 10)).await;
}

#[tokio::test(start_paused = true)]
async fn a_bucket_of_retries_until_successes_fill_it() {
    let store = budgets(RetryBudget::aws_2_1());
    let first = retries(&store, 1_000);
    kept(&store, DAY, None).await;
    assert_eq!(retries(&store, 1_000), 0, "it had {first}");
}

#[tokio::test(start_paused = true)]
async fn a_permit_until_it_is_back() {
    let bulkhead = Bulkhead::builder().max_concurrent(2).build().unwrap();
    let store = store(move || bulkhead.fresh());
    let permit = store.with(&7, clock::now(), |bulkhead| bulkhead.try_acquire_owned(2)).unwrap();
    kept(&store, DAY, None).await;
    assert!(store.get(&7, clock::now()).try_acquire(1).is_err());
    drop(permit);
    idle(&store, IDLE).await;
    assert!(store.peek(&7, clock::now()).is_none(), "without permits out it is as new");
}

/// A profile remembers for as long as the part that remembers longest.
#[tokio::test(start_paused = true)]
async fn a_profile_as_its_parts() {
    let text = r#"
[all]
deadline = "10s"
bulkhead = { max_concurrent = 2 }
retry = { max_attempts = 2, backoff = { base = "10ms", cap = "10ms" }, budget = { ratio = "10%", reserve = 5 } }
rate_limit = { per_minute = 1, burst = 60 }
circuit_breaker = { consecutive_failures = 3, break_for = "1m" }
"#;
    let model = Profiles::from_toml(text).unwrap().profile("all").unwrap();
    let fresh = model.clone();
    let called = |profile: Profile| {
        let _layer = profile.layer();
        profile
    };
    let store = store(move || called(fresh.fresh()));
    let look = |store: &Keyed<u32, _>| store.get(&7, clock::now());
    assert!(look(&store).rate_limit().unwrap().check(60).is_ok());
    kept(&store, IDLE, Some(HOUR)).await;
    let breaker = look(&store).circuit_breaker().unwrap();
    breaker.try_admit().unwrap().outcome(Outcome::transient());
    drop(breaker);
    kept(&store, DAY, None).await;
    let store = self::store(move || called(model.fresh()));
    let budget = look(&store).budget().unwrap();
    let _receipt = budget.withdraw(clock::now(), FailureClass::Transient).unwrap().sent();
    drop(budget);
    kept(&store, DAY, None).await;
}

proptest! {
    /// From the returned instant on, a limiter decides as a new one does.
    #[test]
    fn a_limiter_that_remembers_nothing_is_as_new(
        (count, period, burst) in (1..20_u32, 1..5_000_u64, 1..40_u32),
        (gap, warm_up) in (0..900_u64, 0..900_u64),
        before in prop::collection::vec((0..400_u64, 1..5_u32), 1..40),
        after in prop::collection::vec((0..400_u64, 1..5_u32), 1..40),
    ) {
        let ms = Duration::from_millis;
        let quota = Quota::per(count, ms(period)).unwrap().with_burst(burst).unwrap();
        let limiter = RateLimiter::builder().quota(quota).reject();
        let limiter = limiter.min_gap(ms(gap / 2)).warm_up(ms(warm_up / 2)).build().unwrap();
        let fresh = limiter.fresh();
        let mut now = clock::now();
        for (step, cost) in before {
            now += ms(step);
            let _used = limiter.check_at(now, cost);
            prop_assert!(limiter.remembers_until(now).is_none_or(|until| until > now));
        }
        now = limiter.remembers_until(now).unwrap_or(now);
        prop_assert_eq!(limiter.remembers_until(now), None);
        for (step, cost) in after {
            now += ms(step);
            prop_assert_eq!(limiter.check_at(now, cost).is_ok(), fresh.check_at(now, cost).is_ok());
        }
    }

    /// A budget that remembers nothing has what a fresh one has, now and later.
    #[test]
    fn a_budget_that_remembers_nothing_is_as_new(
        (ratio, reserve, window) in (0..20_u32, 0..6_u32, 1..900_u64),
        calls in prop::collection::vec((0..400_u64, any::<bool>()), 1..40),
    ) {
        let ms = Duration::from_millis;
        let budget = RetryBudget::builder().ratio(f64::from(ratio) / 10.0).reserve(reserve);
        let budget = budget.window(ms(window)).build().unwrap();
        let (fresh, mut now) = (budget.fresh(), clock::now());
        for (wait, is_call) in calls {
            now += ms(wait);
            if is_call {
                budget.call_started(now);
            } else if let Ok(withdrawal) = budget.withdraw(now, FailureClass::Transient) {
                withdrawal.sent();
            }
        }
        let until = budget.remembers_until(now);
        if until.is_some_and(|until| until > now + DAY) {
            prop_assert!(budget.available(now + HOUR) < fresh.available(now), "spent for good");
            return Ok(());
        }
        let as_new = until.unwrap_or(now);
        prop_assert_eq!(budget.remembers_until(as_new), None);
        for later in [0, 1, window, 20 * window] {
            let at = as_new + ms(later);
            prop_assert_eq!(budget.available(at), fresh.available(at));
        }
    }
}
