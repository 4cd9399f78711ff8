//! Retention, and sizes of tables.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The time for which ended things are kept. Idempotency keys and rows have a time of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Leases after their end: 7 days by default. Their tokens grow on when they are removed.
    pub leases: Duration,
    /// Runs after their end, and runs without one after their beginning: 90 days by default.
    pub runs: Duration,
}

impl Default for Retention {
    fn default() -> Retention {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Retention { leases: 7 * DAY, runs: 90 * DAY }
    }
}

/// Rows that a step has removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Removed {
    /// Leases.
    pub leases: u64,
    /// Runs.
    pub runs: u64,
    /// Entries of timelines.
    pub entries: u64,
    /// Idempotency keys.
    pub keys: u64,
    /// Hashes of rows.
    pub rows: u64,
}

impl Removed {
    /// Returns everything that was removed.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.leases + self.runs + self.entries + self.keys + self.rows
    }
}

/// The size of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSize {
    /// The name of the table.
    pub table: &'static str,
    /// The rows in it, counted up to 1,000,000.
    pub rows: u64,
}

pub(crate) const TABLES: [&str; 5] =
    ["flow_leases", "flow_runs", "flow_timeline", "flow_keys", "flow_rows"];

/// The gauges of the tables, in the same order.
const GAUGES: [&str; 5] = [
    "resilience.store.leases",
    "resilience.store.runs",
    "resilience.store.timeline",
    "resilience.store.keys",
    "resilience.store.rows",
];

/// The sizes that were counted last.
#[derive(Debug, Default)]
pub(crate) struct LastSizes([AtomicU64; 5]);

impl LastSizes {
    pub(crate) fn set(&self, sizes: &[TableSize]) {
        for (last, size) in self.0.iter().zip(sizes) {
            last.store(size.rows, Ordering::Relaxed);
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    pub(crate) fn visit(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        for (name, last) in GAUGES.into_iter().zip(&self.0) {
            visit(name, last.load(Ordering::Relaxed) as f64);
        }
    }
}

/// The most rows that a gauge counts: counting more would hold up the store.
pub(crate) const COUNTED: u64 = 1_000_000;
