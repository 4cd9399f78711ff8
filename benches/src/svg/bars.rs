//! Horizontal bar charts, with a line at the floor.

use std::fmt::Write;

use super::{TO_THE_LEFT, document, text};

const LABELS: f64 = 250.0;
const WIDTH: f64 = 420.0;
const NUMBERS: f64 = 130.0;
const ROW: f64 = 20.0;
const TOP: f64 = 48.0;

pub(crate) struct Bar {
    pub(crate) label: String,
    pub(crate) colour: &'static str,
    /// The length of the bar, printed after it.
    pub(crate) value: f64,
}

/// Draws bars. A `floor` is a line through all of them. A bar that is too long for the scale of the
/// others ends in a gap, with its length as a number.
pub(crate) fn bars(title: &str, unit: &str, floor: Option<f64>, bars: &[Bar]) -> String {
    let mut out = String::new();
    text(&mut out, 8.0, 20.0, "font-size='13'", title);
    let most = scale(bars);
    for (index, bar) in bars.iter().enumerate() {
        let y = TOP + ROW * crate::stats::float(index);
        text(&mut out, LABELS - 6.0, y + 11.0, TO_THE_LEFT, &bar.label);
        let length = WIDTH * (bar.value / most).min(1.0);
        let _ = writeln!(
            out,
            "<rect x='{LABELS}' y='{y:.0}' width='{length:.1}' height='14' fill='{}'/>",
            bar.colour
        );
        if bar.value > most {
            let x = LABELS + WIDTH - 16.0;
            let bottom = y + 15.0;
            let _ =
                writeln!(out, "<path d='M{x} {bottom:.0}l6 -16' stroke='white' stroke-width='4'/>");
        }
        let number = format!("{:.1} {unit}", bar.value);
        text(&mut out, LABELS + length + 5.0, y + 11.0, "", &number);
    }
    let bottom = TOP + ROW * crate::stats::float(bars.len());
    if let Some(floor) = floor.filter(|floor| *floor <= most) {
        let x = LABELS + WIDTH * floor / most;
        let top = TOP - 6.0;
        let _ = writeln!(
            out,
            "<path d='M{x:.1} {top}V{bottom:.0}' stroke='#d55e00' stroke-dasharray='4 3'/>"
        );
        text(&mut out, x + 3.0, top, "fill='#d55e00'", "floor");
    }
    document(LABELS + WIDTH + NUMBERS, bottom + 16.0, &out)
}

/// Returns the value of a bar of full width: the largest value, but at most four medians.
fn scale(bars: &[Bar]) -> f64 {
    let mut values: Vec<f64> = bars.iter().map(|bar| bar.value).collect();
    values.sort_by(f64::total_cmp);
    let middle = values.get(values.len() / 2).copied().unwrap_or(1.0);
    values.last().copied().unwrap_or(1.0).min(4.0 * middle).max(1e-9)
}
