//! Reports of the figures: a table, charts, and `scale.json`.

use std::fmt::Write;

use serde_json::{Value, json};

use super::figure::Figure;
use crate::svg::{self, Line, Panel};
use crate::target::{self, Target, number};

/// Returns a table for each figure: a row for each line, a column for each size.
pub(super) fn table(figures: &[Figure]) -> String {
    let mut out = String::new();
    for figure in figures {
        let sizes = figure.sizes();
        let _ = write!(out, "\n{}: {}\n  {:<44}", figure.name, figure.up, figure.across);
        for size in &sizes {
            let _ = write!(out, "{size:>11}");
        }
        out.push('\n');
        for line in &figure.lines {
            let _ = write!(out, "  {:<44}", line.name);
            for size in &sizes {
                let value = figure.at(&line.name, *size);
                let _ =
                    write!(out, "{:>11}", value.map_or(String::new(), |it| number(Some(it), 2)));
            }
            out.push('\n');
        }
        for line in figure.lines.iter().filter(|line| !line.lacks.is_empty()) {
            let _ = writeln!(out, "    {} lacks: {}", line.name, line.lacks);
        }
    }
    out
}

pub(super) fn json(figures: &[Figure], targets: &[Target]) -> Value {
    let figure = |figure: &Figure| {
        let lines = figure.lines.iter().map(
            |line| json!({ "subject": line.name, "points": line.points, "lacks": line.lacks }),
        );
        json!({
            "figure": figure.name,
            "x": figure.across,
            "y": figure.up,
            "lines": lines.collect::<Vec<_>>(),
        })
    };
    json!({
        "figures": figures.iter().map(figure).collect::<Vec<_>>(),
        "targets": target::json(targets),
    })
}

#[expect(clippy::cast_precision_loss, reason = "sizes are far smaller than 2^53")]
pub(super) fn chart(figure: &Figure) -> String {
    let line = |line: &super::figure::Line| Line {
        name: line.name.clone(),
        points: line.points.iter().map(|point| (point.0 as f64, point.1)).collect(),
    };
    svg::lines(&[Panel {
        title: format!("{}: {}", figure.name, figure.up),
        across: figure.across.to_owned(),
        tenfold: true,
        lines: figure.lines.iter().map(line).collect(),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names of the fields are stable, since other programs read the report.
    #[test]
    fn the_shape_of_a_report() {
        let mut figure = Figure::new("churn", "keys", "ns a call");
        figure.add("ours", "", 10, 2.5);
        figure.add("ours", "", 100, 5.0);
        let grown = figure.growth("ours");
        figure.exact("largest / smallest", 1.5, grown);
        let expected = json!({
            "figures": [{
                "figure": "churn", "x": "keys", "y": "ns a call",
                "lines": [{ "subject": "ours", "points": [[10, 2.5], [100, 5.0]], "lacks": "" }],
            }],
            "targets": [{
                "figure": "churn", "target": "largest / smallest ≤ 1.5", "measured": 2.0,
                "holds": false, "floor": null, "exact": true,
            }],
        });
        assert_eq!(json(std::slice::from_ref(&figure), &figure.targets), expected);
        assert!(table(&[figure]).contains("ours"));
    }
}
