//! What the demo claims.
//!
//! Each claim is about counts, or about a ratio within one run, so that a slow machine does not make
//! it false. The one on time is there to catch something that hangs, and is far away.

use std::fmt;

use serde::{Serialize, Serializer};

use super::arm::Run;
use super::expected::Expected;
use super::options::Size;
use super::{admission, deploys};

/// Something that should be so.
#[derive(Debug, Serialize)]
pub(super) struct Assertion {
    pub(super) name: &'static str,
    pub(super) before: Figure,
    pub(super) after: Figure,
    pub(super) target: String,
    pub(super) holds: bool,
}

/// A number as people read it.
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

/// By how much the herd's peak must come down.
const HERD: u64 = 5;

/// What either arm may take for all of its jobs.
const MOST_SECONDS: f64 = 120.0;

/// All claims, in the order of the table.
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

/// *After* reaches the target, and *before* exceeds it where it is bound to.
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

/// Days that are not in the store, and that no scraper said had failed.
fn lost_silently(before: &Run, after: &Run, expected: &Expected) -> Assertion {
    let silent = |run: &Run| run.days_missing.saturating_sub(run.season.failed) as u64;
    let figures = [silent(before), silent(after)];
    cured("days lost without a word", figures, 0, expected.before.loses)
}

/// What the faults make necessary, and a tenth for a machine so busy that a good answer times out.
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
    cured("calls sent earlier than told", figures, 0, expected.before.early)
}

fn herd_peak(before: &Run, after: &Run) -> Assertion {
    let figures @ [was, is] = [before.upstream.herd.peak_again, after.upstream.herd.peak_again];
    let target = format!("≤ {} (a {HERD}th)", was / HERD);
    count("peak arrivals per 50 ms", figures, target, is > 0 && is * HERD <= was)
}

fn herd_succeeds(before: &Run, after: &Run, size: Size) -> Assertion {
    let all = size.herd;
    let figures = [before.herd.succeeded as u64, after.herd.succeeded as u64];
    let holds = before.herd.succeeded == all && after.herd.succeeded == all;
    count("calls of the herd that succeed", figures, format_args!("{all} (both)"), holds)
}

fn seconds(before: &Run, after: &Run) -> Assertion {
    let (was, is) = (before.seconds.total(), after.seconds.total());
    Assertion {
        name: "seconds to finish",
        before: Figure::Seconds(was),
        after: Figure::Seconds(is),
        target: format!("≤ {MOST_SECONDS}"),
        holds: is <= MOST_SECONDS,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cure_needs_an_illness() {
        let holds = |was, is, bound_to| cured("", [was, is], 1, bound_to).holds;
        assert!(holds(4, 1, true));
        assert!(!holds(4, 2, true), "not cured");
        assert!(!holds(1, 1, true), "nothing to cure");
        assert!(holds(1, 1, false));
        assert_eq!(cured("", [4, 1], 1, true).target, "1 (before > 1)");
        assert_eq!(cured("", [4, 1], 1, false).target, "1");
    }
}
