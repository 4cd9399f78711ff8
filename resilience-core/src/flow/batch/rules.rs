//! Bounds of a batch writer.

use std::time::Duration;

use crate::config::{self, InvalidConfig};
use crate::flow::limits::MAX_BATCH;
use crate::retry::Backoff;

/// Bounds of a [`BatchBuffer`](super::BatchBuffer).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct BatchRules {
    /// The most rows of one batch: 1 to [`MAX_BATCH`].
    pub max_rows: usize,
    /// The longest time for which a row waits for others before its batch is due.
    pub max_wait: Duration,
    /// The most rows that are held, waiting or not confirmed: at least `max_rows`.
    pub max_buffered: usize,
    /// The waits before a batch is written again.
    pub backoff: Backoff,
}

impl BatchRules {
    /// Creates the rules: 1,000 rows or a second for a batch, 10,000 rows held, and jittered waits
    /// of `backoff`.
    #[must_use]
    pub const fn new(backoff: Backoff) -> BatchRules {
        BatchRules {
            max_rows: 1_000,
            max_wait: Duration::from_secs(1),
            max_buffered: 10_000,
            backoff,
        }
    }

    /// Validates the rules.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    pub fn check(&self) -> Result<(), InvalidConfig> {
        if self.max_rows == 0 || self.max_rows > MAX_BATCH {
            let bound = format_args!("between 1 and {MAX_BATCH}").to_string();
            return Err(InvalidConfig::new("max_rows", self.max_rows, bound));
        }
        config::wait("max_wait", self.max_wait)?;
        if self.max_buffered < self.max_rows {
            let bound = format!("at least `max_rows` ({})", self.max_rows);
            return Err(InvalidConfig::new("max_buffered", self.max_buffered, bound));
        }
        Ok(())
    }
}
