//! Deadline, bulkhead, retry with a budget, rate limit, breaker and attempt timeout, around one
//! call that succeeds.

use std::time::Duration;

use resilience_core::AnyError;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::rate::{Quota, RateLimiter};
use resilience_core::retry::RetryPolicy;
use resilience_core::stack::{Stack, StackBuilder};
use tower::util::BoxCloneService;
use tower::{BoxError, Layer, Service};

use super::answer::{Answer, both};
use super::floor::{Lines, floor_of_service};
use super::peers::{LIMIT, PER_SECOND, PERMITS, seatbelt, tower as plain, tower_resilience};
use super::{Figure, names};
use crate::cost::{Role, Subject};

pub(super) fn figure() -> Result<Figure, BoxError> {
    let mut subjects = floor_of_service(least);
    subjects.extend(both(around)?);
    let four = seatbelt::pipeline()?;
    subjects.push(Subject::calls(Role::Peer, names::SEATBELT, four).lacks(SEATBELT_LACKS));
    let five = || plain::five(Answer::READY);
    subjects.push(Subject::unshared(Role::Peer, names::TOWER_FIVE, five).lacks(FIVE_LACKS));
    let floor =
        "one clock read, three read-modify-writes, one gauge up and down, one compare-and-swap";
    Ok(Figure::new(names::STACK, floor, subjects))
}

const FOUR_LACKS: &str =
    "breaker, rate limit, retry budget, total deadline, backoff (the policy is the user's)";
const FIVE_LACKS: &str = "breaker, retry budget, total deadline; its RateLimit is no Clone, so no two threads can share it";
const SEATBELT_LACKS: &str = "bulkhead, rate limit, retry budget; by its own `execute`, which boxes nothing; \
     its timers are a task of one runtime, hence no row that yields";
const TR_LACKS: &str = "retry budget by traffic (a token bucket here), total deadline, hints; boxes every layer's future";

/// Executes the work of any stack: the time, a count each of breaker, budget and limiter, a gauge,
/// a bucket.
pub(super) fn least(lines: &Lines) {
    lines.clock();
    (0..3).for_each(|line| lines.add(line));
    lines.gauge(3);
    lines.swap(4);
}

fn around(inner: Answer) -> Result<Vec<Subject>, BoxError> {
    let empty = Stack::builder().build()?;
    let four = Stack::builder()
        .name("bench")
        .classifier(AnyError)
        .deadline(LIMIT)
        .retry(RetryPolicy::builder().without_budget())
        .circuit_breaker(CircuitBreaker::builder())
        .attempt_timeout(ATTEMPT)
        .build()?;
    Ok(vec![
        Subject::service(Role::Scale, "bare service", inner),
        Subject::service(Role::Scale, names::BOXED, BoxCloneService::new(inner)),
        Subject::service(Role::Scale, "ours, no parts", empty.layer(inner)),
        Subject::service(Role::Ours, names::OURS, standard(Stack::builder(), inner)?),
        Subject::service(Role::Ours, names::OUR_FOUR, four.layer(inner))
            .lacks("bulkhead, rate limit, retry budget"),
        Subject::service(Role::Peer, "tower, four layers", plain::four(inner)).lacks(FOUR_LACKS),
        Subject::service(Role::Peer, names::TOWER_RESILIENCE, tower_resilience::five(inner)?)
            .lacks(TR_LACKS),
    ])
}

/// The time limit of an attempt; the other values are those of the peers.
const ATTEMPT: Duration = Duration::from_secs(5);

/// Wraps `inner` in the standard stack. The `builder` may already have a listener.
pub(crate) fn standard<S>(
    builder: StackBuilder,
    inner: S,
) -> Result<
    impl Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + 'static,
    BoxError,
>
where
    S: Service<u64, Response = u64, Error = BoxError, Future: Send> + Clone + Send + 'static,
{
    let stack = builder
        .name("bench")
        .classifier(AnyError)
        .deadline(LIMIT)
        .bulkhead(Bulkhead::builder().max_concurrent(PERMITS))
        .retry(RetryPolicy::builder())
        .rate_limit(RateLimiter::builder().quota(Quota::per_second(PER_SECOND.get())))
        .circuit_breaker(CircuitBreaker::builder())
        .attempt_timeout(ATTEMPT)
        .build()?;
    Ok(stack.layer(inner))
}
