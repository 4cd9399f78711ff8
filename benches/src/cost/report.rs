//! The costs as a table to read, and as JSON to keep.

use std::fmt::Write;

use serde_json::{Value, json};

use super::measure::{Effort, Measured};
use crate::stats::Spread;

pub(super) fn table(measured: &[Measured], effort: Effort) -> String {
    let Effort { rounds, calls } = effort;
    let mut out = format!(
        "\nCPU ns per call, median of {rounds} rounds of {calls} calls [10 % .. 90 %]; \
         `x` in multiples of the row marked 1.00; \
         `?`: two threads hardly ever ran side by side on this machine\n\n\
         {:<32}{:>8}  {:<16}{:>7}{:>8}{:>20}\n",
        "", "ns", "spread", "x", "allocs", "ns, 2 threads share"
    );
    let mut group = "";
    for row in measured {
        if row.group != group {
            group = row.group;
            let _ = writeln!(out, "{group}");
        }
        let _ = writeln!(out, "{}", line(row));
    }
    for row in measured.iter().filter(|row| row.allocates_against_the_promise()) {
        let _ = writeln!(
            out,
            "FAILED {}: {} allocations per call, must be 0",
            row.name, row.allocations
        );
    }
    out
}

fn line(row: &Measured) -> String {
    let Spread { low, median, high } = row.ns;
    let spread = format!("[{low:.1} .. {high:.1}]");
    let shared = row.shared_ns.map_or("?".to_owned(), |ns| format!("{:.1}", ns.median));
    format!(
        "  {:<30}{median:>8.1}  {spread:<16}{:>7.2}{:>8.2}{shared:>20}",
        row.name, row.ratio, row.allocations
    )
}

pub(super) fn json(measured: &[Measured], effort: Effort) -> String {
    let rows: Vec<Value> = measured
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "group": row.group,
                "ns": spread(row.ns),
                "ratio_to_baseline": row.ratio,
                "allocations": row.allocations,
                "two_threads_ns": row.shared_ns.map(spread),
            })
        })
        .collect();
    let report = json!({ "rounds": effort.rounds, "calls": effort.calls, "subjects": rows });
    format!("{report:#}\n")
}

fn spread(spread: Spread) -> Value {
    json!({ "p10": spread.low, "median": spread.median, "p90": spread.high })
}
