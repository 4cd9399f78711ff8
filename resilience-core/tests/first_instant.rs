//! The first instant that is passed in a process does not affect later ones. A binary of its
//! own, since the first instant of a process is shared by all its tests.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use resilience_core::breaker::{Circuit, CircuitConfig, CircuitState};
use resilience_core::keyed::{Keyed, KeyedLimits};
use resilience_core::rate::{Decision, Quota, RateLimiter, TokenBucket};
use resilience_core::retry::RetryBudget;
use resilience_core::{Deadline, FailureClass, Outcome, clock};

const SECOND: Duration = Duration::from_secs(1);
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[test]
fn a_far_instant_first_freezes_nothing() {
    let now = clock::now();
    let far = now + 2 * YEAR;
    assert_eq!(Deadline::at(far).instant(), far);
    for years in [1, 2, 50, 150, 300, 500] {
        let _ahead = Deadline::at(now + years * YEAR);
        let _behind = now.checked_sub(years * YEAR).map(Deadline::at);
        every_engine_goes_on(now + SECOND * years);
    }
}

/// Ten calls a second: ten at once, and ten more a second later.
fn every_engine_goes_on(now: Instant) {
    let quota = Quota::per_second(10).unwrap();
    let mut bucket = TokenBucket::new(quota);
    let limiter = RateLimiter::builder().quota(quota).reject().build().unwrap();
    let each = limiter.fresh();
    let keyed = Keyed::new(KeyedLimits::default(), move |_: &u8| each.fresh());
    for at in [now, now + SECOND, now + YEAR] {
        let conforms = |_: &u32| bucket.take(at, 1) == Decision::Conforms;
        assert_eq!((0..20).filter(conforms).count(), 10);
        assert_eq!((0..20).filter(|_| limiter.check_at(at, 1).is_ok()).count(), 10);
        let passes = |_: &u32| keyed.with(&1, at, |limiter| limiter.check_at(at, 1).is_ok());
        assert_eq!((0..20).filter(passes).count(), 10);
    }
    circuit_recovers(now);
    budget_expires(now);
    let deadline = Deadline::after(now, SECOND);
    assert!(!deadline.has_passed(now) && deadline.has_passed(now + SECOND));
    assert_eq!((deadline.instant(), deadline.remaining(now)), (now + SECOND, SECOND));
}

fn circuit_recovers(now: Instant) {
    let config = CircuitConfig::builder().consecutive_failures(1).break_for(SECOND);
    let config = config.break_jitter(0.0).config().unwrap();
    let mut circuit = Circuit::new();
    let admission = circuit.admit(&config, now, || 0.5).unwrap();
    circuit.record(&config, admission, Outcome::transient(), now, || 0.5);
    assert_eq!(circuit.rejection(&config, now).unwrap().retry_after, Some(SECOND));
    circuit.advance(&config, now + SECOND, || 0.5);
    assert_eq!(circuit.state(), CircuitState::HalfOpen);
}

fn budget_expires(now: Instant) {
    let budget = RetryBudget::builder().ratio(1.0).reserve(0).window(SECOND).build().unwrap();
    budget.call_started(now);
    assert_eq!(budget.available(now), 1.0);
    assert!(budget.withdraw(now + 2 * SECOND, FailureClass::Transient).is_err());
}
