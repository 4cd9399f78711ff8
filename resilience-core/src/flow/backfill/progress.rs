//! The progress of a run. Pure.

use std::fmt;
use std::time::Duration;

/// The progress of a backfill, and the time that it still takes.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Progress {
    /// All items of the job.
    pub total: usize,
    /// The items that were loaded or skipped, in this run and before.
    pub done: usize,
    /// The items in quarantine.
    pub quarantined: usize,
    /// The items that have failed in this run and are left to the next one.
    pub failed: usize,
    /// The items that are being worked on.
    pub in_flight: usize,
    /// The items that this run has ended in a second, on average, or `None` before the first.
    pub per_second: Option<f64>,
    /// The time until this run has tried every item, at that rate.
    pub eta: Option<Duration>,
}

impl Progress {
    /// Returns the items that this run has not ended yet.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.total - self.done - self.quarantined - self.failed
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Progress { total, done, quarantined, failed, .. } = self;
        write!(f, "{done} of {total} done, {failed} failed, {quarantined} quarantined")?;
        if let (Some(rate), Some(eta)) = (self.per_second, self.eta) {
            write!(f, ", {rate:.1} items/s, {} s left", eta.as_secs())?;
        }
        Ok(())
    }
}
