//! Assertions of the demo.
//!
//! Each is on counts, or on a ratio within one run, so that a slow machine does not make it false.
//! The bound on time is generous: it only detects a job that hangs.

use std::fmt;

use serde::{Serialize, Serializer};

use super::arm::Run;
use super::expected::Expected;
use super::options::Size;
use super::{admission, deploys};

/// An assertion and the figures it is made on.
#[derive(Debug, Serialize)]
pub(super) struct Assertion {
    pub(super) name: &'static str,
    pub(super) before: Figure,
    pub(super) after: Figure,
    pub(super) target: String,
    pub(super) holds: bool,
}

/// A figure, formatted for people.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum Figure {
    Count(u64),
    Seconds(f64),
    Times(f64),
    #[serde(serialize_with = "mebibytes")]
    Mebibytes(u64),
}

const MIB: f64 = 1_048_576.0;

fn mebibytes<S: Serializer>(bytes: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_f64(*bytes as f64 / MIB)
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Count(count) => write!(f, "{count}"),
            Figure::Seconds(seconds) => write!(f, "{seconds:.1}"),
            Figure::Times(times) => write!(f, "{times:.1}×"),
            Figure::Mebibytes(bytes) => write!(f, "{:.1}", *bytes as f64 / MIB),
        }
    }
}

/// Factor by which *after* must reduce the herd's peak.
const HERD_FACTOR: u64 = 5;

/// Bound on the duration of all jobs of an arm.
const MAX_SECONDS: f64 = 120.0;

/// Returns all assertions in the order of the table.
pub(super) fn all(before: &Run, after: &Run, expected: &Expected, size: Size) -> Vec<Assertion> {
    let mut all = vec![
        rows_landed(before, after, expected),
        duplicates(before, after, expected),
        lost_silently(before, after, expected),
        season_calls(before, after, expected),
        poison_calls(before, after, expected),
        early(before, after, expected),
        herd_peak(before, after),
        herd_succeeds(before, after, size),
    ];
    all.extend(admission::all(before, after, size));
    all.extend(deploys::all(before, after, size));
    all.push(seconds(before, after));
    all
}

pub(super) fn count(
    name: &'static str,
    figures: [u64; 2],
    target: impl fmt::Display,
    holds: bool,
) -> Assertion {
    let [before, after] = figures.map(Figure::Count);
    Assertion { name, before, after, target: target.to_string(), holds }
}

/// Asserts that *after* reaches the target, and that *before* exceeds it if it is `bound_to`.
pub(super) fn cured(
    name: &'static str,
    [was, is]: [u64; 2],
    target: u64,
    bound_to: bool,
) -> Assertion {
    let and_before = if bound_to { format!(" (before > {target})") } else { String::new() };
    let holds = is == target && (was > target || !bound_to);
    count(name, [was, is], format_args!("{target}{and_before}"), holds)
}

fn rows_landed(before: &Run, after: &Run, expected: &Expected) -> Assertion {
    let rows = expected.rows as u64;
    count("rows landed", [before.rows, after.rows], rows, after.rows == rows)
}

fn duplicates(before: &Run, after: &Run, expected: &Expected) -> Assertion {
    let figures = [before.duplicates, after.duplicates];
    cured("duplicate rows", figures, 0, expected.before.duplicates)
}

/// Counts days that are missing from the store and that no scraper reported as failed.
fn lost_silently(before: &Run, after: &Run, expected: &Expected) -> Assertion {
    let silent = |run: &Run| run.days_missing.saturating_sub(run.season.failed) as u64;
    let figures = [silent(before), silent(after)];
    cured("days lost without an error", figures, 0, expected.before.loses)
}

/// The bound is the calls that the faults require, and a tenth for timeouts on a busy machine.
fn season_calls(before: &Run, after: &Run, expected: &Expected) -> Assertion {
    let figures @ [_, is] = [before.upstream.season.calls, after.upstream.season.calls];
    let most = (expected.requests + expected.requests.div_ceil(10)) as u64;
    count("wire calls for the season", figures, format_args!("≤ {most}"), is <= most)
}

fn poison_calls(before: &Run, after: &Run, expected: &Expected) -> Assertion {
    let figures = [before.upstream.poison_calls, after.upstream.poison_calls];
    let target = expected.poison_requests;
    cured("wire calls for a day that is gone", figures, target, expected.before.loses)
}

fn early(before: &Run, after: &Run, expected: &Expected) -> Assertion {
    let figures = [before.upstream.season.early, after.upstream.season.early];
    cured("calls sent before Retry-After", figures, 0, expected.before.early)
}

fn herd_peak(before: &Run, after: &Run) -> Assertion {
    let figures @ [was, is] = [before.upstream.herd.peak_again, after.upstream.herd.peak_again];
    let target = format!("≤ {} (a {HERD_FACTOR}th)", was / HERD_FACTOR);
    count("peak arrivals per 50 ms", figures, target, is > 0 && is * HERD_FACTOR <= was)
}

fn herd_succeeds(before: &Run, after: &Run, size: Size) -> Assertion {
    let all = size.herd;
    let figures = [before.herd.succeeded as u64, after.herd.succeeded as u64];
    let holds = before.herd.succeeded == all && after.herd.succeeded == all;
    count("calls of the herd that succeed", figures, format_args!("{all} (both)"), holds)
}

fn seconds(before: &Run, after: &Run) -> Assertion {
    let was = before.seconds.total();
    let is = after.seconds.total();
    Assertion {
        name: "seconds to finish",
        before: Figure::Seconds(was),
        after: Figure::Seconds(is),
        target: format!("≤ {MAX_SECONDS}"),
        holds: is <= MAX_SECONDS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn before_must_exceed_the_target_only_if_bound_to() {
        let holds = |was, is, bound_to| cured("", [was, is], 1, bound_to).holds;
        assert!(holds(4, 1, true));
        assert!(!holds(4, 2, true), "after misses the target");
        assert!(!holds(1, 1, true), "before does not exceed it");
        assert!(holds(1, 1, false));
        assert_eq!(cured("", [4, 1], 1, true).target, "1 (before > 1)");
        assert_eq!(cured("", [4, 1], 1, false).target, "1");
    }
}
