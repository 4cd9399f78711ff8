//! The results as a picture: calls, and time, by number of clients.
//!
//! Without *none* and *exponential*, which would press all that is worth comparing into one line.

use std::fmt::Write;

use super::point::Point;
use super::rules::{EXPONENTIAL, NONE};

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 56.0;
const COLOURS: [&str; 7] =
    ["#999999", "#e69f00", "#d55e00", "#0072b2", "#cc79a7", "#56b4e9", "#009e73"];

type Axis = fn(&Point) -> f64;

pub(super) fn svg(points: &[Point]) -> String {
    let lines: Vec<&[Point]> = points
        .chunk_by(|a, b| a.rule == b.rule)
        .filter(|line| line.iter().all(|point| point.rule != NONE && point.rule != EXPONENTIAL))
        .collect();
    let mut out = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{:.0}' height='{:.0}' \
         font-family='sans-serif' font-size='11'>\n<rect width='100%' height='100%' fill='white'/>\n",
        2.0 * (WIDTH + MARGIN) + MARGIN,
        HEIGHT + 2.0 * MARGIN + 16.0 * crate::stats::float(lines.len())
    );
    panel(&mut out, &lines, "conditional writes", MARGIN, |point| point.calls.mean);
    panel(&mut out, &lines, "ms until all are done", WIDTH + 2.0 * MARGIN, |point| {
        point.makespan_ms.mean
    });
    legend(&mut out, &lines);
    out.push_str("</svg>\n");
    out
}

fn panel(out: &mut String, lines: &[&[Point]], title: &str, left: f64, axis: Axis) {
    let points = || lines.iter().copied().flatten();
    let most_clients = points().map(|point| f64::from(point.clients)).fold(1.0, f64::max);
    let most = points().map(axis).fold(1.0, f64::max);
    let bottom = MARGIN + HEIGHT;
    let _ = writeln!(
        out,
        "<text x='{left}' y='{:.0}' font-size='13'>{title}</text>\n\
         <path d='M{left} {MARGIN}V{bottom}h{WIDTH}' fill='none' stroke='black'/>\n\
         <text x='{:.0}' y='{:.0}' text-anchor='end'>{most:.0}</text>\n\
         <text x='{:.0}' y='{:.0}' text-anchor='end'>{most_clients:.0} clients</text>",
        MARGIN - 14.0,
        left - 4.0,
        MARGIN + 8.0,
        left + WIDTH,
        bottom + 16.0
    );
    for (line, colour) in lines.iter().zip(COLOURS.into_iter().cycle()) {
        let path: String = line
            .iter()
            .map(|point| {
                let x = left + WIDTH * f64::from(point.clients) / most_clients;
                let y = bottom - HEIGHT * axis(point) / most;
                format!("{x:.1},{y:.1} ")
            })
            .collect();
        let _ = writeln!(
            out,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2'/>",
            path.trim_end()
        );
    }
}

fn legend(out: &mut String, lines: &[&[Point]]) {
    let mut y = MARGIN + HEIGHT + 40.0;
    for (point, colour) in
        lines.iter().filter_map(|line| line.first()).zip(COLOURS.into_iter().cycle())
    {
        let _ = writeln!(
            out,
            "<path d='M{MARGIN} {:.0}h24' stroke='{colour}' stroke-width='2'/>\
             <text x='{:.0}' y='{y:.0}'>{} ({})</text>",
            y - 4.0,
            MARGIN + 32.0,
            point.rule,
            point.source
        );
        y += 16.0;
    }
}
