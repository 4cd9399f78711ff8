//! Charts, written by hand: bars and lines need no crate.

mod bars;
mod lines;

use std::fmt::Write;

pub(crate) use bars::{Bar, bars};
pub(crate) use lines::{Line, Panel, lines};

/// Colours that stay different with colour vision deficiencies (Okabe and Ito).
const COLOURS: [&str; 8] =
    ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#cc79a7", "#56b4e9", "#999999", "#000000"];

fn document(width: f64, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='{width:.0}' height='{height:.0}' \
         font-family='sans-serif' font-size='11'>\n\
         <rect width='100%' height='100%' fill='white'/>\n{body}</svg>\n"
    )
}

/// Writes text with `attributes` for its anchor and font.
fn text(out: &mut String, x: f64, y: f64, attributes: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x='{x:.0}' y='{y:.0}' {attributes}>{words}</text>");
}

const TO_THE_LEFT: &str = "text-anchor='end'";
