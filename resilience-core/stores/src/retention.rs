//! Retention, and sizes of tables.

use std::pin::Pin;
#[cfg(any(feature = "postgres", feature = "sqlite"))]
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use resilience_core::flow::StoreFuture;
use resilience_core::observe::Gauges;

/// The time for which ended things are kept. Idempotency keys and rows have a time of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Retention {
    /// Leases after their end: 7 days by default. Their tokens grow on when they are removed.
    pub leases: Duration,
    /// Runs after their end, and runs without one after their beginning: 90 days by default.
    pub runs: Duration,
    /// Dead letters after they were put aside: 30 days by default.
    pub dead_letters: Duration,
}

impl Default for Retention {
    fn default() -> Retention {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Retention { leases: 7 * DAY, runs: 90 * DAY, dead_letters: 30 * DAY }
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
    /// Dead letters.
    pub dead_letters: u64,
}

impl Removed {
    /// Returns everything that was removed.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.leases + self.runs + self.entries + self.keys + self.rows + self.dead_letters
    }
}

/// The size of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TableSize {
    /// The name of the table. In Redis, which has none, `database`.
    pub table: &'static str,
    /// The rows in it, counted up to 1,000,000. In Redis, all keys of the database.
    pub rows: u64,
}

#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) const TABLES: [&str; 6] =
    ["flow_leases", "flow_runs", "flow_timeline", "flow_keys", "flow_rows", "flow_outbox"];

/// The gauges of the tables, in the same order.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
const GAUGES: [&str; 6] = [
    "resilience.store.leases",
    "resilience.store.runs",
    "resilience.store.timeline",
    "resilience.store.keys",
    "resilience.store.rows",
    "resilience.store.messages",
];

/// The sizes that were counted last.
#[cfg(any(feature = "postgres", feature = "sqlite"))]
#[derive(Debug, Default)]
pub(crate) struct LastSizes([AtomicU64; 6]);

#[cfg(any(feature = "postgres", feature = "sqlite"))]
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
#[cfg(any(feature = "postgres", feature = "sqlite"))]
pub(crate) const COUNTED: u64 = 1_000_000;

/// The rows that maintenance removes from each table in one transaction.
const STEP: u32 = 1_000;

/// Maintenance of a store, the same loop for each engine.
pub(crate) trait Upkeep: Gauges + Send + Sync {
    /// Removes at most `limit` rows of each table that are no longer kept.
    fn remove(&self, limit: u32) -> StoreFuture<'_, Removed>;

    /// Counts what is left, for the gauges too.
    fn count(&self) -> StoreFuture<'_, Vec<TableSize>>;

    /// Removes and counts, now and then `every` so often, for ever. A failure is left for the next
    /// time.
    fn maintain(&self, every: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(async move {
            loop {
                while self.remove(STEP).await.is_ok_and(|removed| removed.total() > 0) {
                    tokio::task::yield_now().await;
                }
                let _ = self.count().await;
                tokio::time::sleep(every).await;
            }
        })
    }
}
