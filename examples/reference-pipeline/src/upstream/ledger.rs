//! Counts of the requests at the upstream: when each caller came, and how often too early.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::odds::OddsStatement;

/// Length of the window in which arrivals are counted for the peak.
pub const WINDOW: Duration = Duration::from_millis(50);

/// The role of the upstream for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(clippy::exhaustive_enums, reason = "a new part must be counted somewhere")]
pub enum Part {
    /// Serves game days.
    Season,
    /// Rejects a herd.
    Herd,
    /// Is dead.
    Dead,
    /// Is dead when a half-open circuit probes it.
    HalfOpen,
}

/// A client and the path of its request.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Caller {
    /// Name of the client, from its request header.
    pub client: String,
    /// Path of the request.
    pub path: String,
}

/// All arrivals of one arm. Takes the time as an argument.
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
    /// Arrivals except the first one of each caller.
    again: Vec<Instant>,
}

/// State of a known caller: the end of its `Retry-After`.
#[derive(Debug, Default)]
struct NotBefore(Option<Instant>);

impl Ledger {
    /// Counts a request. Returns the number of earlier requests for its path.
    pub fn arrive(&mut self, now: Instant, part: Part, caller: &Caller) -> u32 {
        let arrivals = self.parts.entry(part).or_default();
        arrivals.calls += 1;
        if let Some(standing) = self.callers.get(caller) {
            arrivals.again.push(now);
            arrivals.early += u64::from(standing.not_before.is_some_and(|until| now < until));
        } else {
            self.callers.insert(caller.clone(), NotBefore::default());
        }
        let before = self.by_path.entry(caller.path.clone()).or_default();
        *before += 1;
        *before - 1
    }

    /// Records a `Retry-After` of this caller that ends at `until`.
    pub fn set_retry_after(&mut self, caller: Caller, until: Instant) {
        self.callers.entry(caller).or_default().not_before = Some(until);
    }

    /// Returns the sums, together with those of the odds API and the number of connections.
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

/// Returns the most instants within any half-open window of this length.
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
    /// Requests to the dead upstream.
    pub dead: Sums,
    /// Probes of the dead upstream.
    pub half_open: Sums,
    /// Requests for odds.
    pub odds: OddsStatement,
    /// Connections at the port that counts them.
    pub connections: u64,
    /// Requests for the poison day.
    pub poison_calls: u64,
}

/// Sums of one part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sums {
    /// Requests on the wire.
    pub calls: u64,
    /// Requests before the end of their caller's `Retry-After`.
    pub early: u64,
    /// Most requests in any [`WINDOW`], without the first one of each caller: the first ones are
    /// the load, the others are retries.
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
    fn a_request_is_early_before_the_retry_after_of_its_caller() {
        let (mut ledger, start) = (Ledger::default(), clock::now());
        ledger.arrive(start, Part::Season, &caller("a"));
        ledger.set_retry_after(caller("a"), start + MS(1_000));
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
