//! One line of the table.

use crate::cost::{Inner, Measured, Mode, Role, Subject};
use crate::figures::Figure;
use crate::stats::Spread;

/// What one subject costs in one mode, beside its figure's floor.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Row {
    /// The figure's name.
    pub figure: &'static str,
    /// The subject's.
    pub subject: &'static str,
    /// What the subject is to the comparison.
    pub role: Role,
    /// What it called.
    pub inner: Inner,
    /// On what it was called.
    pub mode: Mode,
    /// Nanoseconds of CPU for each call; `None` if two threads never ran side by side.
    pub ns: Option<Spread>,
    /// Nanoseconds that passed.
    pub wall_ns: Option<f64>,
    /// Of each call.
    pub allocs: f64,
    /// In multiples of the floor in the same rounds.
    pub ratio_to_floor: Option<f64>,
    /// What it does not do.
    pub lacks: &'static str,
}

impl Row {
    /// What tells it from all others, in any run.
    pub(super) fn key(&self) -> String {
        key(self.figure, self.subject, self.inner.name(), self.mode.name())
    }

    /// Ours, and not as cheap as promised.
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

/// Every row, in the order of the figures. `subjects` are all that were measured, with their figures.
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

/// The floor of the same figure, service and mode. Where it has none of its own on two workers, two threads are as
/// many.
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

    /// A row of ours on one thread that was not measured.
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

    /// The same, measured: give or take an eighth.
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
