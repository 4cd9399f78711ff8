//! What is aimed at, and what came of it.

use std::fmt::Write;

use serde_json::{Value, json};

/// A number that is to be small enough.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Target {
    /// The figure's name.
    pub figure: &'static str,
    /// What is divided by what, or counted.
    pub what: &'static str,
    /// The bound.
    pub at_most: f64,
    /// What it is in this run; `None` if a row is missing.
    pub measured: Option<f64>,
    /// Whether it is counted rather than timed: the machine cannot move it, and a miss fails the run.
    pub exact: bool,
}

impl Target {
    /// One that the machine has a say in.
    pub(crate) const fn timed(
        figure: &'static str,
        what: &'static str,
        at_most: f64,
        measured: Option<f64>,
    ) -> Target {
        Target { figure, what, at_most, measured, exact: false }
    }

    /// One that it has none in.
    pub(crate) const fn exact(
        figure: &'static str,
        what: &'static str,
        at_most: f64,
        measured: Option<f64>,
    ) -> Target {
        Target { figure, what, at_most, measured, exact: true }
    }

    /// Whether it is met; `None` if it was not measured.
    #[must_use]
    pub fn holds(&self) -> Option<bool> {
        self.measured.map(|measured| measured <= self.at_most)
    }

    fn mark(&self) -> char {
        match self.holds() {
            Some(true) => '✔',
            Some(false) => '✘',
            None => '?',
        }
    }

    pub(crate) fn text(&self) -> String {
        format!("{} ≤ {}", self.what, (self.at_most * 1e3).round() / 1e3)
    }

    /// Whether it fails the run.
    pub(crate) fn fails(&self) -> bool {
        self.exact && self.holds() == Some(false)
    }
}

/// To read.
pub(crate) fn table(targets: &[Target]) -> String {
    let mut out = String::from("\ntargets\n");
    for target in targets {
        let mark = target.mark();
        let measured = number(target.measured, 2);
        let _ = writeln!(out, "  {mark} {:<22} {:<66} {measured}", target.figure, target.text());
    }
    out
}

/// For the book.
pub(crate) fn document(targets: &[Target]) -> String {
    let mut out = String::from("| figure | target | measured | |\n|---|---|---|---|\n");
    for target in targets {
        let (figure, text) = (target.figure, target.text());
        let measured = number(target.measured, 2);
        let _ = writeln!(out, "| {figure} | {text} | {measured} | {} |", target.mark());
    }
    out
}

/// To keep.
pub(crate) fn json(targets: &[Target]) -> Vec<Value> {
    let json = |target: &Target| {
        json!({
            "figure": target.figure,
            "target": target.text(),
            "measured": target.measured,
            "holds": target.holds(),
            "exact": target.exact,
        })
    };
    targets.iter().map(json).collect()
}

/// `?` if it was not measured.
pub(crate) fn number(value: Option<f64>, decimals: usize) -> String {
    value.map_or("?".to_owned(), |value| format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_fails_by_what_is_counted_and_missed() {
        let fails = |target: Target| target.fails();
        assert!(fails(Target::exact("waiters", "inversions", 0.0, Some(1.0))));
        assert!(!fails(Target::exact("waiters", "inversions", 0.0, Some(0.0))));
        assert!(!fails(Target::exact("waiters", "inversions", 0.0, None)), "not measured");
        assert!(!fails(Target::timed("stack", "to the floor", 1.5, Some(2.0))));
    }
}
