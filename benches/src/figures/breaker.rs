//! Calls through a closed circuit, and through an open circuit.

use std::hint::black_box;
use std::time::Duration;

use resilience_core::AnyError;
use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer, SlidingWindow};
use tower::{BoxError, Layer};

use super::answer::both;
use super::floor::{Lines, floor, floor_of_service};
use super::peers::{breakers, seatbelt, tower_resilience};
use super::{Figure, names};
use crate::cost::{Role, Subject};

const FLOOR: &str = "one clock read, one read-modify-write";
const SYNC: &str = "async, keys, slow calls, a limit on calls while half-open";
const FUTURE: &str = "keys that are bounded; boxes its future, allocates its events";

fn least(lines: &Lines) {
    lines.clock();
    lines.add(0);
}

/// Returns the cost of a call through the handles.
pub(super) fn handle() -> Result<Figure, BoxError> {
    let mut subjects = floor(least);
    for (name, breaker) in
        [(names::TRY_ADMIT, by_time()?), ("our handle, count window", by_count()?)]
    {
        let admit = move || {
            if let Ok(admitted) = breaker.try_admit() {
                admitted.success();
            }
        };
        subjects.push(Subject::function(Role::Ours, name, admit));
    }
    subjects.push(breakers::failsafe().lacks(SYNC));
    subjects.push(
        breakers::recloser()
            .lacks("async, keys, slow calls, a time window: it reads no clock while closed"),
    );
    Ok(Figure::new(names::BREAKER, FLOOR, subjects))
}

/// Returns the cost of a call through the layers.
pub(super) fn layer() -> Result<Figure, BoxError> {
    let mut subjects = floor_of_service(least);
    subjects.extend(both(|inner| {
        let ours = |name, breaker| {
            let layer = CircuitBreakerLayer::new(breaker).classifier(AnyError);
            Subject::service(Role::Ours, name, layer.layer(inner))
        };
        let theirs = |name, layer| Subject::service(Role::Peer, name, layer);
        let [count, time] = tower_resilience::breakers(inner)?;
        Ok(vec![
            ours(names::LAYER_BY_TIME, by_time()?),
            ours("our layer, count window", by_count()?),
            ours("our layer, slow calls", slow()?),
            theirs("tower-resilience, count window", count).lacks(FUTURE),
            theirs("tower-resilience, time window", time)
                .lacks("a bound on its window: one record a call, 100 ms of them here"),
        ])
    })?);
    let seatbelt = Subject::calls(Role::Peer, "seatbelt", seatbelt::breaker()?);
    subjects.push(seatbelt.lacks("a count window, slow calls; a bound on keys"));
    Ok(Figure::new(names::BREAKER_LAYER, FLOOR, subjects))
}

/// Returns the cost of a rejection.
pub(super) fn refusal() -> Result<Figure, BoxError> {
    let mut subjects = floor(least);
    let open = by_time()?;
    open.force_open();
    subjects.push(Subject::function(Role::Ours, names::REFUSED, move || {
        let _ = black_box(open.try_admit());
    }));
    subjects.push(breakers::failsafe_open().lacks(SYNC));
    subjects.push(breakers::recloser_open().lacks(SYNC));
    Ok(Figure::new(names::REFUSAL, FLOOR, subjects))
}

fn by_time() -> Result<CircuitBreaker, BoxError> {
    Ok(CircuitBreaker::builder().build()?)
}

fn by_count() -> Result<CircuitBreaker, BoxError> {
    Ok(CircuitBreaker::builder().failure_rate(0.5, SlidingWindow::count(100)).build()?)
}

fn slow() -> Result<CircuitBreaker, BoxError> {
    let window = SlidingWindow::time(Duration::from_secs(10));
    Ok(CircuitBreaker::builder().slow_calls(Duration::from_secs(1), 0.5, window).build()?)
}
