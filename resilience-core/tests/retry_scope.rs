//! Nested retries.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::retry::{
    Backoff, RetryBudget, RetryLayer, RetryPolicy, RetryPolicyBuilder, RetryScope,
    previous_attempts, retry, retry_blocking,
};
use resilience_core::{AnyError, Error, Outcome, Rejection, RejectionKind, RetryHint};
use tower::{Service, ServiceBuilder, service_fn};

type Failed = Error<Outcome>;

fn policy() -> RetryPolicyBuilder {
    let backoff = Backoff::decorrelated_jitter(Duration::from_millis(1), Duration::from_millis(2));
    RetryPolicy::builder().backoff(backoff.unwrap())
}

/// The number of each attempt at its call, and at its polls.
type Seen = Arc<Mutex<Vec<(u32, u32)>>>;

/// A service that notes on which attempt it is called and polled, and ends in these outcomes.
fn noting(
    notes: Seen,
    outcomes: &[Outcome],
) -> impl Service<(), Response = (), Error = Failed, Future: Send> + Clone + Send + use<> {
    let outcomes = outcomes.to_vec();
    service_fn(move |()| {
        let (called, notes, outcomes) = (previous_attempts(), notes.clone(), outcomes.clone());
        async move {
            tokio::task::yield_now().await;
            let made = notes.lock().len();
            notes.lock().push((called, previous_attempts()));
            match outcomes[made] {
                Outcome::Success => Ok(()),
                outcome => Err(Error::Service(outcome)),
            }
        }
    })
}

fn said(result: Result<&(), &Failed>) -> Outcome {
    match result {
        Ok(()) => Outcome::Success,
        Err(Error::Service(outcome)) => *outcome,
        Err(Error::Rejected(_)) => unreachable!("asked about a refusal"),
    }
}

/// The attempts that a call made in this scope, by the number that they saw.
async fn made(scope: &RetryScope, policy: RetryPolicyBuilder, outcomes: &[Outcome]) -> Vec<u32> {
    let seen = Seen::default();
    let service = noting(seen.clone(), outcomes);
    let policy = policy.classify(said).build().unwrap();
    let service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(service);
    let _failed = scope.scope(service.oneshot(())).await;
    let seen = seen.lock();
    assert!(seen.iter().all(|(called, polled)| called == polled), "{seen:?}");
    seen.iter().map(|(called, _)| *called).collect()
}

const DOWN: [Outcome; 3] = [Outcome::transient(); 3];

#[tokio::test(start_paused = true)]
async fn an_attempt_knows_how_many_came_before() {
    let open = RetryScope::open();
    assert_eq!(made(&open, policy(), &DOWN).await, [0, 1, 2]);
    assert_eq!(previous_attempts(), 0);
}

#[tokio::test(start_paused = true)]
async fn so_do_the_operations_of_the_plain_functions() {
    let policy = policy().classifier(AnyError).build().unwrap();
    let mut seen = Vec::new();
    let _failed = retry(&policy, || {
        seen.push(previous_attempts());
        async { Err::<(), _>(previous_attempts()) }
    })
    .await
    .map_err(|last| assert_eq!(last, 2));
    assert_eq!(seen, [0, 1, 2]);
    let mut seen = Vec::new();
    let _failed = retry_blocking(&policy, || {
        seen.push(previous_attempts());
        Err::<(), _>("down")
    });
    assert_eq!(seen, [0, 1, 2]);
}

#[tokio::test(start_paused = true)]
async fn a_call_begun_on_a_retry_is_at_its_own_first_attempt() {
    let policy = policy().classifier(AnyError).build().unwrap();
    let _failed = retry(&policy, || async {
        let inner = RetryScope::open().scope(async { previous_attempts() }).await;
        assert_eq!(inner, 0);
        Err::<(), _>("down")
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_was_tried_in_vain_is_given_up() {
    let open = RetryScope::open();
    made(&open, policy(), &DOWN).await;
    assert!(open.gave_up());
}

#[tokio::test(start_paused = true)]
async fn a_spent_budget_gives_up_at_once() {
    let open = RetryScope::open();
    let budget = RetryBudget::builder().ratio(0.1).reserve(0).build().unwrap();
    assert_eq!(made(&open, policy().budget(budget), &DOWN).await, [0]);
    assert!(open.gave_up());
}

#[tokio::test(start_paused = true)]
async fn a_servers_refusal_of_retries_is_passed_on() {
    let open = RetryScope::open();
    assert_eq!(made(&open, policy(), &[Outcome::Transient(RetryHint::Never)]).await, [0]);
    assert!(open.gave_up());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_a_retry_is_not_given_up() {
    for outcome in [Outcome::Permanent, Outcome::NotReady(RetryHint::None)] {
        let open = RetryScope::open();
        assert_eq!(made(&open, policy(), &[outcome]).await, [0]);
        assert!(!open.gave_up(), "{outcome:?}");
    }
    let open = RetryScope::open();
    assert_eq!(made(&open, policy().max_attempts(1), &DOWN).await, [0]);
    assert!(!open.gave_up());
}

#[tokio::test(start_paused = true)]
async fn nor_is_what_came_right() {
    let open = RetryScope::open();
    assert_eq!(made(&open, policy(), &[Outcome::transient(), Outcome::Success]).await, [0, 1]);
    assert!(!open.gave_up());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_of_an_outer_retry_counts_as_one() {
    let single = RetryScope::single();
    let budget = RetryBudget::builder().ratio(0.1).reserve(5).build().unwrap();
    assert_eq!(made(&single, policy().budget(budget.clone()), &DOWN).await, [0]);
    assert!(!single.gave_up(), "whoever retries may go on");
    assert!(budget.available(resilience_core::clock::now()) >= 5.0, "and pays for it");
}

#[tokio::test(start_paused = true)]
async fn a_single_scope_lets_a_call_wait_until_it_is_ready() {
    let single = RetryScope::single();
    let waiting = [Outcome::not_ready(Duration::from_secs(1)), Outcome::Success];
    assert_eq!(made(&single, policy().wait_when_not_ready(), &waiting).await, [0, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_timed_out_attempt_is_seen_by_the_scope_too() {
    let single = RetryScope::single();
    let calls = Arc::new(Mutex::new(0));
    let count = calls.clone();
    let stack = resilience_core::stack::Stack::builder()
        .retry(policy())
        .attempt_timeout(Duration::from_millis(5))
        .classifier(AnyError)
        .build()
        .unwrap();
    let service = ServiceBuilder::new().layer(stack).service(service_fn(move |()| {
        *count.lock() += 1;
        std::future::pending::<Result<(), Rejection>>()
    }));
    let late = single.scope(service.oneshot(())).await.unwrap_err();
    assert_eq!((late.kind(), *calls.lock()), (RejectionKind::TimedOut, 1));
}

/// One retry is one more than there would have been without.
#[tokio::test(start_paused = true)]
async fn a_call_of_two_attempts_is_given_up_as_well() {
    for (attempts, gave_up) in [(1, false), (2, true)] {
        let scope = RetryScope::open();
        let made = made(&scope, policy().max_attempts(attempts), &DOWN).await;
        assert_eq!((made.len(), scope.gave_up()), (attempts as usize, gave_up));
    }
}

#[tokio::test]
async fn what_is_over_holds_nothing() {
    let held = Arc::new(());
    let holds = held.clone();
    let ends = poll_fn(move |_| {
        let _holds = &holds;
        Poll::Ready(())
    });
    let mut over = pin!(RetryScope::open().scope(ends));
    over.as_mut().await;
    assert_eq!(Arc::strong_count(&held), 1);
}
