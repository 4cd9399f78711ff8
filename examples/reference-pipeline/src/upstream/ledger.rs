//! Counts of the requests that reached the upstream, by caller and by time.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::odds::OddsStatement;

/// The length of the window in which arrivals are counted for the peak.
pub const WINDOW: Duration = Duration::from_millis(50);

/// Part that the upstream plays for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a new part must be counted somewhere")]
pub enum Part {
    /// Serving game days.
    Season,
    /// Rejecting a herd.
    Herd,
    /// Being unavailable.
    Dead,
    /// Being unavailable, to calls of half-open circuit breakers.
    HalfOpen,
}

/// A caller and the path that it requests.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Name that the client sends.
    pub client: String,
    /// Requested path.
    pub path: String,
}

/// All arrivals of one arm. Reads no clock: callers pass the time.
#[derive(Debug, Default)]
pub struct Ledger {
    parts: BTreeMap<Part, Arrivals>,
    by_path: HashMap<String, u32>,
    callers: HashMap<Caller, NotBefore>,
}

#[derive(Debug, Default)]
struct Arrivals {
    calls: u64,
    early: u64,
    /// Instants of all requests but each caller's first.
    repeats: Vec<Instant>,
}

/// Instant of the last `Retry-After` sent to a caller; `None` if there was none.
#[derive(Debug, Default)]
struct NotBefore(Option<Instant>);

impl Ledger {
    /// Records a request. Returns the number of earlier requests for the same path.
    pub fn arrive(&mut self, now: Instant, part: Part, caller: &Caller) -> u32 {
        let arrivals = self.parts.entry(part).or_default();
        arrivals.calls += 1;
        if let Some(NotBefore(not_before)) = self.callers.get(caller) {
            arrivals.repeats.push(now);
            arrivals.early += u64::from(not_before.is_some_and(|instant| now < instant));
        } else {
            self.callers.insert(caller.clone(), NotBefore::default());
        }
        let before = self.by_path.entry(caller.path.clone()).or_default();
        *before += 1;
        *before - 1
    }

    /// Records that `caller` was sent a `Retry-After` that ends at `until`.
    pub fn sent_retry_after(&mut self, caller: Caller, until: Instant) {
        self.callers.entry(caller).or_default().0 = Some(until);
    }

    /// Returns the sums, with those of the odds API and the number of connections.
    #[must_use]
    pub fn statement(&self, poison_path: &str, odds: OddsStatement, connections: u64) -> Statement {
        let part = |part| self.parts.get(&part).map(Arrivals::sums).unwrap_or_default();
        Statement {
            season: part(Part::Season),
            herd: part(Part::Herd),
            dead: part(Part::Dead),
            half_open: part(Part::HalfOpen),
            odds,
            connections,
            poison_calls: self.by_path.get(poison_path).copied().unwrap_or_default().into(),
        }
    }
}

impl Arrivals {
    fn sums(&self) -> Sums {
        Sums { calls: self.calls, early: self.early, peak_again: peak(&self.repeats, WINDOW) }
    }
}

/// Returns the largest number of instants in any half-open window of this length.
pub(super) fn peak(instants: &[Instant], window: Duration) -> u64 {
    let mut sorted = instants.to_vec();
    sorted.sort_unstable();
    let inside = |first: usize| {
        let end = sorted[first] + window;
        sorted.partition_point(|instant| *instant < end) - first
    };
    (0..sorted.len()).map(inside).max().unwrap_or_default() as u64
}

/// Sums of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Statement {
    /// Requests for game days.
    pub season: Sums,
    /// Requests of the herd at the outage.
    pub herd: Sums,
    /// Calls to the unavailable upstream.
    pub dead: Sums,
    /// Calls of half-open circuit breakers to it.
    pub half_open: Sums,
    /// Calls to the odds API.
    pub odds: OddsStatement,
    /// Connections accepted by the port that counts them.
    pub connections: u64,
    /// Requests for the poison day.
    pub poison_calls: u64,
}

/// Sums of one part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Requests on the wire.
    pub calls: u64,
    /// Requests that arrived before the `Retry-After` of their caller had passed.
    pub early: u64,
    /// The most requests in any [`WINDOW`] without each caller's first: those are the load, the
    /// others are the repetitions that failures cause.
    pub peak_again: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use resilience_core::clock;

    fn sums(ledger: &Ledger, poison: &str) -> Statement {
        ledger.statement(poison, OddsStatement::default(), 0)
    }

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn caller(client: &str) -> Caller {
        Caller { client: client.into(), path: "/days/1".into() }
    }

    #[test]
    fn a_call_is_early_if_its_own_caller_was_sent_a_later_retry_after() {
        let mut ledger = Ledger::default();
        let start = clock::now();
        ledger.arrive(start, Part::Season, &caller("a"));
        ledger.sent_retry_after(caller("a"), start + MS(1_000));
        ledger.arrive(start + MS(1), Part::Season, &caller("b"));
        ledger.arrive(start + MS(999), Part::Season, &caller("a"));
        ledger.arrive(start + MS(1_000), Part::Season, &caller("a"));
        let sums = sums(&ledger, "").season;
        assert_eq!((sums.calls, sums.early), (4, 1));
    }

    #[test]
    fn arrivals_are_numbered_by_path() {
        let mut ledger = Ledger::default();
        let now = clock::now();
        assert_eq!(ledger.arrive(now, Part::Season, &caller("a")), 0);
        assert_eq!(ledger.arrive(now, Part::Season, &caller("b")), 1);
        assert_eq!(sums(&ledger, "/days/1").poison_calls, 2);
    }

    #[test]
    fn the_peak_is_of_a_sliding_window_without_the_first_calls() {
        let mut ledger = Ledger::default();
        let start = clock::now();
        for client in ["a", "b", "c", "d"] {
            ledger.arrive(start, Part::Herd, &caller(client));
        }
        assert_eq!(sums(&ledger, "").herd.peak_again, 0);
        for (client, at) in [("a", 0), ("b", 40), ("c", 80), ("d", 89), ("a", 130)] {
            ledger.arrive(start + MS(500 + at), Part::Herd, &caller(client));
        }
        // The window from 540 to 590 ms, its end excluded.
        assert_eq!(sums(&ledger, "").herd.peak_again, 3);
    }
}
