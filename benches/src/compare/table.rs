//! Formats the rows for a terminal.

use std::fmt::Write;

use super::row::Row;
use crate::cost::{Effort, Inner, Mode};
use crate::figures::Figure;
use crate::target::number;

pub(super) fn table(figures: &[Figure], rows: &[Row], effort: Effort) -> String {
    let mut out = format!(
        "\nCPU ns per call and thread: median of {} rounds of about {:?} [10 % .. 90 %]; wall: ns that passed; \
         x: multiples of the figure's floor in the same rounds;\n`?`: two threads hardly ever ran side by side on \
         this machine. `yields`: the service answers at the second poll.\n",
        effort.rounds, effort.time
    );
    for figure in figures {
        let of_figure: Vec<&Row> = rows.iter().filter(|row| row.figure == figure.name).collect();
        if of_figure.is_empty() {
            continue;
        }
        let _ = writeln!(out, "\n{} (floor: {})", figure.name, figure.floor);
        let _ = writeln!(
            out,
            "  {:<42}{:>8}  {:<18}{:>8}{:>8}{:>8}{:>22}{:>22}",
            "", "ns", "spread", "wall", "x", "allocs", "two runtimes ns (x)", "two workers ns (x)"
        );
        for alone in of_figure.iter().filter(|row| row.mode == Mode::One) {
            let beside = |mode| {
                let same = |row: &&&Row| {
                    row.subject == alone.subject && row.inner == alone.inner && row.mode == mode
                };
                of_figure.iter().find(same).map_or(String::new(), |row| shared(row))
            };
            let _ = writeln!(
                out,
                "  {}{:>22}{:>22}",
                line(alone),
                beside(Mode::Two),
                beside(Mode::Workers)
            );
        }
        lacks(&mut out, figure);
    }
    out
}

fn line(row: &Row) -> String {
    let name = match row.inner {
        Inner::Ready => row.subject.to_owned(),
        Inner::Yields => format!("{} · yields", row.subject),
    };
    let spread = row.ns.map_or("?".to_owned(), |ns| format!("[{:.1} .. {:.1}]", ns.low, ns.high));
    format!(
        "{name:<42}{:>8}  {spread:<18}{:>8}{:>8}{:>8.2}",
        number(row.median(), 1),
        number(row.wall_ns, 1),
        number(row.ratio_to_floor, 2),
        row.allocs
    )
}

fn shared(row: &Row) -> String {
    match (row.median(), row.ratio_to_floor) {
        (Some(ns), Some(ratio)) => format!("{ns:.1} ({ratio:.2})"),
        (ns, _) => number(ns, 1),
    }
}

fn lacks(out: &mut String, figure: &Figure) {
    for subject in figure.subjects.iter().filter(|subject| subject.inner == Inner::Ready) {
        if !subject.lacks.is_empty() {
            let _ = writeln!(out, "    {} lacks: {}", subject.name, subject.lacks);
        }
    }
}
