//! A circuit breaker that counts its probes when they have ended.
//!
//! "At most three calls while half open" is true if the third has failed before the fourth is made.
//! Two hundred calls made at once all read a count of zero and are allowed.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Consecutive failures that open the circuit.
const FAILURES: u32 = 5;

/// Time that the circuit stays open: five minutes in production.
pub(in crate::scrape) const BREAK: Duration = Duration::from_secs(1);

/// Calls allowed in the half-open state.
const PROBES: u32 = 3;

/// Circuit breaker of one upstream.
#[derive(Debug, Default)]
pub(in crate::scrape) struct Breaker(Mutex<State>);

#[derive(Debug, Clone, Copy)]
enum State {
    Closed { failures: u32 },
    Open { since: Instant },
    HalfOpen { probes: u32 },
}

impl Default for State {
    fn default() -> State {
        State::Closed { failures: 0 }
    }
}

impl Breaker {
    /// Returns `true` if a call may be made.
    pub(in crate::scrape) fn allows(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        match *state {
            State::Closed { .. } => true,
            State::Open { since } if now < since + BREAK => false,
            State::Open { .. } => {
                *state = State::HalfOpen { probes: 0 };
                true
            }
            State::HalfOpen { probes } => probes < PROBES,
        }
    }

    /// Records the result of a call.
    pub(in crate::scrape) fn record(&self, now: Instant, succeeded: bool) {
        let mut state = self.0.lock();
        *state = match *state {
            State::HalfOpen { probes } if succeeded && probes + 1 < PROBES => {
                State::HalfOpen { probes: probes + 1 }
            }
            _ if succeeded => State::default(),
            State::Closed { failures } if failures + 1 < FAILURES => {
                State::Closed { failures: failures + 1 }
            }
            _ => State::Open { since: now },
        }
    }
}

/// Circuit breakers by name. Creates one for each new name, and never removes any.
#[derive(Debug, Default)]
pub(in crate::scrape) struct Manager(Mutex<HashMap<String, Breaker>>);

impl Manager {
    /// Makes a successful call under this name. Keeps the breaker, now in its initial state again.
    pub(in crate::scrape) fn succeed(&self, name: String, now: Instant) {
        let mut breakers = self.0.lock();
        let breaker = breakers.entry(name).or_default();
        if breaker.allows(now) {
            breaker.record(now, true);
        }
    }

    pub(in crate::scrape) fn len(&self) -> usize {
        self.0.lock().len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use resilience_core::clock;

    fn open(at: Instant) -> Breaker {
        let breaker = Breaker::default();
        (0..FAILURES).for_each(|_| breaker.record(at, false));
        breaker
    }

    #[test]
    fn probes_are_limited_while_one_call_is_made_at_a_time() {
        let start = clock::now();
        let breaker = open(start);
        assert!(!breaker.allows(start + BREAK / 2));
        assert!(breaker.allows(start + BREAK));
        breaker.record(start + BREAK, false);
        assert!(!breaker.allows(start + BREAK));
        for _ in 0..PROBES {
            assert!(breaker.allows(start + BREAK * 2));
            breaker.record(start + BREAK * 2, true);
        }
        breaker.record(start + BREAK * 2, false);
        assert!(breaker.allows(start + BREAK * 2), "closed");
    }

    #[test]
    fn two_hundred_probes_at_once_are_all_allowed() {
        let start = clock::now();
        let breaker = open(start);
        assert!((0..200).all(|_| breaker.allows(start + BREAK)));
    }

    #[test]
    fn every_name_is_kept() {
        let manager = Manager::default();
        let now = clock::now();
        (0..3).for_each(|day| manager.succeed(day.to_string(), now));
        manager.succeed("2".into(), now);
        assert_eq!(manager.len(), 3);
    }
}
