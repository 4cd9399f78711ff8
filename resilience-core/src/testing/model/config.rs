//! Model of configurations: any value of any field is valid or rejected.

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use crate::clock::{self, MAX_WAIT};
use crate::model_input::parse;
use crate::outcome::FailureClass;
use crate::retry::{RetryBudget, RetryCosts};
use crate::timeout::{DeadlineLayer, TimeoutLayer};

#[derive(Debug, Arbitrary)]
struct ConfigInput {
    numbers: [f64; 5],
    whole: [u32; 3],
    waits: [Duration; 3],
}

/// Asserts that any value of any field is either usable or rejected with the name of the field.
pub fn config(bytes: &[u8]) {
    let Some(ConfigInput { numbers, whole, waits }) = parse::<ConfigInput>(bytes) else { return };
    let [ratio, transient, timed_out, throttled, percent] = numbers;
    let share = RetryBudget::builder()
        .ratio(ratio)
        .window(waits[0])
        .reserve(whole[0])
        .costs(RetryCosts { transient, timed_out, throttled })
        .build();
    let budgets = [
        share,
        RetryBudget::percent(percent),
        RetryBudget::grpc(whole[0], ratio),
        RetryBudget::throttler(whole[0], whole[1], whole[2]),
        RetryBudget::aws_2_1().with_capacity(whole[0]),
    ];
    let now = clock::now();
    for budget in budgets {
        match budget {
            Ok(budget) => use_budget(&budget, now),
            Err(error) => assert!(!error.field().is_empty() && !error.bound().is_empty()),
        }
    }
    for layer in [TimeoutLayer::new(waits[1]).map(drop), DeadlineLayer::new(waits[2]).map(drop)] {
        assert!(layer.is_ok() || layer.is_err_and(|error| error.field() == "limit"));
    }
}

/// Asserts that a budget counts without overflow under any valid configuration.
fn use_budget(budget: &RetryBudget, now: Instant) {
    for age in [Duration::ZERO, Duration::from_millis(1), MAX_WAIT] {
        let now = clock::later(now, age);
        budget.call_started(now);
        budget.failed(FailureClass::TimedOut);
        budget.succeeded();
        let before = budget.available(now);
        drop(budget.withdraw(now, FailureClass::Throttled));
        assert_eq!(budget.available(now), before);
    }
}
