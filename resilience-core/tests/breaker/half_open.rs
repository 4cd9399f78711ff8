//! Exactly the configured number of probes, however many calls come.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use crate::{SECOND, breaker, builder, fail};
use resilience_core::Outcome;
use resilience_core::breaker::{AbandonedPolicy, CircuitState, ProbeRule};

const THREADS: usize = 64;
const ASKS: usize = 16;

/// 1,024 calls on 64 threads at once, a hundred times, each time for another number of probes.
#[test]
fn a_stampede_gets_as_many_probes_as_there_are() {
    for probes in [1, 3, 7, 100] {
        let breaker = builder().probes(probes).build().unwrap();
        let mut rounds = Vec::new();
        let (barrier, admitted) = (Barrier::new(THREADS + 1), AtomicUsize::new(0));
        thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..25 {
                        barrier.wait();
                        let held: Vec<_> =
                            (0..ASKS).filter_map(|_| breaker.try_admit().ok()).collect();
                        admitted.fetch_add(held.len(), Ordering::SeqCst);
                        barrier.wait();
                        // All are dropped before the next round begins, and decide nothing.
                        drop(held);
                        barrier.wait();
                    }
                });
            }
            for _ in 0..25 {
                breaker.open();
                let _ = breaker.half_open();
                barrier.wait();
                barrier.wait();
                rounds.push(admitted.swap(0, Ordering::SeqCst));
                barrier.wait();
            }
        });
        // After the threads have ended: one that waits for a round that never comes would hang.
        assert_eq!(rounds, [probes as usize; 25]);
    }
}

/// Threads that ask, drop, fail and succeed at random moments: never more under way than there may
/// be.
#[test]
fn never_more_probes_under_way_than_there_may_be() {
    let breaker = builder().probes(3).probes_succeed_by(ProbeRule::InARow(1_000)).build().unwrap();
    breaker.open();
    breaker.half_open().unwrap();
    let (under_way, peak) = (AtomicUsize::new(0), AtomicUsize::new(0));
    thread::scope(|scope| {
        for thread in 0..8 {
            let (breaker, under_way, peak) = (&breaker, &under_way, &peak);
            scope.spawn(move || {
                for n in 0..100 {
                    let Ok(probe) = breaker.try_admit() else { continue };
                    peak.fetch_max(under_way.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                    thread::yield_now();
                    under_way.fetch_sub(1, Ordering::SeqCst);
                    if (n + thread) % 3 == 0 { drop(probe) } else { probe.success() }
                }
            });
        }
    });
    assert!((1..=3).contains(&peak.load(Ordering::SeqCst)));
    assert_eq!((breaker.state(), breaker.snapshot().probes), (CircuitState::HalfOpen, 0));
}

#[tokio::test(start_paused = true)]
async fn what_an_abandoned_probe_means() {
    for (policy, expected) in [
        (AbandonedPolicy::Ignore, CircuitState::HalfOpen),
        (AbandonedPolicy::Failure, CircuitState::Open),
    ] {
        let breaker = builder().abandoned(policy).build().unwrap();
        fail(&breaker, 2);
        tokio::time::advance(SECOND * 5).await;
        drop(breaker.try_admit().unwrap());
        assert_eq!(breaker.state(), expected, "{policy:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ramp_lets_a_growing_share_pass() {
    let breaker = builder().ramp([0.1, 0.5], SECOND * 10).build().unwrap();
    fail(&breaker, 2);
    tokio::time::advance(SECOND * 5).await;
    breaker.try_admit().unwrap().success();
    for share in [0.1, 0.5] {
        assert_eq!(breaker.state(), CircuitState::Ramping);
        let passed = (0..10_000).filter_map(|_| breaker.try_admit().ok()).count() as f64;
        // Five standard deviations.
        assert!((passed - 10_000.0 * share).abs() < 250.0, "{passed} at {share}");
        tokio::time::advance(SECOND * 10).await;
    }
    assert_eq!(breaker.state(), CircuitState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_failure_in_a_ramp_opens_again_for_longer() {
    let breaker = builder()
        .growing_break(SECOND * 5, 2.0, SECOND * 60)
        .ramp([0.999], SECOND * 10)
        .build()
        .unwrap();
    fail(&breaker, 2);
    tokio::time::advance(SECOND * 5).await;
    breaker.try_admit().unwrap().success();
    let call = std::iter::repeat_with(|| breaker.try_admit()).find_map(Result::ok).unwrap();
    call.outcome(Outcome::TimedOut);
    assert_eq!(breaker.snapshot().open_for, Some(SECOND * 10));
}

#[test]
fn a_closed_circuit_has_no_probes_to_give() {
    assert!(breaker().half_open().is_err());
}
