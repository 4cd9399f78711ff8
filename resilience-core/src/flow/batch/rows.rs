//! The rows of one write.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Consecutive rows of one writer, in the order in which they were pushed. Clones share the rows.
///
/// Rows are numbered from 0 for each writer. A batch that is written again has the same rows under
/// the same numbers, so that a sink can recognise it; the halves of a split batch keep the numbers
/// of their rows.
pub struct Batch<R> {
    rows: Arc<[R]>,
    /// The part of `rows` that this batch has: never empty.
    part: Range<usize>,
    /// The number of the first of `rows`.
    base: u64,
}

impl<R> Batch<R> {
    pub(super) fn new(rows: Vec<R>, base: u64) -> Batch<R> {
        let part = 0..rows.len();
        Batch { rows: rows.into(), part, base }
    }

    /// Returns the rows: at least one.
    #[must_use]
    pub fn rows(&self) -> &[R] {
        self.rows.get(self.part.clone()).unwrap_or_default()
    }

    /// Returns the numbers of the rows.
    #[must_use]
    pub const fn numbers(&self) -> Range<u64> {
        self.base + self.part.start as u64..self.base + self.part.end as u64
    }

    /// Returns both halves, or `None` if there is only one row.
    pub(super) fn split(&self) -> Option<(Batch<R>, Batch<R>)> {
        let middle = self.part.start + self.part.len() / 2;
        let half = |part| Batch { part, ..self.clone() };
        let halves = (half(self.part.start..middle), half(middle..self.part.end));
        (self.part.len() > 1).then_some(halves)
    }
}

impl<R> Clone for Batch<R> {
    fn clone(&self) -> Batch<R> {
        Batch { rows: self.rows.clone(), part: self.part.clone(), base: self.base }
    }
}

impl<R> fmt::Debug for Batch<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch").field("numbers", &self.numbers()).finish_non_exhaustive()
    }
}
