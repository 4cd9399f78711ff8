//! Targets, and their results.

use std::fmt::Write;

use serde_json::{Value, json};

/// An upper bound for a measured number, with the result of this run.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Target {
    /// The figure's name.
    pub figure: &'static str,
    /// The quotient or count.
    pub what: &'static str,
    /// The bound.
    pub at_most: f64,
    /// The result of this run; `None` if a row is missing.
    pub measured: Option<f64>,
    /// The result of the figure's floor alone, where it is known. A bound below it is out of reach
    /// of any implementation of this work.
    pub floor: Option<f64>,
    /// Set for a count. The machine cannot change it, and a miss fails the run.
    pub exact: bool,
}

impl Target {
    /// Creates a target for a time, which varies with the machine.
    pub(crate) const fn timed(
        figure: &'static str,
        what: &'static str,
        at_most: f64,
        measured: Option<f64>,
    ) -> Target {
        Target { figure, what, at_most, measured, floor: None, exact: false }
    }

    /// Creates a target for a count.
    pub(crate) const fn exact(
        figure: &'static str,
        what: &'static str,
        at_most: f64,
        measured: Option<f64>,
    ) -> Target {
        Target { figure, what, at_most, measured, floor: None, exact: true }
    }

    /// Sets the result of the floor alone.
    pub(crate) const fn above(mut self, floor: Option<f64>) -> Target {
        self.floor = floor;
        self
    }

    /// Returns the result as text, with that of the floor alone if the bound is out of reach.
    fn found(&self) -> String {
        let floor = self.out_of_reach().map(|floor| format!(" (the floor alone: {floor:.2})"));
        number(self.measured, 2) + &floor.unwrap_or_default()
    }

    /// Returns the result of the floor alone if it is above the bound.
    #[must_use]
    pub fn out_of_reach(&self) -> Option<f64> {
        self.floor.filter(|floor| *floor > self.at_most)
    }

    /// Returns `true` if the bound is met, and `None` without a measurement.
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

    /// Returns `true` if the target fails the run.
    pub(crate) fn fails(&self) -> bool {
        self.exact && self.holds() == Some(false)
    }
}

/// Returns the targets as a table for the terminal.
pub(crate) fn table(targets: &[Target]) -> String {
    let mut out = String::from("\ntargets\n");
    for target in targets {
        let mark = target.mark();
        let (figure, text, measured) = (target.figure, target.text(), target.found());
        let _ = writeln!(out, "  {mark} {figure:<22} {text:<66} {measured}");
    }
    out
}

/// Returns the targets as a Markdown table for the book.
pub(crate) fn document(targets: &[Target]) -> String {
    let mut out = String::from("| figure | target | measured | |\n|---|---|---|---|\n");
    for target in targets {
        let (figure, text) = (target.figure, target.text());
        let (measured, mark) = (target.found(), target.mark());
        let _ = writeln!(out, "| {figure} | {text} | {measured} | {mark} |");
    }
    out
}

/// Returns the targets as JSON for the report.
pub(crate) fn json(targets: &[Target]) -> Vec<Value> {
    let json = |target: &Target| {
        json!({
            "figure": target.figure,
            "target": target.text(),
            "measured": target.measured,
            "holds": target.holds(),
            "floor": target.floor,
            "exact": target.exact,
        })
    };
    targets.iter().map(json).collect()
}

/// Returns `value` with this number of decimals; `?` for `None`.
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

    #[test]
    fn a_bound_below_the_floor_is_said_to_be() {
        let of = |floor| Target::timed("limiter", "ours / theirs", 0.5, Some(0.9)).above(floor);
        assert_eq!(of(Some(0.7)).out_of_reach(), Some(0.7));
        assert!(of(Some(0.4)).out_of_reach().is_none() && of(None).out_of_reach().is_none());
        assert!(table(&[of(Some(0.7))]).ends_with(" 0.90 (the floor alone: 0.70)\n"));
        assert!(document(&[of(Some(0.7))]).ends_with("| 0.90 (the floor alone: 0.70) | ✘ |\n"));
    }
}
