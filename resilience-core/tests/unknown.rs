//! A failure that no code recognises is a failure: circuits count it, budgets price it, retries
//! repeat it.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitState, SlidingWindow};
use resilience_core::observe::Event;
use resilience_core::retry::{
    AtMostOnce, Backoff, RetryBudget, RetryLayer, RetryPolicy, StopReason, retry,
};
use resilience_core::stack::Stack;
use resilience_core::testing::{Reply, Script};
use resilience_core::{CarriesRejection, Outcome, Rejection, RejectionKind};
use tower::{BoxError, ServiceBuilder, service_fn};

const MS: Duration = Duration::from_millis(1);

/// An error of the user's own, without an implementation of `AsOutcome`.
#[derive(Debug)]
struct NoOdds {
    #[expect(dead_code, reason = "shown by `Debug`")]
    league: u32,
}

impl fmt::Display for NoOdds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no odds")
    }
}

impl std::error::Error for NoOdds {}

fn no_odds() -> BoxError {
    NoOdds { league: 7 }.into()
}

fn dead() -> Script<impl Fn(usize, u32) -> Reply<(), BoxError>> {
    Script::new(|_, _: u32| Reply::err(no_odds()))
}

fn quick() -> resilience_core::retry::RetryPolicyBuilder {
    RetryPolicy::builder().backoff(Backoff::constant(MS))
}

/// The stack of the README around a service with a boxed error of the user's own type.
#[tokio::test(start_paused = true)]
async fn the_standard_stack_opens_on_errors_of_an_unknown_type() {
    let stack = Stack::standard("quotes").build().unwrap();
    let script = dead();
    let service = ServiceBuilder::new().layer(stack.clone()).service(script.clone());
    let mut rejected = 0;
    for call in 0..200 {
        let error = service.clone().oneshot(call).await.unwrap_err();
        rejected += usize::from(error.rejection().is_some());
    }
    assert_eq!(stack.circuit_breaker().unwrap().state(), CircuitState::Open);
    let attempts = script.arrivals().len();
    println!("{attempts} attempts of 200 calls, {rejected} rejected by the open circuit");
    assert!(attempts < 60 && rejected > 150, "{attempts}, {rejected}");
    assert!(attempts > 200 - rejected, "at least one retry");
}

/// Whatever ends a call that hangs: tower's timeout, tokio's, an error of an `io::Error` without a
/// kind.
#[tokio::test(start_paused = true)]
async fn a_circuit_and_a_retry_see_the_timeouts_of_others() {
    let hangs = || service_fn(|_: u32| std::future::pending::<Result<(), BoxError>>());
    let by_tokio = || {
        service_fn(|_: u32| async {
            tokio::time::timeout(MS * 100, std::future::pending::<()>()).await?;
            Ok::<_, BoxError>(())
        })
    };
    let without_kind = || {
        service_fn(|_: u32| async { Err::<(), BoxError>(io::Error::from_raw_os_error(24).into()) })
    };
    macro_rules! check {
        ($service:expr) => {{
            let breaker = CircuitBreaker::builder().consecutive_failures(10).build().unwrap();
            let layer = CircuitBreakerLayer::new(breaker.clone());
            let service = ServiceBuilder::new().layer(layer).service($service);
            for call in 0..10 {
                service.clone().oneshot(call).await.unwrap_err();
            }
            assert_eq!(breaker.state(), CircuitState::Open, stringify!($service));

            let made = Arc::new(Mutex::new(0));
            let count = made.clone();
            let service = ServiceBuilder::new()
                .layer(RetryLayer::new(quick().build().unwrap()))
                .map_request(move |request: u32| {
                    *count.lock() += 1;
                    request
                })
                .service($service);
            service.oneshot(1).await.unwrap_err();
            assert_eq!(*made.lock(), 3, stringify!($service));
        }};
    }
    check!(ServiceBuilder::new().timeout(MS * 100).service(hangs()));
    check!(by_tokio());
    check!(without_kind());
}

#[tokio::test(start_paused = true)]
async fn it_costs_what_a_transient_failure_costs() {
    let budget = RetryBudget::builder().ratio(0.0).reserve(5).build().unwrap();
    let policy = quick().max_attempts(100).budget(budget).build().unwrap();
    let script = dead();
    let service = ServiceBuilder::new().layer(RetryLayer::new(policy)).service(script.clone());
    for call in 0..10 {
        service.clone().oneshot(call).await.unwrap_err();
    }
    assert_eq!(script.arrivals().len(), 15);
}

/// The attempts of one call to a dead service.
macro_rules! attempts {
    ($layer:expr) => {{
        let script = dead();
        let service = ServiceBuilder::new().layer($layer).service(script.clone());
        service.oneshot(1).await.unwrap_err();
        script.arrivals().len()
    }};
}

#[tokio::test(start_paused = true)]
async fn a_request_that_may_have_run_is_not_sent_again() {
    let reason = Arc::new(Mutex::new(None));
    let heard = reason.clone();
    let policy = quick().listen(move |event: &Event<'_>| {
        if let Event::RetryStopped { reason, .. } = event {
            *heard.lock() = Some(*reason);
        }
    });
    let layer = RetryLayer::new(policy.clone().build().unwrap());
    assert_eq!(attempts!(layer.clone()), 3);
    assert_eq!(attempts!(layer.replayed_by(AtMostOnce)), 1);
    assert_eq!(*reason.lock(), Some(StopReason::MayHaveRun));
    let unknown_off = policy.without_unknown_retries().build().unwrap();
    assert_eq!(attempts!(RetryLayer::new(unknown_off)), 1);
    assert_eq!(*reason.lock(), Some(StopReason::NotRetryable));
}

#[tokio::test(start_paused = true)]
async fn at_most_once_repeats_what_certainly_did_not_run() {
    for (kind, expected) in
        [(io::ErrorKind::ConnectionRefused, 3), (io::ErrorKind::ConnectionReset, 1)]
    {
        let script =
            Script::new(move |_, _: u32| Reply::<(), BoxError>::err(io::Error::from(kind).into()));
        let layer = RetryLayer::new(quick().build().unwrap()).replayed_by(AtMostOnce);
        let service = ServiceBuilder::new().layer(layer).service(script.clone());
        service.oneshot(1).await.unwrap_err();
        assert_eq!(script.arrivals().len(), expected, "{kind}");
    }
}

/// One event for each policy, with the type and the text of the error.
#[tokio::test(start_paused = true)]
async fn the_first_of_each_policy_is_reported() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let told = seen.clone();
    let listener = Arc::new(move |event: &Event<'_>| match event {
        Event::UnknownError { layer, error_type, error, .. } => {
            told.lock().push(format!("{layer}: {error_type}: {}", error.unwrap()));
        }
        Event::RetryScheduled { outcome, error, .. } => {
            assert_eq!((outcome.as_str(), &*error.unwrap().to_string()), ("unknown", "no odds"));
        }
        Event::CircuitChanged { error, .. } => {
            assert_eq!(error.unwrap().to_string(), "no odds");
        }
        _ => {}
    });
    let stack = Stack::builder()
        .retry(quick().name("retry").listen(listener.clone()))
        .circuit_breaker(
            CircuitBreaker::builder().name("circuit").consecutive_failures(50).listen(listener),
        )
        .build()
        .unwrap();
    assert!(stack.plan().retries_unknown);
    let text = stack.plan().to_string();
    assert!(text.contains("unknown errors  failures, retried"), "{text}");
    let service = ServiceBuilder::new().layer(stack).service(dead());
    for call in 0..30 {
        service.clone().oneshot(call).await.unwrap_err();
    }
    let mut seen = seen.lock().clone();
    seen.sort();
    assert_eq!(seen, ["circuit: NoOdds: no odds", "retry: NoOdds: no odds"]);
}

/// The classifier can forbid the retry of an attempt that timed out, and nothing more.
#[tokio::test(start_paused = true)]
async fn a_classifier_decides_about_timeouts_for_the_layer_and_for_the_function() {
    type Read = fn(Result<&(), &BoxError>) -> Outcome;
    let forbids: Read = |result| match result {
        Ok(()) => Outcome::Success,
        Err(_) => Outcome::Permanent,
    };
    let allows: Read = |result| result.map_or(Outcome::transient(), |()| Outcome::Success);
    let waits: Read = |_| Outcome::not_ready(MS);
    let succeeds: Read = |_| Outcome::Success;
    for (read, layered, plain) in [(forbids, 1, 1), (allows, 3, 3), (waits, 1, 3), (succeeds, 1, 1)]
    {
        let policy = quick().wait_when_not_ready().classify(read).build().unwrap();
        let script = Script::new(|_, _: u32| Reply::<(), BoxError>::never());
        let again = quick().wait_when_not_ready();
        let stack = Stack::builder().classify(read).retry(again).attempt_timeout(MS * 10);
        let stack = stack.build().unwrap();
        let service = ServiceBuilder::new().layer(stack).service(script.clone());
        let error = service.oneshot(1).await.unwrap_err();
        assert_eq!(error.rejection().unwrap().kind(), RejectionKind::TimedOut);
        assert_eq!(script.arrivals().len(), layered);

        let mut made = 0;
        let timed_out = Rejection::new(RejectionKind::TimedOut, "timeout");
        let _ = retry(&policy, || {
            made += 1;
            let error = BoxError::from(timed_out.clone());
            async move { Err::<(), _>(error) }
        })
        .await;
        assert_eq!(made, plain);
    }
    // Nor does it make another rejection one that is tried again, or a timeout one that did not
    // run.
    for kind in [RejectionKind::CircuitOpen, RejectionKind::Shed, RejectionKind::DeadlineExceeded] {
        let script = Script::new(move |_, _: u32| {
            Reply::<(), BoxError>::err(Rejection::new(kind, "inner").into())
        });
        let layer = RetryLayer::new(quick().classify(allows).build().unwrap());
        let service = ServiceBuilder::new().layer(layer).service(script.clone());
        service.oneshot(1).await.unwrap_err();
        assert_eq!(script.arrivals().len(), 1, "{kind:?}");
    }
    let script = Script::new(|_, _: u32| Reply::<(), BoxError>::never());
    let stack = Stack::builder().classifier(NeverRan).retry(quick()).replayed_by(AtMostOnce);
    let stack = stack.attempt_timeout(MS);
    let service = ServiceBuilder::new().layer(stack.build().unwrap()).service(script.clone());
    service.oneshot(1).await.unwrap_err();
    assert_eq!(script.arrivals().len(), 1);
}

#[derive(Clone)]
struct NeverRan;

impl resilience_core::Classify<(), BoxError> for NeverRan {
    fn classify(&self, result: Result<&(), &BoxError>) -> Outcome {
        result.map_or(Outcome::transient(), |()| Outcome::Success)
    }

    fn may_have_run(&self, _: Result<&(), &BoxError>) -> bool {
        false
    }
}

/// A server that throttles as a matter of course does not open the circuit by its consecutive
/// failures.
#[test]
fn throttled_calls_can_be_kept_to_the_rates() {
    let throttled = Outcome::throttled(Duration::from_secs(300));
    let ends = |breaker: &CircuitBreaker, outcomes: &[Outcome]| {
        for outcome in outcomes {
            breaker.try_admit().unwrap().outcome(*outcome);
        }
        breaker.state()
    };
    let builder = || CircuitBreaker::builder().consecutive_failures(10);
    let both = builder().build().unwrap();
    assert_eq!(ends(&both, &[throttled; 10]), CircuitState::Open);
    let rates = builder().throttled_in_rates_only().build().unwrap();
    assert_eq!(ends(&rates, &[throttled; 100]), CircuitState::Closed);
    // They neither end a row of failures …
    assert_eq!(ends(&rates, &[Outcome::transient(); 9]), CircuitState::Closed);
    assert_eq!(ends(&rates, &[throttled]), CircuitState::Closed);
    // … nor keep a rate from counting them.
    assert_eq!(ends(&rates, &[Outcome::transient()]), CircuitState::Open);
    let window = SlidingWindow::count(20);
    let rates = builder().failure_rate(0.5, window).throttled_in_rates_only().build().unwrap();
    assert_eq!(ends(&rates, &[throttled; 20]), CircuitState::Open);
}
