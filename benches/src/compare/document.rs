//! Formats the rows as Markdown for the book.

use std::fmt::Write;

use super::row::Row;
use crate::cost::{Inner, Mode, Role};
use crate::figures::Figure;

const HEADINGS: &str = "| | one thread | × floor | allocations | two runtimes | two workers |\n|---|---|---|---|---|---|\n";

/// Returns a section for each figure that compares subjects: its chart, and a row for each subject
/// with an inner service that is ready at once.
pub(super) fn sections(figures: &[Figure], rows: &[Row]) -> String {
    let mut out = String::new();
    for figure in figures.iter().filter(|figure| figure.compared().next().is_some()) {
        let (name, file) = (figure.name, figure.name.replace(' ', "-"));
        let _ = write!(out, "### {}\n\n![{name}](img/{file}.svg)\n\n{HEADINGS}", titled(name));
        let of_figure =
            || rows.iter().filter(|row| row.figure == name && row.inner == Inner::Ready);
        for alone in of_figure().filter(|row| row.mode == Mode::One) {
            let beside = |mode| {
                let same = |row: &&Row| row.subject == alone.subject && row.mode == mode;
                nanoseconds(of_figure().find(same).and_then(Row::median))
            };
            let ratio = alone.ratio_to_floor.map_or("?".into(), |ratio| format!("{ratio:.2}"));
            let _ = writeln!(
                out,
                "| {} | {} | {ratio} | {:.0} | {} | {} |",
                subject(alone),
                nanoseconds(alone.median()),
                alone.allocs,
                beside(Mode::Two),
                beside(Mode::Workers)
            );
        }
        out.push('\n');
    }
    out
}

fn titled(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// Returns the subject's name, bold if the subject is this library's. A name with `<` or `_` is
/// formatted as code, because Markdown would read these as markup.
fn subject(row: &Row) -> String {
    let name = if row.subject.contains(['<', '_']) {
        format!("`{}`", row.subject)
    } else {
        row.subject.to_owned()
    };
    if row.role == Role::Ours { format!("**{name}**") } else { name }
}

/// Formats nanoseconds: without decimals from 100 on, otherwise with one. Returns `?` for `None`.
fn nanoseconds(ns: Option<f64>) -> String {
    match ns {
        None => "?".into(),
        Some(ns) if ns >= 100.0 => format!("{ns:.0}"),
        Some(ns) => format!("{ns:.1}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::row::tests::{ns, row};

    #[test]
    fn a_section_has_a_row_for_each_subject() {
        let stack = crate::figures::all().unwrap().remove(0);
        let rows = [
            ns(row(stack.name, "ours"), 160.4),
            Row { mode: Mode::Two, ..ns(row(stack.name, "ours"), 99.94) },
            Row { role: Role::Peer, allocs: 12.0, ..row(stack.name, "Arc<Peer>") },
            Row { inner: Inner::Yields, ..row(stack.name, "ours") },
        ];
        let text = sections(&[stack], &rows);
        assert!(
            text.starts_with("### Standard stack\n\n![standard stack](img/standard-stack.svg)\n")
        );
        let lines: Vec<&str> = text.lines().skip(6).collect();
        assert_eq!(
            lines,
            ["| **ours** | 160 | ? | 0 | 99.9 | ? |", "| `Arc<Peer>` | ? | ? | 12 | ? | ? |", ""]
        );
    }
}
