//! Lines from nought, in panels side by side.

use std::fmt::Write;

use super::{COLOURS, TO_THE_LEFT, document, text};

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 300.0;
const MARGIN: f64 = 64.0;

pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
}

pub(crate) struct Panel {
    /// What is measured, upwards.
    pub(crate) title: String,
    /// What it depends on, to the right.
    pub(crate) across: String,
    pub(crate) lines: Vec<Line>,
}

pub(crate) fn lines(panels: &[Panel]) -> String {
    let mut out = String::new();
    let mut left = MARGIN;
    for panel in panels {
        draw(&mut out, panel, left);
        left += WIDTH + MARGIN;
    }
    let legend = panels.iter().map(|panel| panel.lines.len()).max().unwrap_or(0);
    document(left, HEIGHT + 2.0 * MARGIN + 16.0 * crate::stats::float(legend), &out)
}

fn draw(out: &mut String, panel: &Panel, left: f64) {
    let points = || panel.lines.iter().flat_map(|line| &line.points);
    let most = |pick: fn(&(f64, f64)) -> f64| points().map(pick).fold(1e-9, f64::max);
    let (most_x, most_y) = (most(|point| point.0), most(|point| point.1));
    let bottom = MARGIN + HEIGHT;
    text(out, left, MARGIN - 14.0, "font-size='13'", &panel.title);
    let _ =
        writeln!(out, "<path d='M{left} {MARGIN}V{bottom}h{WIDTH}' fill='none' stroke='black'/>");
    text(out, left - 4.0, MARGIN + 8.0, TO_THE_LEFT, &short(most_y));
    let last = format!("{} {}", short(most_x), panel.across);
    text(out, left + WIDTH, bottom + 16.0, TO_THE_LEFT, &last);
    let mut y = bottom + 40.0;
    for (line, colour) in panel.lines.iter().zip(COLOURS.into_iter().cycle()) {
        let path: String = line
            .points
            .iter()
            .map(|&(across, up)| {
                let x = left + WIDTH * across / most_x;
                let y = bottom - HEIGHT * up / most_y;
                format!("{x:.1},{y:.1} ")
            })
            .collect();
        let _ = writeln!(
            out,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2'/>\n\
             <path d='M{left} {:.0}h24' stroke='{colour}' stroke-width='2'/>",
            path.trim_end(),
            y - 4.0
        );
        text(out, left + 32.0, y, "", &line.name);
        y += 16.0;
    }
}

fn short(value: f64) -> String {
    match value {
        1e6.. => format!("{:.0} M", value / 1e6),
        1e4.. => format!("{:.0} k", value / 1e3),
        10.0.. | 0.0 => format!("{value:.0}"),
        _ => format!("{value:.1}"),
    }
}
