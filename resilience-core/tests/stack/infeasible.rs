//! Stacks that cannot work are rejected by name; unlikely ones have a warning.

use std::time::Duration;

use resilience_core::InvalidConfig;
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerBuilder, SlidingWindow};
use resilience_core::bulkhead::{Bulkhead, BulkheadBuilder};
use resilience_core::rate::{Quota, RateLimiter, RateLimiterBuilder};
use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy, RetryPolicyBuilder};
use resilience_core::stack::{Plan, Stack};

use crate::SECOND;

fn bulkhead() -> BulkheadBuilder {
    Bulkhead::builder().max_concurrent(10)
}

fn retry(attempts: u32) -> RetryPolicyBuilder {
    RetryPolicy::builder().max_attempts(attempts).backoff(Backoff::constant(SECOND))
}

fn rate(per_minute: u32) -> RateLimiterBuilder {
    let quota = Quota::per_minute(per_minute).and_then(|quota| quota.with_burst(1));
    RateLimiter::builder().quota(quota).reject()
}

fn breaker(minimum: u32) -> CircuitBreakerBuilder {
    let window = SlidingWindow::time(SECOND * 60);
    CircuitBreaker::builder().failure_rate(0.5, window).minimum_calls(minimum)
}

macro_rules! refused {
    ($($setter:ident($($argument:expr),*)).+, $field:literal, $value:literal, $bound:literal) => {
        let built = Stack::builder()$(.$setter($($argument),*))+.build();
        let error: InvalidConfig = built.map(drop).unwrap_err();
        assert_eq!((error.field(), error.value(), error.bound()), ($field, $value, $bound));
    };
}

#[test]
fn impossible_values_are_rejected() {
    refused!(
        deadline(SECOND * 10).attempt_timeout(SECOND * 10),
        "attempt_timeout",
        "10s",
        "less than `deadline` (10s)"
    );
    refused!(
        deadline(SECOND).bulkhead(bulkhead().wait_at_most(SECOND)),
        "bulkhead.wait_at_most",
        "1s",
        "less than `deadline` (1s)"
    );
    refused!(
        deadline(SECOND).rate_limit(rate(60).wait_at_most(SECOND * 2)),
        "rate_limit.wait_at_most",
        "2s",
        "less than `deadline` (1s)"
    );
    refused!(
        retry(retry(2).attempt_time(SECOND * 3)).attempt_timeout(SECOND * 2),
        "retry.attempt_time",
        "3s",
        "at most `attempt_timeout` (2s)"
    );
    refused!(
        deadline(SECOND * 3).retry(retry(9).unlimited_elapsed()),
        "retry.max_attempts",
        "9",
        "at most 3: the shortest waits alone leave no time for more, by `deadline` (3s)"
    );
    refused!(
        retry(retry(9).max_elapsed(SECOND * 3)),
        "retry.max_attempts",
        "9",
        "at most 4: the shortest waits alone leave no time for more, by `retry.max_elapsed` (3s)"
    );
    refused!(
        retry(retry(2).budget(RetryBudget::builder().ratio(0.0).reserve(0).build())),
        "retry.budget.ratio",
        "0",
        "more than 0, without a reserve: it would never pay for a retry"
    );
    refused!(
        rate_limit(rate(60)).retry(retry(2).budget(RetryBudget::builder().reserve(0).build())),
        "retry.budget.ratio",
        "0.1",
        "enough for one retry of the 2 calls that the rate limit admits in the budget's window, \
         or the reserve at least 1"
    );
    refused!(
        rate_limit(rate(10)).circuit_breaker(breaker(12)),
        "circuit_breaker.minimum_calls",
        "12",
        "at most 11, what the rate limit admits in 60s"
    );
    refused!(
        rate_limit(rate(60).min_gap(SECOND * 10)).circuit_breaker(breaker(8)),
        "circuit_breaker.minimum_calls",
        "8",
        "at most 7, what the rate limit admits in 60s"
    );
    let slow = CircuitBreaker::builder().slow_calls(SECOND * 5, 0.5, SlidingWindow::count(10));
    refused!(
        circuit_breaker(slow).attempt_timeout(SECOND * 4),
        "circuit_breaker.slow_calls",
        "5s",
        "at most `attempt_timeout` (4s)"
    );
}

/// A value just inside of the rejected bound is allowed.
#[test]
fn the_bounds_are_exact() {
    let ns = Duration::from_nanos(1);
    Stack::builder().deadline(SECOND).attempt_timeout(SECOND - ns).build().unwrap();
    let waits = bulkhead().wait_at_most(SECOND - ns);
    Stack::builder().deadline(SECOND).bulkhead(waits).build().unwrap();
    let retries = retry(4).unlimited_elapsed();
    Stack::builder().deadline(SECOND * 3 + ns).retry(retries).build().unwrap();
    Stack::builder().retry(retry(4).max_elapsed(SECOND * 3)).build().unwrap();
    Stack::builder().rate_limit(rate(10)).circuit_breaker(breaker(11)).build().unwrap();
    let reserve = RetryBudget::builder().ratio(0.0).reserve(1).build();
    Stack::builder().retry(retry(2).budget(reserve)).build().unwrap();
    let enough = RetryBudget::builder().ratio(0.5).reserve(0).build();
    Stack::builder().rate_limit(rate(60)).retry(retry(2).budget(enough)).build().unwrap();
}

#[test]
fn errors_of_the_parts_are_reported_when_it_is_built() {
    let named = |error: InvalidConfig| error.field();
    let built = Stack::builder().deadline(Duration::ZERO).build();
    assert_eq!(built.map(drop).map_err(named), Err("deadline"));
    let built = Stack::builder().attempt_timeout(Duration::MAX).build();
    assert_eq!(built.map(drop).map_err(named), Err("attempt_timeout"));
    let built = Stack::builder().bulkhead(bulkhead().max_concurrent(0)).build();
    assert_eq!(built.map(drop).map_err(named), Err("max_concurrent"));
    let built = Stack::builder().bulkhead(bulkhead().max_concurrent(0).build()).build();
    assert_eq!(built.map(drop).map_err(named), Err("max_concurrent"));
    let built = Stack::builder().rate_limit(RateLimiter::builder()).build();
    assert_eq!(built.map(drop).map_err(named), Err("quota"));
    let built = Stack::builder().retry(retry(0)).build();
    assert_eq!(built.map(drop).map_err(named), Err("max_attempts"));
    let built = Stack::builder().circuit_breaker(breaker(0)).build();
    assert_eq!(built.map(drop).map_err(named), Err("minimum_calls"));
}

fn warned(plan: &Plan) -> Vec<&'static str> {
    plan.warnings.iter().map(|warning| warning.field).collect()
}

macro_rules! warned {
    ($($setter:ident($($argument:expr),*)).+) => {
        warned(Stack::builder()$(.$setter($($argument),*))+.build().unwrap().plan())
    };
}

#[test]
fn what_is_hardly_meant_is_warned_of() {
    assert_eq!(warned!(bulkhead(bulkhead())), ["deadline"]);
    assert_eq!(warned!(deadline(SECOND * 9).retry(retry(2))), ["attempt_timeout"]);
    let fine = || retry(2).max_elapsed(SECOND * 9);
    assert_eq!(warned!(deadline(SECOND * 9).retry(fine()).attempt_timeout(SECOND * 7)), [""; 0]);
    assert_eq!(
        warned!(deadline(SECOND * 9).retry(fine()).attempt_timeout(SECOND * 8)),
        ["retry.max_attempts"]
    );
    let free = fine().without_budget();
    assert_eq!(warned!(deadline(SECOND * 9).retry(free).attempt_timeout(SECOND)), ["retry.budget"]);
    let wide = fine().budget(RetryBudget::percent(100.0));
    assert_eq!(
        warned!(deadline(SECOND * 9).retry(wide).attempt_timeout(SECOND)),
        ["retry.budget.ratio"]
    );
    assert_eq!(warned!(bulkhead(bulkhead().wait()).attempt_timeout(SECOND)), ["bulkhead.wait"]);
    assert_eq!(
        warned!(
            deadline(SECOND * 9)
                .bulkhead(bulkhead().wait_at_most(SECOND * 5))
                .attempt_timeout(SECOND * 5)
        ),
        ["bulkhead.wait"]
    );
    assert_eq!(
        warned!(
            deadline(SECOND * 9)
                .bulkhead(bulkhead().wait().max_queued(100))
                .attempt_timeout(SECOND)
        ),
        ["bulkhead.max_queued"]
    );
    assert_eq!(
        warned!(
            deadline(SECOND * 9).rate_limit(rate(60).wait().max_queued(10)).attempt_timeout(SECOND)
        ),
        ["rate_limit.max_queued"]
    );
    let brief = CircuitBreaker::builder().max_half_open(SECOND);
    assert_eq!(
        warned!(deadline(SECOND * 9).circuit_breaker(brief).attempt_timeout(SECOND * 2)),
        ["circuit_breaker.max_half_open"]
    );
    let patient = fine().wait_when_not_ready();
    let long = CircuitBreaker::builder().break_for(SECOND * 9);
    assert_eq!(
        warned!(deadline(SECOND * 9).retry(patient).circuit_breaker(long).attempt_timeout(SECOND)),
        ["retry.wait_when_not_ready"]
    );
}

/// The limiter waits 30 s by default, so the deadline is the chosen value.
#[test]
fn a_default_wait_is_cut_short_by_the_deadline() {
    let limiter = || RateLimiter::builder().quota(Quota::per_second(5));
    let stack = Stack::standard("any").deadline(SECOND * 25).rate_limit(limiter()).build().unwrap();
    assert_eq!(warned(stack.plan()), [""; 0]);
    assert_eq!(stack.plan().worst_case_latency, Some(SECOND * 25));
}

#[test]
fn the_standard_stack_is_not_warned_of() {
    let stack = Stack::standard("any").build().unwrap();
    assert_eq!(warned(stack.plan()), [""; 0]);
    assert_eq!(stack.plan().sure_attempts, 3);
}
