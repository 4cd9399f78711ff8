//! The circuit breaker among threads, listeners, timeouts and callers that leave.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod detectors;
mod half_open;
mod handle;
mod keyed;
mod layer;
mod outcomes;
mod peers;
mod quiet;
mod reads;
mod rejections;
mod shards;

use std::io;
use std::time::Duration;

use resilience_core::Outcome;
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerBuilder};
use tower::BoxError;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Opens at the second failure in a row, for 5 s; one probe.
pub(crate) fn builder() -> CircuitBreakerBuilder {
    CircuitBreaker::builder()
        .consecutive_failures(2)
        .break_for(SECOND * 5)
        .break_jitter(0.0)
        .probes(1)
}

pub(crate) fn breaker() -> CircuitBreaker {
    builder().build().unwrap()
}

pub(crate) fn fail(breaker: &CircuitBreaker, times: usize) {
    for _ in 0..times {
        breaker.try_admit().unwrap().outcome(Outcome::transient());
    }
}

/// A failure that may pass.
pub(crate) fn reset() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}
