//! Calls are counted by their outcome, exactly, and those that go well at no cost.

use std::time::Duration;

use proptest::prelude::*;
use resilience_core::breaker::{CircuitBreaker, OutcomeCounts, SlidingWindow};
use resilience_core::{Outcome, RetryHint};

fn ended(number: usize) -> Outcome {
    match number % 12 {
        0 => Outcome::Transient(RetryHint::None),
        1 => Outcome::TimedOut,
        2 => Outcome::Throttled(RetryHint::None),
        3 => Outcome::Permanent,
        4 => Outcome::Unknown,
        5 => Outcome::NotReady(RetryHint::None),
        6 => Outcome::Abandoned,
        _ => Outcome::Success,
    }
}

fn expected(numbers: &[usize]) -> OutcomeCounts {
    let mut counts = OutcomeCounts::default();
    for number in numbers {
        *match ended(*number) {
            Outcome::Transient(_) => &mut counts.transient,
            Outcome::TimedOut => &mut counts.timed_out,
            Outcome::Throttled(_) => &mut counts.throttled,
            Outcome::Permanent => &mut counts.permanent,
            Outcome::Unknown => &mut counts.unknown,
            Outcome::NotReady(_) => &mut counts.not_ready,
            Outcome::Abandoned => &mut counts.abandoned,
            _ => &mut counts.success,
        } += 1;
    }
    counts
}

proptest! {
    /// Whatever is watched, whichever of some circuits the call is of, and however late it ends.
    #[test]
    fn every_admitted_call_is_counted_once(
        calls in prop::collection::vec((any::<usize>(), 0_usize..3), 0..300),
        consecutive in prop::option::of(1_u32..5),
        held in 0_usize..20,
    ) {
        let builder = CircuitBreaker::builder().failure_rate(0.5, SlidingWindow::count(30));
        let builder = match consecutive {
            Some(failures) => builder.consecutive_failures(failures),
            None => builder,
        };
        let breaker = builder.break_for(Duration::from_secs(60)).build().unwrap();
        let mut circuits = [breaker.clone(), breaker.fresh(), breaker.fresh()];
        let (mut admitted, mut counted) = (Vec::new(), Vec::new());
        for (number, circuit) in calls {
            if let Ok(call) = circuits[circuit].try_admit_owned() {
                admitted.push((call, number));
            } else {
                // A circuit that is dropped leaves its calls.
                circuits[circuit] = breaker.fresh();
            }
            if admitted.len() > held {
                let (call, number) = admitted.remove(0);
                counted.push(number);
                match ended(number) {
                    Outcome::Success => call.success(),
                    Outcome::Abandoned => drop(call),
                    outcome => call.outcome(outcome),
                }
            }
        }
        for circuit in &circuits {
            let _flushed = circuit.outcomes();
        }
        prop_assert_eq!(breaker.outcomes(), expected(&counted));
        prop_assert_eq!(breaker.outcomes().total(), counted.len() as u64);
    }
}

#[test]
fn threads_lose_none() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..50_000 {
                    let call = breaker.try_admit().unwrap();
                    if number % 100 == 0 {
                        call.outcome(Outcome::Permanent);
                    } else {
                        call.success();
                    }
                    if number % 10_000 == 0 {
                        let _read = breaker.outcomes();
                    }
                }
            });
        }
    });
    let counts = breaker.outcomes();
    assert_eq!((counts.success, counts.permanent, counts.total()), (198_000, 2_000, 200_000));
}
