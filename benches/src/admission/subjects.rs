//! The list. **Add a row here**; the table, the JSON and the criterion benchmarks follow it.

use resilience_core::clock;
use tower::{BoxError, service_fn};

use super::{maps, ours, peers};
use crate::cost::{Group, Subject};

const BREAKER: Group = "circuit breaker, closed";
const BULKHEAD: Group = "bulkhead";
const PERMIT: Group = "a permit, taken and given back";
const RATE_LAYER: Group = "rate limit";
const RATE: Group = "a token, taken";
const KEYED: Group = "a token, one limit of 1,000 keys";
const STACK: Group = "the whole stack";
const LOOKUP: Group = "the shared state of one of 1,000 keys";

/// Everything that is compared.
///
/// # Errors
/// If a configuration is refused.
pub fn subjects() -> Result<Vec<Subject>, BoxError> {
    let mut subjects = breakers()?;
    subjects.extend(bulkheads()?);
    subjects.extend(rate_limits()?);
    subjects.extend(keyed()?);
    subjects.push(ours::stack(STACK, service_fn(answer))?);
    Ok(subjects)
}

fn breakers() -> Result<Vec<Subject>, BoxError> {
    let mut subjects = vec![
        Subject::function(BREAKER, "clock::now, for scale", || {
            std::hint::black_box(clock::now());
        })
        .baseline(),
    ];
    subjects.extend(peers::breakers(BREAKER, service_fn(answer))?);
    subjects.extend(ours::breakers(BREAKER, service_fn(answer))?);
    Ok(subjects)
}

fn bulkheads() -> Result<Vec<Subject>, BoxError> {
    let mut subjects = peers::bulkheads(BULKHEAD, service_fn(answer))?;
    subjects.push(ours::bulkhead(BULKHEAD, service_fn(answer))?);
    subjects.extend([peers::semaphore(PERMIT).baseline(), ours::permit(PERMIT)?]);
    Ok(subjects)
}

fn rate_limits() -> Result<Vec<Subject>, BoxError> {
    let mut subjects = peers::rate_limits(RATE_LAYER, service_fn(answer))?;
    let [quanta, instant] = peers::governor(RATE);
    subjects.push(ours::rate_limit(RATE_LAYER, service_fn(answer))?);
    subjects.extend([quanta.baseline(), instant]);
    subjects.extend(ours::token(RATE)?);
    Ok(subjects)
}

fn keyed() -> Result<Vec<Subject>, BoxError> {
    let mut subjects = vec![peers::governor_keyed(KEYED).baseline(), ours::keyed_token(KEYED)?];
    subjects.extend(maps::maps(LOOKUP));
    subjects.extend(ours::lookups(LOOKUP));
    Ok(subjects)
}

async fn answer(request: u64) -> Result<u64, BoxError> {
    Ok(request)
}
