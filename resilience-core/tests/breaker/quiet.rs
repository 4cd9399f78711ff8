//! Calls that are counted without the circuit's lock, successes of a closed circuit and
//! rejections of an open one, count as all others.

use std::time::Duration;

use resilience_core::breaker::{CircuitBreaker, SlidingWindow};

use crate::{SECOND, breaker, builder, fail};

/// A call at the very instant when a bucket is over is in the next one.
#[tokio::test(start_paused = true)]
async fn a_bucket_ends_for_them_when_it_ends() {
    let rules = |window| CircuitBreaker::builder().failure_rate(1.0, window);
    let breaker = rules(SlidingWindow::count(100)).build().unwrap();
    // There is room without an end, and then there is none.
    breaker.try_admit().unwrap().success();
    breaker.set_config(rules(SlidingWindow::time_in(SECOND * 5, 5)).config().unwrap());
    let succeed = || breaker.try_admit().unwrap().success();
    let calls = || breaker.snapshot().calls;
    (0..3).for_each(|_| succeed());
    tokio::time::advance(SECOND - Duration::from_nanos(1)).await;
    succeed();
    tokio::time::advance(Duration::from_nanos(1)).await;
    (0..2).for_each(|_| succeed());
    assert_eq!(calls(), 6);
    tokio::time::advance(SECOND * 4).await;
    assert_eq!(calls(), 2);
    tokio::time::advance(SECOND).await;
    assert_eq!(calls(), 0);
}

/// A success that was admitted before the circuit opened and closed again does not count.
#[test]
fn a_call_of_an_earlier_generation_takes_no_place() {
    let window = SlidingWindow::count(100);
    let breaker = CircuitBreaker::builder().failure_rate(1.0, window).build().unwrap();
    let late = breaker.try_admit().unwrap();
    breaker.open();
    breaker.close();
    breaker.try_admit().unwrap().success();
    late.success();
    let seen = breaker.snapshot();
    assert_eq!((seen.calls, seen.stale), (1, 1));
}

/// Calls that are timed and quick are counted with the others that went well; from the very limit
/// on they are slow, also by a limit that was changed while they were under way.
#[tokio::test(start_paused = true)]
async fn what_is_slow_is_seen_among_quiet_calls() {
    let rules = |after| {
        let window = SlidingWindow::count(100);
        CircuitBreaker::builder().slow_calls(after, 1.0, window).minimum_calls(100)
    };
    let breaker = rules(SECOND).build().unwrap();
    let call = async |took: Duration| {
        let admitted = breaker.try_admit().unwrap();
        tokio::time::advance(took).await;
        admitted.success();
    };
    let counted = || (breaker.snapshot().calls, breaker.snapshot().slow);
    for _ in 0..5 {
        call(SECOND - Duration::from_nanos(1)).await;
    }
    call(SECOND).await;
    call(SECOND * 9).await;
    assert_eq!(counted(), (7, 2));
    let under_way = breaker.try_admit().unwrap();
    breaker.set_config(rules(SECOND / 2).config().unwrap());
    tokio::time::advance(SECOND / 2).await;
    under_way.success();
    call(SECOND / 4).await;
    assert_eq!(counted(), (9, 3));
}

/// More rejections than the word can count; their details stay right while the break goes on.
#[tokio::test(start_paused = true)]
async fn rejections_are_counted_and_have_a_retry_after() {
    let breaker = breaker();
    fail(&breaker, 2);
    for seconds in (1..=5).rev() {
        let left = SECOND * seconds;
        for _ in 0..5_000 {
            let refused = breaker.try_admit().unwrap_err();
            assert_eq!(refused.retry_after(), Some(left));
            assert_eq!((refused.observed(), refused.limit()), (Some(2.into()), Some(2.into())));
        }
        assert_eq!(breaker.snapshot().not_permitted, 5_000 * (6 - seconds));
        tokio::time::advance(SECOND).await;
    }
    breaker.try_admit().unwrap().success();
    assert!(breaker.try_admit().is_ok(), "one probe is enough");
}

/// Later calls see a change of the break, and a change of the configuration.
#[tokio::test(start_paused = true)]
async fn a_break_that_changes_is_another_at_once() {
    let breaker = breaker();
    breaker.force_open();
    assert_eq!(breaker.try_admit().unwrap_err().retry_after(), None);
    breaker.force_open_for(SECOND * 3);
    assert_eq!(breaker.try_admit().unwrap_err().retry_after(), Some(SECOND * 3));
    breaker.set_config(builder().observe_only().config().unwrap());
    assert!(breaker.try_admit().is_ok());
    breaker.set_config(builder().config().unwrap());
    assert_eq!(breaker.try_admit().unwrap_err().retry_after(), Some(SECOND * 3));
    breaker.close();
    assert!(breaker.try_admit().is_ok());
    // One of them would have been refused.
    assert_eq!(breaker.snapshot().not_permitted, 4);
}

/// Numbers that are too large for the word are reported all the same.
#[test]
fn large_numbers_are_reported_as_they_are() {
    let window = SlidingWindow::count(100_000);
    let rules = CircuitBreaker::builder().failure_rate(0.5, window).minimum_calls(70_000);
    let breaker = rules.build().unwrap();
    fail(&breaker, 70_000);
    for _ in 0..2 {
        assert_eq!(breaker.try_admit().unwrap_err().observed(), Some(70_000.into()));
    }
    assert_eq!(breaker.snapshot().not_permitted, 2);
}
