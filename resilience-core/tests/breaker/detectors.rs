//! Detectors that open a circuit, in combination.

use crate::{SECOND, builder};
use resilience_core::Outcome;
use resilience_core::breaker::{
    AbandonedPolicy, CircuitBreaker, CircuitState, SlidingWindow, TransitionReason,
};

/// Each detector opens the circuit though the others do not trip.
#[tokio::test(start_paused = true)]
async fn several_detectors_in_one_breaker() {
    let make = || {
        CircuitBreaker::builder()
            .minimum_calls(4)
            .consecutive_failures(3)
            .failure_rate(0.5, SlidingWindow::count(8))
            .failure_rate(0.9, SlidingWindow::time(SECOND * 10))
            .slow_calls(SECOND, 0.5, SlidingWindow::count(8))
            .build()
            .unwrap()
    };
    let run = async |calls: &str| {
        let breaker = make();
        for call in calls.chars() {
            assert_eq!(breaker.state(), CircuitState::Closed, "{calls}");
            let admitted = breaker.try_admit().unwrap();
            if call == 's' {
                tokio::time::advance(SECOND).await;
            }
            let failed = call == 'F';
            admitted.outcome(if failed { Outcome::transient() } else { Outcome::Success });
        }
        breaker.snapshot().reason
    };
    assert_eq!(run("SSSFFF").await, Some(TransitionReason::ConsecutiveFailures));
    assert_eq!(run("SFSF").await, Some(TransitionReason::FailureRate));
    assert_eq!(run("SsSs").await, Some(TransitionReason::SlowCallRate));
    assert_eq!(run("SSSSFFSS").await, None);
}

/// A call that is abandoned after the slow limit is slow; one that is abandoned earlier does
/// not count.
#[tokio::test(start_paused = true)]
async fn abandoned_calls_can_count_as_slow() {
    let breaker = builder()
        .slow_calls(SECOND, 0.5, SlidingWindow::count(10))
        .minimum_calls(2)
        .abandoned(AbandonedPolicy::Slow)
        .build()
        .unwrap();
    for _ in 0..10 {
        drop(breaker.try_admit().unwrap());
    }
    assert_eq!((breaker.state(), breaker.snapshot().calls), (CircuitState::Closed, 0));
    for _ in 0..2 {
        let given_up = breaker.try_admit().unwrap();
        tokio::time::advance(SECOND).await;
        drop(given_up);
    }
    assert_eq!(breaker.snapshot().reason, Some(TransitionReason::SlowCallRate));
}
