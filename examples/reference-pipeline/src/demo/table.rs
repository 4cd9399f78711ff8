//! The report as an aligned table.

use std::fmt::Write;

use super::assertions::Assertion;
use super::report::Report;

const HEADINGS: [&str; 5] = ["", "before", "after", "target", ""];

/// Returns a line on the league, the table, and the days that *after* reported as failed.
pub(super) fn render(report: &Report) -> String {
    let league = &report.league;
    let mut text = format!(
        "\nleague: {}, {} game days, {} rows, fingerprint {}\n\n",
        league.source, league.days, league.rows, league.fingerprint
    );
    let mut rows = vec![HEADINGS.map(String::from)];
    rows.extend(report.assertions.iter().map(cells));
    let widths = widths(&rows);
    for row in &rows {
        text.push_str(line(row, widths).trim_end());
        text.push('\n');
    }
    for failure in &report.after.season.failures {
        // Writing to a string does not fail.
        let _ = write!(text, "\nafter failed: {failure}");
    }
    let verdict =
        if report.holds() { "every assertion holds" } else { "NOT every assertion holds" };
    let _ = writeln!(text, "\n{verdict} ({:.0} s)", report.seconds);
    text
}

fn cells(assertion: &Assertion) -> [String; 5] {
    [
        assertion.name.into(),
        assertion.before.to_string(),
        assertion.after.to_string(),
        assertion.target.clone(),
        if assertion.holds { "✔" } else { "✘" }.into(),
    ]
}

fn widths(rows: &[[String; 5]]) -> [usize; 5] {
    std::array::from_fn(|column| {
        rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default()
    })
}

/// Aligns names and targets to the left, figures to the right.
fn line([name, before, after, target, mark]: &[String; 5], [n, b, a, t, _]: [usize; 5]) -> String {
    format!("{name:<n$}  {before:>b$}  {after:>a$}  {target:<t$}  {mark}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [HEADINGS.map(String::from), ["rows", "7", "590", "590", "✔"].map(String::from)];
        let widths = widths(&rows);
        assert_eq!(widths, [4, 6, 5, 6, 1]);
        assert_eq!(line(&rows[1], widths), "rows       7    590  590     ✔");
    }
}
