//! Messages of a scraper to the demo: lines of JSON on stdout.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::BoxError;

/// A message, one line of output.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "both ends are this program")]
pub enum Message {
    /// Progress so far.
    Progress(Progress),
    /// Results: the last line.
    Summary(Summary),
}

/// Progress of a scraper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Calls that have ended.
    pub done: usize,
    /// Calls to make.
    pub of: usize,
}

/// Results of a scraper's calls, as the scraper reports them.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Calls that succeeded, or were reported as successes.
    pub succeeded: usize,
    /// Calls that were reported as failures.
    pub failed: usize,
    /// Descriptions of the first few failures: the call and the reason.
    pub failures: Vec<String>,
    /// Measurements of a job that measures.
    pub measured: Option<Measured>,
}

/// Measurements on the scraper's side.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "both ends are this program")]
pub enum Measured {
    /// 99th percentiles of the healthy hosts' calls, in milliseconds.
    Healthy {
        /// While only healthy hosts were called.
        alone: f64,
        /// While a host that hangs was called too.
        beside_slow: f64,
    },
    /// Memory that circuit breakers take.
    Memory {
        /// Number of keys that are kept.
        keys: usize,
        /// Bytes by which the process has grown; `None` where that cannot be measured.
        resident: Option<u64>,
    },
}

/// Number of failures that are described.
const DESCRIBED: usize = 5;

impl Summary {
    /// Counts the result of one call.
    pub(super) fn count(&mut self, what: &str, ended: Result<(), BoxError>) {
        match ended {
            Ok(()) => self.succeeded += 1,
            Err(why) => {
                self.failed += 1;
                if self.failures.len() < DESCRIBED {
                    self.failures.push(format!("{what}: {why}"));
                }
            }
        }
    }

    /// Returns the sum of this summary and another scraper's.
    #[must_use]
    pub fn and(mut self, other: Summary) -> Summary {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(DESCRIBED);
        self.measured = self.measured.or(other.measured);
        self
    }
}

impl Message {
    /// Writes the line.
    ///
    /// # Errors
    /// If stdout is closed.
    pub fn send(&self) -> Result<(), BoxError> {
        let mut line = serde_json::to_vec(self)?;
        line.push(b'\n');
        let mut out = io::stdout().lock();
        out.write_all(&line)?;
        Ok(out.flush()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_and_the_first_described() {
        let mut summary = Summary::default();
        (0..9).for_each(|day| summary.count(&format!("day {day}"), Err("gone".into())));
        summary.count("day 9", Ok(()));
        assert_eq!((summary.succeeded, summary.failed), (1, 9));
        assert_eq!(summary.failures.len(), DESCRIBED);
        assert_eq!(summary.failures[0], "day 0: gone");
        assert_eq!(summary.clone().and(summary).failed, 18);
    }
}
