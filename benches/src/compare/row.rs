//! Rows of the results: a subject in one mode.

use crate::cost::{Inner, Measured, Mode, Role, Subject};
use crate::figures::Figure;
use crate::stats::Spread;

/// Cost of one subject in one mode, compared with the floor of its figure.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Row {
    /// Name of the figure.
    pub figure: &'static str,
    /// Name of the subject.
    pub subject: &'static str,
    /// Role of the subject in the comparison.
    pub role: Role,
    /// Inner service of the subject.
    pub inner: Inner,
    /// Threads and runtimes that made the calls.
    pub mode: Mode,
    /// CPU nanoseconds for each call, on each thread. `None` if two threads ran in parallel in
    /// fewer than five rounds.
    pub ns: Option<Spread>,
    /// Nanoseconds of wall time for each call, as a median. `None` in the same cases as `ns`.
    pub wall_ns: Option<f64>,
    /// Mean number of allocations of a call.
    pub allocs: f64,
    /// Median of the ratios to the floor in the same round. `None` if the figure has no floor for
    /// this inner service, or too few rounds count.
    pub ratio_to_floor: Option<f64>,
    /// Features of the figure that the subject does not have. Empty if it has all.
    pub lacks: &'static str,
}

impl Row {
    /// Returns a key that is unique in a run and the same in every run.
    pub(super) fn key(&self) -> String {
        key(self.figure, self.subject, self.inner.name(), self.mode.name())
    }

    /// Returns `true` if the subject is this library's and allocates.
    pub(super) fn breaks_its_promise(&self) -> bool {
        self.role == Role::Ours && self.allocs > 0.0
    }

    pub(super) fn median(&self) -> Option<f64> {
        self.ns.map(|ns| ns.median)
    }
}

pub(super) fn key(figure: &str, subject: &str, inner: &str, mode: &str) -> String {
    format!("{figure} / {subject} / {inner} / {mode}")
}

/// Returns a row for each measurement, in order. `subjects` are the subjects measured, with their
/// figures; [`Measured::subject`] is an index into them.
pub(super) fn rows(subjects: &[(&Figure, &Subject)], measured: &[Measured]) -> Vec<Row> {
    measured
        .iter()
        .map(|of| {
            let (figure, subject) = subjects[of.subject];
            Row {
                figure: figure.name,
                subject: subject.name,
                role: subject.role,
                inner: subject.inner,
                mode: of.mode,
                ns: of.ns,
                wall_ns: of.wall_ns,
                allocs: of.allocations,
                ratio_to_floor: floor(subjects, measured, of).and_then(|floor| of.ratio(floor)),
                lacks: subject.lacks,
            }
        })
        .collect()
}

/// Returns the floor of the same figure, inner service and mode. If the floor was not measured in
/// that mode, returns its measurement with two runtimes, or `None` if there is none.
fn floor<'a>(
    subjects: &[(&Figure, &Subject)],
    measured: &'a [Measured],
    of: &Measured,
) -> Option<&'a Measured> {
    let (figure, subject) = subjects[of.subject];
    let on = |mode: Mode| {
        measured.iter().find(|floor| {
            let (in_figure, floor_subject) = subjects[floor.subject];
            in_figure.name == figure.name
                && floor_subject.role == Role::Floor
                && floor_subject.inner == subject.inner
                && floor.mode == mode
        })
    };
    on(of.mode).or_else(|| on(Mode::Two))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Returns a row of this library on one thread, without a measurement.
    pub(in crate::compare) fn row(figure: &'static str, subject: &'static str) -> Row {
        Row {
            figure,
            subject,
            role: Role::Ours,
            inner: Inner::Ready,
            mode: Mode::One,
            ns: None,
            wall_ns: None,
            allocs: 0.0,
            ratio_to_floor: None,
            lacks: "",
        }
    }

    /// Adds a measurement with a spread of one eighth to each side.
    pub(in crate::compare) fn ns(row: Row, median: f64) -> Row {
        let ns = Some(Spread { low: 0.875 * median, median, high: 1.125 * median });
        Row { ns, wall_ns: Some(median), ..row }
    }

    #[test]
    fn an_allocation_of_ours_breaks_a_promise_and_a_peers_does_not() {
        let allocates = Row { allocs: 0.5, ..row("stack", "ours") };
        assert!(allocates.breaks_its_promise());
        assert!(!Row { role: Role::Peer, ..allocates }.breaks_its_promise());
        assert!(!row("stack", "ours").breaks_its_promise());
    }
}
