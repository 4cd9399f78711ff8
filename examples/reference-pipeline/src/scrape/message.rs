//! What a scraper tells the demo: lines of JSON on its stdout.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::BoxError;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "both ends are this program")]
pub enum Message {
    /// So far.
    Progress(Progress),
    /// The last line.
    Summary(Summary),
}

/// How far a scraper is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Calls that have ended.
    pub done: usize,
    /// Calls to make.
    pub of: usize,
}

/// How a scraper's calls ended, as far as it admits.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Calls that succeeded, or were said to.
    pub succeeded: usize,
    /// Calls that failed, and said so.
    pub failed: usize,
    /// The first few failures: what, and why.
    pub failures: Vec<String>,
    /// What it measured, where the job is to measure.
    pub measured: Option<Measured>,
}

/// What a scraper measures on its own side of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(clippy::exhaustive_enums, reason = "both ends are this program")]
pub enum Measured {
    /// What healthy hosts' calls took, in milliseconds, 99 of 100 of them.
    Healthy {
        /// While only they were called.
        alone: f64,
        /// While a host that hangs was called too.
        beside_slow: f64,
    },
    /// What breakers are remembered by.
    Memory {
        /// Keys that are held.
        keys: usize,
        /// By how many bytes the process has grown, where the system tells.
        resident: Option<u64>,
    },
}

/// How many failures are told in words.
const TOLD: usize = 5;

impl Summary {
    /// Counts how one call ended.
    pub(super) fn count(&mut self, what: &str, ended: Result<(), BoxError>) {
        match ended {
            Ok(()) => self.succeeded += 1,
            Err(why) => {
                self.failed += 1;
                if self.failures.len() < TOLD {
                    self.failures.push(format!("{what}: {why}"));
                }
            }
        }
    }

    /// This and another scraper's.
    #[must_use]
    pub fn and(mut self, other: Summary) -> Summary {
        self.succeeded += other.succeeded;
        self.failed += other.failed;
        self.failures.extend(other.failures);
        self.failures.truncate(TOLD);
        self.measured = self.measured.or(other.measured);
        self
    }
}

impl Message {
    /// Writes the line.
    ///
    /// # Errors
    /// If nobody reads any more.
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
    fn failures_are_counted_and_the_first_told() {
        let mut summary = Summary::default();
        (0..9).for_each(|day| summary.count(&format!("day {day}"), Err("gone".into())));
        summary.count("day 9", Ok(()));
        assert_eq!((summary.succeeded, summary.failed), (1, 9));
        assert_eq!(summary.failures.len(), TOLD);
        assert_eq!(summary.failures[0], "day 0: gone");
        assert_eq!(summary.clone().and(summary).failed, 18);
    }
}
