//! Finagle's windowed budget, by the test suite of tower's port of it (`tps_budget.rs`), and the
//! table of percentages that the port fails at three rows of ten.

use std::time::Instant;

use resilience_core::FailureClass;
use resilience_core::clock;
use resilience_core::retry::RetryBudget;

use crate::ms;

fn budget(ratio: f64, reserve: u32) -> RetryBudget {
    RetryBudget::builder().ratio(ratio).reserve(reserve).window(ms(1_000)).build().unwrap()
}

fn granted(budget: &RetryBudget, now: Instant) -> bool {
    budget.withdraw(now, FailureClass::Transient).map(|it| it.sent()).is_ok()
}

#[test]
fn an_empty_budget_rejects() {
    assert!(!granted(&budget(1.0, 0), clock::now()));
}

#[test]
fn deposits_leak() {
    let (budget, start) = (budget(1.0, 0), clock::now());
    budget.call_started(start);
    assert!(!granted(&budget, start + ms(3_000)));
}

#[test]
fn half_a_retry_for_each_call() {
    let (budget, start) = (budget(0.5, 0), clock::now());
    budget.call_started(start);
    budget.call_started(start);
    assert!(granted(&budget, start + ms(901)));
    assert!(!granted(&budget, start + ms(901)));
    assert!(!granted(&budget, start + ms(2_001)));
}

#[test]
fn deposits_across_slots_add_up() {
    let (budget, start) = (budget(0.5, 0), clock::now());
    budget.call_started(start);
    budget.call_started(start + ms(301));
    budget.call_started(start + ms(801));
    assert!(granted(&budget, start + ms(801)));
    assert!(!granted(&budget, start + ms(801)));
}

#[test]
fn the_reserve_is_spent_once() {
    let (budget, start) = (budget(0.5, 5), clock::now());
    for _ in 0..5 {
        assert!(granted(&budget, start));
    }
    assert!(!granted(&budget, start));
    // Theirs has it back when the window has passed, for ever; ours has to earn it.
    assert!(!granted(&budget, start + ms(60_000)));
}

/// Ten thousand calls that all fail: as many retries as the percentage allows, at any
/// percentage.
#[test]
fn every_percentage_is_exact() {
    for ratio in [0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0, 2.0] {
        let (budget, start) = (budget(ratio, 0), clock::now());
        let mut retries = 0;
        for _ in 0..10_000 {
            budget.call_started(start);
            while granted(&budget, start) {
                retries += 1;
            }
        }
        assert_eq!(retries, (10_000.0 * ratio).round() as u32, "ratio {ratio}");
    }
}
