//! What the demo claims of the layers that refuse: rate limits, breakers, bulkheads, and what is kept
//! for each key.
//!
//! The bounds are worked out from `profiles.toml`. Another file must keep them too.

use super::arm::Run;
use super::assertions::{Assertion, Figure, count};
use super::options::Size;
use crate::scrape::message::{Measured, Summary};
use crate::upstream::odds::{BURST, PER_MINUTE};

/// Failures in a row that open a circuit at a dead upstream.
const FAILURES: u64 = 5;

/// Calls that its bulkhead lets be under way.
const CONCURRENT: u64 = 20;

/// Calls that a circuit lets through to see whether the upstream is back.
const PROBES: u64 = 3;

/// Calls that the odds' bulkhead lets be under way.
const ODDS_CONCURRENT: u64 = 10;

/// How much slower a healthy host may be for a slow one beside it.
const BESIDE: f64 = 2.0;

/// Keys that are remembered.
const MOST_KEYS: u64 = 10_000;

/// By how much less memory they must take than all of them.
const MEMORY: u64 = 4;

/// These claims, in the order of the table.
pub(super) fn all(before: &Run, after: &Run, size: Size) -> Vec<Assertion> {
    let mut all = vec![
        dead_calls(before, after),
        probes(before, after, size),
        odds_peak(before, after),
        odds_refused(before, after),
        boards(before, after, size),
        beside_slow(before, after),
        keys_kept(before, after, size),
    ];
    // Not every system says how much memory a process has.
    all.extend(memory_kept(before, after));
    all
}

/// The failures that open the circuit, the calls that are under way when the last of them comes back,
/// and one round of probes, if the machine is so slow that the break ends meanwhile.
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
    count("calls at it when a break is over", figures, target, holds)
}

fn odds_peak(before: &Run, after: &Run) -> Assertion {
    let figures @ [was, is] = [before.upstream.odds.peak, after.upstream.odds.peak];
    let most = u64::from(PER_MINUTE + BURST);
    let target = format!("≤ {most} (before > {})", 2 * most);
    count("peak arrivals per minute at the odds API", figures, target, is <= most && was > 2 * most)
}

/// The one that comes whatever the rate, and what was under way by then.
fn odds_refused(before: &Run, after: &Run) -> Assertion {
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

/// The slowdown of the healthy hosts' calls, every one of which must succeed.
fn beside_slow(before: &Run, after: &Run) -> Assertion {
    let slowdown = |run: &Run| match run.slow.measured {
        Some(Measured::Healthy { alone, beside_slow }) if alone > 0.0 => beside_slow / alone,
        _ => f64::NAN,
    };
    let (was, is) = (slowdown(before), slowdown(after));
    Assertion {
        name: "healthy hosts' p99 beside a slow one",
        before: Figure::Times(was),
        after: Figure::Times(is),
        target: format!("≤ {BESIDE}× (before > {BESIDE}×)"),
        holds: is <= BESIDE && after.slow.failed == 0 && was > BESIDE,
    }
}

fn keys_kept(before: &Run, after: &Run, size: Size) -> Assertion {
    let keys = |run: &Run| kept(&run.keys).map_or(0, |(keys, _)| keys);
    let figures @ [was, is] = [keys(before), keys(after)];
    let holds = (1..=MOST_KEYS).contains(&is) && was == size.keys as u64;
    let target = format!("≤ {MOST_KEYS} of {}", size.keys);
    count("breakers remembered", figures, target, holds)
}

fn memory_kept(before: &Run, after: &Run) -> Option<Assertion> {
    let [was, is] = [kept(&before.keys)?.1?, kept(&after.keys)?.1?];
    Some(Assertion {
        name: "MiB of memory for them",
        before: Figure::Mebibytes(was),
        after: Figure::Mebibytes(is),
        target: format!("≤ {} (a {MEMORY}th)", Figure::Mebibytes(was / MEMORY)),
        holds: is * MEMORY <= was,
    })
}

/// Keys, and bytes where they were measured.
fn kept(summary: &Summary) -> Option<(u64, Option<u64>)> {
    match summary.measured? {
        Measured::Memory { keys, resident } => Some((keys as u64, resident)),
        Measured::Healthy { .. } => None,
    }
}
