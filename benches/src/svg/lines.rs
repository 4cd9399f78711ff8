//! Line charts in panels side by side, with y axes that start at zero.

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
    /// The name of the y axis.
    pub(crate) title: String,
    /// The name of the x axis.
    pub(crate) across: String,
    /// Set for a logarithmic x axis; otherwise it is linear from zero.
    pub(crate) tenfold: bool,
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
    let least_x = points().map(|point| point.0).fold(most_x, f64::min);
    let share = |across: f64| match panel.tenfold {
        false => across / most_x,
        true => (across / least_x).log10() / (most_x / least_x).log10().max(1e-9),
    };
    let bottom = MARGIN + HEIGHT;
    text(out, left, MARGIN - 14.0, "font-size='13'", &panel.title);
    let _ =
        writeln!(out, "<path d='M{left} {MARGIN}V{bottom}h{WIDTH}' fill='none' stroke='black'/>");
    text(out, left - 4.0, MARGIN + 8.0, TO_THE_LEFT, &short(most_y));
    let last = format!("{} {}", short(most_x), panel.across);
    text(out, left + WIDTH, bottom + 16.0, TO_THE_LEFT, &last);
    if panel.tenfold {
        tenfolds(out, (least_x, most_x), |across| left + WIDTH * share(across));
    }
    let mut y = bottom + 40.0;
    let solid = COLOURS.map(|colour| (colour, ""));
    let dashed = COLOURS.map(|colour| (colour, " stroke-dasharray='5 3'"));
    let looks = solid.into_iter().chain(dashed).cycle();
    for (line, (colour, dashes)) in panel.lines.iter().zip(looks) {
        let path: String = line
            .points
            .iter()
            .map(|&(across, up)| {
                let x = left + WIDTH * share(across);
                let y = bottom - HEIGHT * up / most_y;
                format!("{x:.1},{y:.1} ")
            })
            .collect();
        let _ = writeln!(
            out,
            "<polyline points='{}' fill='none' stroke='{colour}' stroke-width='2'{dashes}/>\n\
             <path d='M{left} {:.0}h24' stroke='{colour}' stroke-width='2'{dashes}/>",
            path.trim_end(),
            y - 4.0
        );
        text(out, left + 32.0, y, "", &line.name);
        y += 16.0;
    }
}

/// Draws a tick at `least` and at each tenfold of it, and a label at `least`.
fn tenfolds(out: &mut String, (least, most): (f64, f64), place: impl Fn(f64) -> f64) {
    let bottom = MARGIN + HEIGHT;
    text(out, place(least), bottom + 16.0, "", &short(least));
    let mut at = least;
    while at <= most {
        let _ = writeln!(out, "<path d='M{:.1} {bottom}v-4' stroke='black'/>", place(at));
        at *= 10.0;
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
