//! The list. **Add a row here**; the table, the JSON and the criterion benchmarks follow it.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use resilience_core::clock;
use resilience_core::retry::{RetryBudget, RetryLayer, RetryPolicy};
use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
use tower::retry::budget::{Budget, TpsBudget};
use tower::timeout::TimeoutLayer as TowerTimeoutLayer;
use tower::{BoxError, Layer, service_fn};

use super::peers;
use crate::cost::{Group, Subject};

const RETRY: Group = "retry";
const TIMEOUT: Group = "time limit, answer at once";
const ARMED_TIMEOUT: Group = "time limit, answer at the second poll";
const BUDGET: Group = "budget, one deposit";

/// No limit of any subject is ever reached.
const LIMIT: Duration = Duration::from_secs(30);

/// Everything that is compared.
///
/// # Errors
/// If a configuration is refused.
pub fn subjects() -> Result<Vec<Subject>, BoxError> {
    let mut subjects = retries()?;
    subjects.extend(time_limits()?);
    subjects.extend(armed_time_limits()?);
    subjects.extend(deposits()?);
    Ok(subjects)
}

fn retries() -> Result<Vec<Subject>, BoxError> {
    let inner = service_fn(answer);
    let bucket = peers::tower_resilience_budget()?;
    let plain = RetryPolicy::builder().without_budget().unlimited_elapsed().build()?;
    let default = RetryPolicy::builder().build()?;
    Ok(vec![
        Subject::service(RETRY, "bare service", inner),
        Subject::service(RETRY, "tower Retry", peers::tower_retry().layer(inner)).baseline(),
        Subject::service(
            RETRY,
            "tower Retry, TpsBudget",
            peers::tower_retry_budgeted().layer(inner),
        ),
        Subject::service(RETRY, "tower-resilience", peers::tower_resilience(None).layer(inner)),
        Subject::service(
            RETRY,
            "tower-resilience, budget",
            peers::tower_resilience(Some(bucket)).layer(inner),
        ),
        Subject::service(RETRY, "ours, attempts only", RetryLayer::new(plain).layer(inner)).ours(),
        Subject::service(RETRY, "ours, default", RetryLayer::new(default).layer(inner)).ours(),
    ])
}

fn time_limits() -> Result<Vec<Subject>, BoxError> {
    let inner = service_fn(answer);
    Ok(vec![
        Subject::service(TIMEOUT, "tower Timeout", TowerTimeoutLayer::new(LIMIT).layer(inner))
            .baseline(),
        Subject::service(TIMEOUT, "our Timeout", TimeoutLayer::new(LIMIT)?.layer(inner)).ours(),
        Subject::service(TIMEOUT, "our Deadline", DeadlineLayer::new(LIMIT)?.layer(inner)).ours(),
    ])
}

fn armed_time_limits() -> Result<Vec<Subject>, BoxError> {
    let inner = service_fn(answer_at_second_poll);
    Ok(vec![
        Subject::service(
            ARMED_TIMEOUT,
            "tower Timeout, armed",
            TowerTimeoutLayer::new(LIMIT).layer(inner),
        )
        .baseline(),
        Subject::service(
            ARMED_TIMEOUT,
            "our Timeout, armed",
            TimeoutLayer::new(LIMIT)?.layer(inner),
        )
        .ours(),
        Subject::service(
            ARMED_TIMEOUT,
            "our Deadline, armed",
            DeadlineLayer::new(LIMIT)?.layer(inner),
        )
        .ours(),
    ])
}

fn deposits() -> Result<Vec<Subject>, BoxError> {
    let (theirs, ours) = (Arc::new(TpsBudget::default()), RetryBudget::percent(10.0)?);
    let deposit = move || theirs.deposit();
    let call_started = move || ours.call_started(clock::now());
    Ok(vec![
        Subject::function(BUDGET, "tower TpsBudget::deposit", deposit).baseline(),
        Subject::function(BUDGET, "our RetryBudget::call_started", call_started).ours(),
    ])
}

async fn answer(request: u64) -> Result<u64, BoxError> {
    Ok(request)
}

async fn answer_at_second_poll(request: u64) -> Result<u64, BoxError> {
    let mut polled = false;
    std::future::poll_fn(|context| {
        if polled {
            return Poll::Ready(Ok(request));
        }
        polled = true;
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}
