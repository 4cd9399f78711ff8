//! Costs of subjects at each size.

use tower::BoxError;

use super::figure::Figure;
use crate::cost::{self, Effort, Measured, Subject};

/// A subject at one size.
pub(super) struct At {
    pub(super) size: u64,
    pub(super) subject: Subject,
}

/// Subjects that were measured in the same rounds.
pub(super) struct Sweep {
    points: Vec<At>,
    measured: Vec<Measured>,
}

impl At {
    /// Creates a point on one thread only; `compare` measures two threads.
    pub(super) fn new(size: u64, subject: Subject) -> At {
        At { size, subject: subject.alone() }
    }
}

impl Sweep {
    /// Measures all points in the same rounds.
    ///
    /// # Errors
    /// If a call fails.
    pub(super) fn measure(points: Vec<At>, effort: Effort) -> Result<Sweep, BoxError> {
        let subjects: Vec<&Subject> = points.iter().map(|at| &at.subject).collect();
        let measured = cost::all(&subjects, effort)?;
        Ok(Sweep { points, measured })
    }

    /// Adds the median of each measured subject to `figure`.
    pub(super) fn draw(&self, figure: &mut Figure) {
        for (at, measured) in self.points.iter().zip(&self.measured) {
            if let Some(ns) = measured.ns {
                figure.add(at.subject.name, at.subject.lacks, at.size, ns.median);
            }
        }
    }

    /// Returns the cost of `above` divided by that of `below`, measured in the same rounds.
    pub(super) fn ratio(&self, above: (&str, u64), below: (&str, u64)) -> Option<f64> {
        self.find(above)?.ratio(self.find(below)?)
    }

    fn find(&self, (name, size): (&str, u64)) -> Option<&Measured> {
        let is = |at: &At| at.subject.name == name && at.size == size;
        self.points.iter().position(is).map(|index| &self.measured[index])
    }
}
