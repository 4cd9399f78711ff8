//! Assertions on the layers that reject calls (rate limits, circuit breakers, bulkheads), and on
//! the state that is kept for each key.
//!
//! The bounds follow from `profiles.toml`. Any other file must satisfy them too.

use super::arm::Run;
use super::assertions::{Assertion, Figure, count};
use super::options::Size;
use crate::scrape::message::{Measured, Summary};
use crate::upstream::odds::{BURST, PER_MINUTE};

/// Consecutive failures that open the circuit of an unavailable upstream.
const FAILURES: u64 = 5;

/// Permits of that upstream's bulkhead.
const CONCURRENT: u64 = 20;

/// Calls that a half-open circuit allows.
const PROBES: u64 = 3;

/// Permits of the odds API's bulkhead.
const ODDS_CONCURRENT: u64 = 10;

/// Factor by which a slow host may delay a healthy one's calls.
const MAX_SLOWDOWN: f64 = 2.0;

/// Bound on the keys that are kept.
const MAX_KEYS: u64 = 10_000;

/// Factor by which *after* must take less memory for keys than *before*.
const MEMORY_FACTOR: u64 = 4;

/// Returns these assertions in the order of the table.
pub(super) fn all(before: &Run, after: &Run, size: Size) -> Vec<Assertion> {
    let mut all = vec![
        dead_calls(before, after),
        probes(before, after, size),
        odds_peak(before, after),
        odds_rejected(before, after),
        boards(before, after, size),
        beside_slow(before, after),
        keys_kept(before, after, size),
    ];
    // Absent where the system does not report a process's memory.
    all.extend(memory_kept(before, after));
    all
}

/// The bound has three parts: failures that open the circuit, calls under way when the last of them
/// ends, and one round of probes, if the machine is so slow that the break ends during the job.
fn dead_calls(before: &Run, after: &Run) -> Assertion {
    let figures @ [was, is] = [before.upstream.dead.calls, after.upstream.dead.calls];
    let most = FAILURES + (CONCURRENT - 1) + PROBES;
    let target = format!("≤ {most} = {FAILURES} + {} + {PROBES}", CONCURRENT - 1);
    count("wire calls at a dead upstream", figures, target, is <= most && was > most)
}

fn probes(before: &Run, after: &Run, size: Size) -> Assertion {
    let figures @ [was, is] = [before.upstream.half_open.calls, after.upstream.half_open.calls];
    let target = format!("≤ {PROBES} of {}", size.half_open);
    let holds = (1..=PROBES).contains(&is) && was > PROBES;
    count("wire calls to a half-open circuit", figures, target, holds)
}

fn odds_peak(before: &Run, after: &Run) -> Assertion {
    let figures @ [was, is] = [before.upstream.odds.peak, after.upstream.odds.peak];
    let most = u64::from(PER_MINUTE + BURST);
    let target = format!("≤ {most} (before > {})", 2 * most);
    count("peak arrivals per minute at the odds API", figures, target, is <= most && was > 2 * most)
}

/// The bound is the one rejection that comes at any rate, and the calls under way at that time.
fn odds_rejected(before: &Run, after: &Run) -> Assertion {
    let figures @ [was, is] = [before.upstream.odds.rejected, after.upstream.odds.rejected];
    let most = 1 + (ODDS_CONCURRENT - 1);
    let target = format!("≤ {most} (before > {most})");
    count("429s from the odds API", figures, target, (1..=most).contains(&is) && was > most)
}

fn boards(before: &Run, after: &Run, size: Size) -> Assertion {
    let figures = [before.odds.succeeded as u64, after.odds.succeeded as u64];
    let holds = after.odds.succeeded == size.boards;
    count("boards of odds", figures, size.boards, holds)
}

/// The slowdown of the healthy hosts' calls. All of those calls must succeed.
fn beside_slow(before: &Run, after: &Run) -> Assertion {
    let slowdown = |run: &Run| match run.slow.measured {
        Some(Measured::Healthy { alone, beside_slow }) if alone > 0.0 => beside_slow / alone,
        _ => f64::NAN,
    };
    let was = slowdown(before);
    let is = slowdown(after);
    Assertion {
        name: "healthy hosts' p99 beside a slow one",
        before: Figure::Times(was),
        after: Figure::Times(is),
        target: format!("≤ {MAX_SLOWDOWN}× (before > {MAX_SLOWDOWN}×)"),
        holds: is <= MAX_SLOWDOWN && after.slow.failed == 0 && was > MAX_SLOWDOWN,
    }
}

fn keys_kept(before: &Run, after: &Run, size: Size) -> Assertion {
    let keys = |run: &Run| kept(&run.keys).map_or(0, |(keys, _)| keys);
    let figures @ [was, is] = [keys(before), keys(after)];
    let holds = (1..=MAX_KEYS).contains(&is) && was == size.keys as u64;
    let target = format!("≤ {MAX_KEYS} of {}", size.keys);
    count("breakers kept", figures, target, holds)
}

fn memory_kept(before: &Run, after: &Run) -> Option<Assertion> {
    let [was, is] = [kept(&before.keys)?.1?, kept(&after.keys)?.1?];
    Some(Assertion {
        name: "MiB of memory for them",
        before: Figure::Mebibytes(was),
        after: Figure::Mebibytes(is),
        target: format!("≤ {} (a {MEMORY_FACTOR}th)", Figure::Mebibytes(was / MEMORY_FACTOR)),
        holds: is * MEMORY_FACTOR <= was,
    })
}

/// Returns the number of keys, and their bytes where they were measured.
fn kept(summary: &Summary) -> Option<(u64, Option<u64>)> {
    match summary.measured? {
        Measured::Memory { keys, resident } => Some((keys as u64, resident)),
        Measured::Healthy { .. } => None,
    }
}
