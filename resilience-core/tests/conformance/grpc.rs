//! gRPC: proposal A6 (retry throttling, pushback) and the scenarios of grpc-go's `retry_test.go`.

use std::cell::Cell;

use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy, StopReason, retry_blocking};
use resilience_core::{Outcome, RetryHint, clock};

use crate::{Call, Next, ms};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Code {
    Unavailable,
    AlreadyExists,
    Internal,
}

fn policy(
    budget: Option<RetryBudget>,
    retryable: Code,
) -> RetryPolicy<impl Fn(Result<&(), &Code>) -> Outcome> {
    let builder = RetryPolicy::builder().max_attempts(4).backoff(Backoff::none());
    match budget {
        Some(budget) => builder.budget(budget),
        None => builder.without_budget(),
    }
    .classify(move |result: Result<&(), &Code>| match result {
        Ok(()) => Outcome::Success,
        Err(code) if *code == retryable => Outcome::transient(),
        Err(_) => Outcome::Permanent,
    })
    .build()
    .unwrap()
}

/// Ten tokens, ratio a half, four attempts. The server counts attempts from 0 and answers OK at
/// some.
#[test]
fn retry_throttling() {
    const OK: [u32; 10] = [0, 3, 6, 10, 11, 12, 13, 14, 16, 18];
    let budget = RetryBudget::grpc(10, 0.5).unwrap();
    let policy = policy(Some(budget.clone()), Code::Unavailable);
    let index = Cell::new(0);
    let expected = [
        (true, 0, 10.0),
        (true, 3, 8.5),
        (true, 6, 7.0),
        (false, 8, 5.0),
        (false, 9, 4.0),
        (true, 10, 4.5),
        (true, 11, 5.0),
        (true, 12, 5.5),
        (true, 13, 6.0),
        (true, 14, 6.5),
        (true, 16, 6.0),
        (false, 17, 5.0),
    ];
    for (call, (ok, last, tokens)) in expected.into_iter().enumerate() {
        let mut seen = 0;
        let result = retry_blocking(&policy, || {
            seen = index.replace(index.get() + 1);
            if OK.contains(&seen) { Ok(()) } else { Err(Code::Unavailable) }
        });
        assert_eq!((result.is_ok(), seen), (ok, last), "call {}", call + 1);
        assert_eq!(budget.available(clock::now()), tokens, "call {}", call + 1);
    }
}

/// Seven calls, one retryable code, four attempts each.
#[test]
fn unary_retries() {
    let policy = policy(None, Code::AlreadyExists);
    let index = Cell::new(0);
    let expected = [
        (Ok(()), 0),
        (Ok(()), 2),
        (Ok(()), 5),
        (Err(Code::Internal), 6),
        (Err(Code::Internal), 8),
        (Err(Code::Internal), 11),
        (Err(Code::AlreadyExists), 15),
    ];
    for (result, last) in expected {
        let mut seen = 0;
        let got = retry_blocking(&policy, || {
            seen = index.replace(index.get() + 1);
            match seen {
                0 | 2 | 5 => Ok(()),
                6 | 8 | 11 => Err(Code::Internal),
                _ => Err(Code::AlreadyExists),
            }
        });
        assert_eq!((got, seen), (result, last));
    }
}

/// The delay before retry n is min(initial · multⁿ⁻¹, max) · U(0.8, 1.2). At the maximum theirs
/// goes 20 % above it; ours is limited before the draw and stays within.
#[test]
fn backoff_within_twenty_percent() {
    let backoff = Backoff::exponential(ms(100), ms(1_000)).and_then(|it| it.with_factor(3.0));
    let backoff = backoff.and_then(|it| it.jittered(0.2)).unwrap();
    let (mut low, mut high) = (backoff.schedule(), backoff.schedule());
    for (least, most) in [(80, 120), (240, 360), (720, 1_000), (800, 1_000)] {
        assert_eq!((low.next(0.0), high.next(1.0)), (ms(least), ms(most)));
    }
}

#[test]
fn pushback() {
    let policy = RetryPolicy::builder()
        .max_attempts(5)
        .backoff(Backoff::exponential(ms(10), ms(10_000)))
        .budget(RetryBudget::grpc(100, 0.5).unwrap())
        .build()
        .unwrap();
    // "Do not retry" (a negative, a word, two values) is `Never`, and counts as a failure.
    let refused = Call::new(&policy, 0.0).ends(Outcome::Transient(RetryHint::Never));
    assert_eq!(refused, Next::Stop(StopReason::ServerForbids));
    assert_eq!(policy.budget().unwrap().available(clock::now()), 99.0);
    // "1000": not before a second, and the delay after that restarts from the initial one.
    let mut call = Call::new(&policy, 0.0);
    assert_eq!(call.ends(Outcome::transient()), Next::Wait(ms(10)));
    assert_eq!(call.ends(Outcome::transient()), Next::Wait(ms(20)));
    assert_eq!(call.ends(Outcome::Transient(RetryHint::After(ms(1_000)))), Next::Wait(ms(1_000)));
    assert_eq!(call.ends(Outcome::transient()), Next::Wait(ms(10)));
}
