//! Formats the results as text for a terminal, and as JSON and CSV for files.

use std::fmt::Write;

use serde_json::json;

use super::cap_mass::CapMass;
use super::check::Check;
use super::point::{self, Point};
use crate::options::Options;

/// Least width of a column, enough for `99999 / 999999`.
const CELL: usize = 14;

/// Returns a table with a row for each number of clients and a column for each rule. A cell has the
/// mean of the calls and the mean makespan in milliseconds.
pub(super) fn table(points: &[Point]) -> String {
    let clients = distinct(points.iter().map(|point| point.clients));
    let rules = distinct(points.iter().map(|point| point.rule));
    let mut out = String::from(
        "\nmean calls / mean makespan in ms; `decorrelated` is the library's default, \
         `textbook` the same as it was published\nclients",
    );
    for rule in &rules {
        let _ = write!(out, "  {rule:>0$}", width(rule));
    }
    for clients in clients {
        let _ = write!(out, "\n{clients:>7}");
        for point in rules.iter().filter_map(|rule| point::find(points, rule, clients)) {
            let cell = format!("{:.0} / {:.0}", point.calls.mean, point.makespan_ms.mean);
            let _ = write!(out, "  {cell:>0$}", width(point.rule));
        }
    }
    out.push('\n');
    out
}

fn width(rule: &str) -> usize {
    rule.len().max(CELL)
}

fn distinct<T: PartialEq>(values: impl Iterator<Item = T>) -> Vec<T> {
    values.fold(Vec::new(), |mut seen, value| {
        if !seen.contains(&value) {
            seen.push(value);
        }
        seen
    })
}

pub(super) fn cap_mass(masses: &[CapMass]) -> String {
    let mut out = String::from("\nshare of tenth delays that are the cap (100 ms to 10 s)\n");
    for CapMass { rule, share } in masses {
        let _ = writeln!(out, "{rule:<24}{:>8.2} %", share * 100.0);
    }
    out
}

/// Lists the checks that failed, and the check that holds with the least margin.
pub(super) fn checks(checks: &[Check]) -> String {
    let (held, failed): (Vec<&Check>, Vec<&Check>) = checks.iter().partition(|check| check.holds());
    let mut out = format!("\n{} of {} checks hold\n", held.len(), checks.len());
    for check in failed {
        let Check { name, found, target, .. } = check;
        let _ = writeln!(out, "FAILED {name}: {found:.3}, must be {target}");
    }
    let closest = held.into_iter().max_by(|a, b| a.used_percent.total_cmp(&b.used_percent));
    if let Some(Check { name, found, target, .. }) = closest {
        let _ = writeln!(out, "closest: {name}: {found:.3} ({target})");
    }
    out
}

pub(super) fn json(
    options: &Options,
    points: &[Point],
    masses: &[CapMass],
    checks: &[Check],
) -> String {
    let points: Vec<_> = points
        .iter()
        .map(|point| {
            json!({
                "rule": point.rule,
                "source": point.source,
                "clients": point.clients,
                "calls": { "mean": point.calls.mean, "sd": point.calls.deviation },
                "makespan_ms": { "mean": point.makespan_ms.mean, "sd": point.makespan_ms.deviation },
            })
        })
        .collect();
    let masses: Vec<_> =
        masses.iter().map(|mass| json!({ "rule": mass.rule, "share": mass.share })).collect();
    let checks: Vec<_> = checks
        .iter()
        .map(|check| {
            json!({
                "name": check.name,
                "found": check.found,
                "target": check.target,
                "holds": check.holds(),
            })
        })
        .collect();
    let report = json!({
        "trials": options.trials,
        "seed": options.seed,
        "points": points,
        "cap_mass": masses,
        "checks": checks,
    });
    format!("{report:#}\n")
}

pub(super) fn csv(points: &[Point]) -> String {
    let mut out = String::from("rule,source,clients,calls,calls_sd,makespan_ms,makespan_ms_sd\n");
    for point in points {
        let Point { rule, source, clients, calls, makespan_ms: ms } = point;
        let _ = writeln!(
            out,
            "{rule},{source},{clients},{:.3},{:.3},{:.3},{:.3}",
            calls.mean, calls.deviation, ms.mean, ms.deviation
        );
    }
    out
}
