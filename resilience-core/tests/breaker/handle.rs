//! The handle: by hand, live, saved, asked in the wrong order.

use std::time::Duration;

use crate::{SECOND, breaker, builder, fail};
use resilience_core::breaker::{
    CircuitBreaker, CircuitState, ProbeRule, SavedCircuit, SlidingWindow, TransitionReason,
};
use resilience_core::keyed::Entry;
use resilience_core::{AnyError, Error, Outcome, Rejection, RejectionKind, RetryHint, clock};

#[tokio::test(start_paused = true)]
async fn breaks_grow_and_are_forgotten_one_by_one() {
    let breaker = builder()
        .consecutive_failures(1)
        .growing_break(SECOND * 5, 2.0, SECOND * 30)
        .break_memory(SECOND * 60)
        .build()
        .unwrap();
    let open_for = || breaker.snapshot().open_for.unwrap().as_secs();
    let mut breaks = Vec::new();
    fail(&breaker, 1);
    for _ in 0..4 {
        breaks.push(open_for());
        tokio::time::advance(Duration::from_secs(open_for())).await;
        fail(&breaker, 1);
    }
    assert_eq!((breaks, open_for()), (vec![5, 10, 20, 30], 30));
    // Two good minutes of the three that have to be forgotten.
    tokio::time::advance(SECOND * 30).await;
    breaker.try_admit().unwrap().success();
    tokio::time::advance(SECOND * 150).await;
    fail(&breaker, 1);
    assert_eq!(open_for(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_hint_lengthens_a_break_up_to_the_longest() {
    let hinted = |secs| Outcome::throttled(SECOND * secs);
    for (first, second, expected) in [
        (hinted(60), Outcome::transient(), 60),
        (Outcome::transient(), hinted(60), 60),
        (hinted(1), Outcome::transient(), 5),
        (hinted(100_000), hinted(1), 120),
        (Outcome::Throttled(RetryHint::Never), Outcome::transient(), 5),
    ] {
        let breaker = builder().longest_hint(SECOND * 120).build().unwrap();
        breaker.try_admit().unwrap().outcome(first);
        assert_eq!(breaker.state(), CircuitState::Closed, "a hint alone does not open");
        breaker.try_admit().unwrap().outcome(second);
        assert_eq!(breaker.snapshot().open_for, Some(SECOND * expected), "{first:?}, {second:?}");
    }
    let ignores = builder().ignore_hints().build().unwrap();
    ignores.try_admit().unwrap().outcome(hinted(60));
    fail(&ignores, 1);
    assert_eq!(ignores.snapshot().open_for, Some(SECOND * 5));
    let at_once = builder().open_on_hint().build().unwrap();
    at_once.try_admit().unwrap().outcome(hinted(60));
    assert_eq!(at_once.snapshot().reason, Some(TransitionReason::Hint));
    assert_eq!(at_once.snapshot().open_for, Some(SECOND * 60));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_count() {
    let breaker = breaker();
    for outcome in [
        Outcome::Permanent,
        Outcome::NotReady(RetryHint::None),
        Outcome::Abandoned,
        Outcome::Success,
    ] {
        for _ in 0..10 {
            breaker.try_admit().unwrap().outcome(outcome);
        }
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
    let strict = builder().permanent_failures_count().build().unwrap();
    for _ in 0..2 {
        strict.try_admit().unwrap().outcome(Outcome::Permanent);
    }
    assert_eq!(strict.state(), CircuitState::Open);
}

/// Refusals of layers below are not the other side's, whatever the classifier thinks of errors.
#[tokio::test(start_paused = true)]
async fn rejections_from_below_are_classified() {
    for (kind, expected) in [
        (RejectionKind::TimedOut, CircuitState::Open),
        (RejectionKind::DeadlineExceeded, CircuitState::Closed),
        (RejectionKind::BulkheadFull, CircuitState::Closed),
        (RejectionKind::RateLimited, CircuitState::Closed),
        (RejectionKind::Shed, CircuitState::Closed),
        (RejectionKind::ShuttingDown, CircuitState::Closed),
    ] {
        let breaker = breaker();
        for _ in 0..2 {
            let refused = async { Err::<(), Error<()>>(Rejection::new(kind, "below").into()) };
            breaker.call(AnyError, refused).await.unwrap_err();
        }
        assert_eq!(breaker.state(), expected, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn by_hand() {
    let breaker = breaker();
    breaker.force_open_for(SECOND * 60);
    let refused = breaker.try_admit().unwrap_err();
    assert_eq!(refused.retry_after(), Some(SECOND * 60));
    assert!(breaker.is_pinned(clock::now()));
    tokio::time::advance(SECOND * 60).await;
    assert_eq!(breaker.state(), CircuitState::HalfOpen);
    breaker.force_open();
    assert_eq!(breaker.try_admit().unwrap_err().retry_after(), None);
    breaker.half_open().unwrap();
    breaker.close();
    breaker.force_closed();
    fail(&breaker, 100);
    assert_eq!(breaker.snapshot().streak, 100);
    breaker.disable();
    fail(&breaker, 100);
    breaker.reset();
    assert_eq!((breaker.state(), breaker.snapshot().opened), (CircuitState::Closed, 0));
    assert!(!breaker.is_pinned(clock::now()));
}

/// A configuration that is set while calls are under way reaches every circuit of the family.
#[tokio::test(start_paused = true)]
async fn rules_change_and_the_state_stays() {
    let one = breaker();
    let other = one.fresh();
    fail(&one, 1);
    fail(&other, 1);
    one.set_config(builder().consecutive_failures(4).config().unwrap());
    for breaker in [&one, &other] {
        fail(breaker, 2);
        assert_eq!(breaker.state(), CircuitState::Closed);
        fail(breaker, 1);
        assert_eq!(breaker.state(), CircuitState::Open);
    }
    one.set_config(builder().observe_only().config().unwrap());
    assert!(one.try_admit().is_ok() && other.try_admit().is_ok());
    // Half-open, with another number of probes to be decided by: they begin again.
    one.set_config(builder().probes(5).probes_succeed_by(ProbeRule::Ratio(0.2)).config().unwrap());
    one.half_open().unwrap();
    let probe = one.try_admit().unwrap();
    one.set_config(builder().config().unwrap());
    assert_eq!(one.snapshot().probes, 0);
    probe.success();
    assert_eq!(one.state(), CircuitState::HalfOpen);
    one.try_admit().unwrap().success();
    assert_eq!(one.state(), CircuitState::Closed);
}

/// A quiet call takes its place in a word, and not by rules that are no longer in force.
#[test]
fn what_ends_after_a_change_is_counted_by_the_new_rules() {
    let rules = |calls| builder().failure_rate(0.5, SlidingWindow::count(calls)).minimum_calls(2);
    let breaker = rules(100).build().unwrap();
    for _ in 0..3 {
        breaker.try_admit().unwrap().success();
    }
    let late = breaker.try_admit().unwrap();
    breaker.set_config(rules(10).config().unwrap());
    late.success();
    assert_eq!(breaker.snapshot().calls, 1);
}

#[tokio::test(start_paused = true)]
async fn a_restart_goes_on_where_it_was() {
    let make = || {
        let builder = builder().consecutive_failures(1).growing_break(SECOND * 4, 2.0, SECOND * 60);
        builder.build().unwrap()
    };
    let (before, after) = (make(), make());
    fail(&before, 1);
    tokio::time::advance(SECOND).await;
    let saved = before.save();
    assert_eq!(saved.open_for, Some(SECOND * 3));
    after.restore(saved);
    assert_eq!(after.try_admit().unwrap_err().retry_after(), Some(SECOND * 3));
    tokio::time::advance(SECOND * 3).await;
    fail(&after, 1);
    assert_eq!(after.snapshot().open_for, Some(SECOND * 8), "the growth is remembered");
    // Whatever is read from a file: it works.
    let mut odd = SavedCircuit::default();
    for state in
        [CircuitState::Open, CircuitState::ForcedOpen, CircuitState::Ramping, CircuitState::Closed]
    {
        (odd.state, odd.open_for, odd.closed_for) = (state, Some(Duration::MAX), Duration::MAX);
        (odd.steps, odd.opened) = (u16::MAX, u32::MAX);
        after.restore(odd);
        let _ = (after.snapshot(), after.try_admit());
        after.open();
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_has_all_details() {
    let breaker = builder().name("odds").build().unwrap();
    fail(&breaker, 2);
    tokio::time::advance(SECOND).await;
    let refused = breaker.try_admit().unwrap_err();
    assert_eq!(refused.to_string(), "odds: circuit open (2 failures, limit 2), retry in 4 s");
    tokio::time::advance(SECOND * 4).await;
    let _probe = breaker.try_admit().unwrap();
    let refused = breaker.try_admit().unwrap_err();
    assert_eq!(refused.to_string(), "odds: circuit open (1 probe, limit 1), retry in 5 s");
}

/// A handle without other clones is pinned while it has a state to lose.
#[tokio::test(start_paused = true)]
async fn pinned_while_open_and_while_calls_are_under_way() {
    let breaker = breaker();
    let pinned = || breaker.is_pinned(clock::now());
    assert!(!pinned());
    let call = breaker.try_admit_owned().unwrap();
    assert!(pinned());
    drop(call);
    fail(&breaker, 2);
    assert!(pinned());
    tokio::time::advance(SECOND * 5).await;
    assert!(!pinned());
}

#[test]
fn an_idle_circuit_is_small() {
    let breaker = CircuitBreaker::builder()
        .failure_rate(0.5, SlidingWindow::time(SECOND * 10))
        .failure_rate(0.5, SlidingWindow::count(100))
        .slow_calls(SECOND, 0.5, SlidingWindow::count(100))
        .build()
        .unwrap();
    breaker.try_admit().unwrap().success();
    println!("{} bytes", breaker.heap_bytes());
    // 128, and what an allocator adds to it.
    assert!(breaker.heap_bytes() <= 144, "{}", breaker.heap_bytes());
}

#[test]
fn impossible_configurations_are_named() {
    let named = |builder: resilience_core::breaker::CircuitBreakerBuilder| {
        builder.build().unwrap_err().field()
    };
    let new = CircuitBreaker::builder;
    let window = SlidingWindow::count(10);
    for share in [0.0, -1.0, 1.1, f64::NAN, f64::INFINITY, 0.123_456_78] {
        assert_eq!(named(new().failure_rate(share, window)), "failure_rate");
        assert_eq!(named(new().slow_calls(SECOND, share, window)), "slow_calls.share");
        assert_eq!(named(new().probes_succeed_by(ProbeRule::Ratio(share))), "probes_succeed_by");
    }
    for window in [SlidingWindow::count(0), SlidingWindow::count(u32::MAX)] {
        assert_eq!(named(new().failure_rate(0.5, window)), "window.count");
    }
    for length in [Duration::ZERO, Duration::MAX] {
        assert_eq!(named(new().failure_rate(0.5, SlidingWindow::time(length))), "window.time");
        assert_eq!(named(new().slow_calls(length, 0.5, window)), "slow_calls");
        assert_eq!(named(new().break_for(length)), "break_for");
        assert_eq!(named(new().growing_break(length, 2.0, SECOND)), "growing_break.first");
        assert_eq!(named(new().growing_break(SECOND, 2.0, length)), "growing_break.max");
        assert_eq!(named(new().break_memory(length)), "break_memory");
        assert_eq!(named(new().longest_hint(length)), "longest_hint");
        assert_eq!(named(new().max_half_open(length)), "max_half_open");
        assert_eq!(named(new().ramp([0.5], length)), "ramp.each");
    }
    let no_buckets = SlidingWindow::time_in(SECOND, 0);
    assert_eq!(named(new().failure_rate(0.5, no_buckets)), "window.buckets");
    assert_eq!(named(new().consecutive_failures(0)), "consecutive_failures");
    assert_eq!(named(new().consecutive_failures(65_536)), "consecutive_failures");
    assert_eq!(named(new().failure_rate(0.5, window).minimum_calls(11)), "minimum_calls");
    assert_eq!(named(new().minimum_calls(0)), "minimum_calls");
    assert_eq!(named(new().growing_break(SECOND * 2, 2.0, SECOND)), "growing_break.first");
    assert_eq!(named(new().growing_break(SECOND, 0.5, SECOND)), "growing_break.factor");
    assert_eq!(named(new().break_jitter(1.5)), "break_jitter");
    assert_eq!(named(new().ignore_hints().open_on_hint()), "open_on_hint");
    assert_eq!(named(new().probes(0)), "probes");
    assert_eq!(named(new().probes_succeed_by(ProbeRule::InARow(0))), "probes_succeed_by");
    assert_eq!(named(new().ramp([], SECOND)), "ramp.shares");
    for shares in [[0.5, 0.5], [0.0, 0.5], [0.5, 1.0], [f64::NAN, 0.5]] {
        assert_eq!(named(new().ramp(shares, SECOND)), "ramp.shares");
    }
    let slow = resilience_core::breaker::AbandonedPolicy::Slow;
    assert_eq!(named(new().abandoned(slow)), "abandoned");
}
