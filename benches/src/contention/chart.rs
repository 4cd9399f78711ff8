//! A line chart of calls and time by number of clients.
//!
//! The rules *none* and *exponential* are left out: on their scale the other lines would coincide.

use super::point::Point;
use super::rules::{EXPONENTIAL, NONE};
use crate::svg::{self, Line, Panel};

pub(super) fn svg(points: &[Point]) -> String {
    let lines: Vec<&[Point]> = points
        .chunk_by(|a, b| a.rule == b.rule)
        .filter(|line| line.iter().all(|point| point.rule != NONE && point.rule != EXPONENTIAL))
        .collect();
    svg::lines(&[
        panel(&lines, "conditional writes", |point| point.calls.mean),
        panel(&lines, "ms until all are done", |point| point.makespan_ms.mean),
    ])
}

fn panel(lines: &[&[Point]], title: &str, up: fn(&Point) -> f64) -> Panel {
    let line = |points: &&[Point]| {
        let name = points.first().map(|point| format!("{} ({})", point.rule, point.source));
        Line {
            name: name.unwrap_or_default(),
            points: points.iter().map(|point| (f64::from(point.clients), up(point))).collect(),
        }
    };
    Panel {
        title: title.to_owned(),
        across: "clients".to_owned(),
        tenfold: false,
        lines: lines.iter().map(line).collect(),
    }
}
