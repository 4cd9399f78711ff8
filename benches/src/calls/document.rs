//! Formats the results of real calls for a terminal and for the book.

use std::fmt::Write;

use super::round::Round;
use super::{OURS, Row, bare};

/// Returns the results as aligned text for a terminal.
pub(crate) fn table(rows: &[Row]) -> String {
    let mut out = String::new();
    let mut figure = String::new();
    for row in rows {
        if row.figure() != figure {
            figure = row.figure();
            let _ = writeln!(
                out,
                "\n{figure} (x: multiples of the bare client's in the same rounds [19 times out of 20 the median lies within])\n  \
                 {:<42}{:>9}{:>20}{:>8}{:>8}{:>9}{:>20}{:>8}{:>20}",
                "", "calls/s", "x", "p50 us", "p99 us", "p99.9 us", "p99 x", "CPU ns", "x"
            );
        }
        let [throughput, p99, cpu] = ratios(rows, row);
        let _ = writeln!(
            out,
            "  {:<42}{:>9.0}{throughput:>20}{:>8.0}{:>8.0}{:>9.0}{p99:>20}{:>8.0}{cpu:>20}",
            row.subject,
            row.median(|round| round.per_second),
            row.median(|round| round.p50_us),
            row.median(|round| round.p99_us),
            row.median(|round| round.p999_us),
            row.median(|round| round.cpu_ns),
        );
    }
    out
}

/// Returns the results as a Markdown table for the book.
pub(crate) fn section(rows: &[Row]) -> String {
    let mut out = String::from(
        "| connections | | calls a second | × bare | p50 µs | p99 µs | p99.9 µs | p99 × bare | CPU ns a call | × bare |\n\
         |---|---|---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let [throughput, p99, cpu] = ratios(rows, row);
        let name = if row.subject == OURS { format!("**{OURS}**") } else { row.subject.into() };
        let _ = writeln!(
            out,
            "| {} | {name} | {:.0} | {throughput} | {:.0} | {:.0} | {:.0} | {p99} | {:.0} | {cpu} |",
            row.connections,
            row.median(|round| round.per_second),
            row.median(|round| round.p50_us),
            row.median(|round| round.p99_us),
            row.median(|round| round.p999_us),
            row.median(|round| round.cpu_ns),
        );
    }
    out
}

/// Returns throughput, p99 and CPU time as multiples of the bare client's, with their confidence
/// intervals. Returns empty strings if the bare client has no row.
fn ratios(rows: &[Row], row: &Row) -> [String; 3] {
    let Some(bare) = bare(rows, row) else { return Default::default() };
    let said = |of: fn(&Round) -> f64| {
        let (ratio, [low, high]) = (row.ratio(bare, of), row.within(bare, of));
        format!("{ratio:.2} [{low:.2}..{high:.2}]")
    };
    [said(|round| round.per_second), said(|round| round.p99_us), said(|round| round.cpu_ns)]
}
