//! Configurations that are rejected.

use std::time::Duration;

use crate::{SECOND, critical, healthy};
use resilience_core::InvalidConfig;
use resilience_core::breaker::CircuitBreaker;
use resilience_core::health::{Check, Criticality, Health};

fn rejected(check: Check) -> InvalidConfig {
    Health::builder().check(check).build().unwrap_err()
}

#[test]
fn values_out_of_bounds_are_named_with_their_check() {
    let check = || critical(&healthy());
    let error = rejected(check().timeout(Duration::ZERO));
    assert_eq!(
        error.to_string(),
        "invalid configuration: `timeout` is 0s (check `it`), must be more than zero"
    );
    assert_eq!(rejected(check().timeout(Duration::MAX)).field(), "timeout");
    assert_eq!(rejected(check().ttl(Duration::MAX)).field(), "ttl");
    assert_eq!(rejected(check().failures_to_down(0)).field(), "failures_to_down");
    assert_eq!(rejected(check().successes_to_up(0)).field(), "successes_to_up");
    assert_eq!(rejected(healthy().check("", Criticality::Critical)).field(), "name");
    let year = 365 * 24 * 60 * 60 * SECOND;
    assert!(Health::builder().check(check().timeout(year).ttl(year)).build().is_ok());
}

#[test]
fn names_are_unique_among_checks_and_circuits() {
    let breaker = CircuitBreaker::builder().build().unwrap();
    let twice = Health::builder()
        .check(critical(&healthy()))
        .circuit_breaker("it", breaker, Criticality::Optional)
        .build()
        .unwrap_err();
    assert_eq!((twice.field(), twice.value()), ("name", "`it`"));
}
