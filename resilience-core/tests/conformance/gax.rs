//! google-cloud-rust's gax: `retry_throttler`, `exponential_backoff`, `retry_policy`,
//! `retry_loop_internal`.

use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy, StopReason};
use resilience_core::{Outcome, clock};

use crate::{Call, Next, ms};

fn policy(budget: &RetryBudget) -> RetryPolicy {
    RetryPolicy::builder()
        .max_attempts(2)
        .backoff(Backoff::none())
        .budget(budget.clone())
        .build()
        .unwrap()
}

/// Returns `true` if a retry would be granted after a failure that does not count itself.
fn throttled(budget: &RetryBudget) -> bool {
    let class = resilience_core::FailureClass::Transient;
    budget.withdraw(clock::now(), class).is_err()
}

/// The bucket: 100 tokens, none at 50 or below, an error takes ten, anything else gives one.
#[test]
fn bucket_throttler() {
    let budget = RetryBudget::throttler(100, 50, 10).unwrap();
    let policy = policy(&budget);
    let end = |outcome, times| {
        for _ in 0..times {
            Call::new(&policy, 0.0).ends(outcome);
        }
    };
    end(Outcome::transient(), 4);
    assert!(!throttled(&budget));
    end(Outcome::transient(), 2);
    assert!(throttled(&budget));
    assert_eq!(budget.available(clock::now()), 40.0);
    end(Outcome::Success, 10);
    assert!(throttled(&budget));
    end(Outcome::Success, 1);
    assert!(!throttled(&budget));
    end(Outcome::transient(), 1);
    // A permanent error is an answer from a server that is well.
    end(Outcome::Permanent, 9);
    assert!(throttled(&budget));
    end(Outcome::Permanent, 1);
    assert!(!throttled(&budget));
}

#[test]
fn impossible_buckets_are_rejected() {
    assert_eq!(RetryBudget::throttler(50, 100, 10).unwrap_err().field(), "min_tokens");
}

#[test]
fn backoff_from_one_to_sixty_seconds() {
    let backoff = Backoff::full_jitter(ms(1_000), ms(60_000)).unwrap();
    let mut schedule = backoff.schedule();
    let ends: Vec<_> = (0..8).map(|_| schedule.next(1.0).as_secs()).collect();
    assert_eq!(ends, [1, 2, 4, 8, 16, 32, 60, 60]);
    // Theirs clamps the factor to 1–32; ours refuses what is not a factor.
    for factor in [0.5, f64::NAN] {
        assert_eq!(backoff.with_factor(factor).unwrap_err().field(), "factor");
    }
}

/// Less time left than the next delay takes: stop now, with the last error.
#[test]
fn no_sleep_that_cannot_finish() {
    let policy = RetryPolicy::builder().backoff(Backoff::constant(ms(500))).build().unwrap();
    let at = |left| Call::new(&policy, 0.0).within(ms(left)).ends(Outcome::transient());
    assert_eq!(at(501), Next::Wait(ms(500)));
    let (needed, remaining) = (ms(500), ms(499));
    assert_eq!(at(499), Next::Stop(StopReason::DeadlineTooNear { needed, remaining }));
}
