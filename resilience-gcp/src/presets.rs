//! Retry policies by service: attempts, backoff, total time and budget.
//!
//! The numbers are those that the services ask for or that the system behind this crate ran with,
//! made into one table because they differ for a reason: a conflict is over when the other writer
//! is done, a quota when its window moves on, and neither is an outage.
//!
//! | preset | attempts | delays | time | budget | source |
//! |---|---|---|---|---|---|
//! | [`bigquery_conflict`] | 20 | decorrelated, 1–32 s | 120 s | 4 a statement | motivating system; BigQuery SLA |
//! | [`bigquery_quota`] | 20 | decorrelated, 2–120 s | 600 s | 1 a statement | motivating system |
//! | [`firestore`] | 3 | full jitter, 1–30 s | 60 s | 10 % | motivating system |
//! | [`firestore_transaction`] | 5 | full jitter, 0.5–10 s | 60 s | 4 a transaction | motivating system; Firestore clients |
//! | [`pubsub_publish`] | 30 | full jitter, 0.1–60 s, × 4 | 600 s | 10 %, reserve 30 | Pub/Sub's service configuration |
//!
//! BigQuery's SLA counts only errors of clients that wait a second or more before the first retry,
//! which full jitter does not promise and decorrelated jitter does. The time, not the attempts, is
//! what ends a BigQuery or Pub/Sub call; the attempts bound a run of short draws.
//!
//! Where the failure is contention, each retry is how the work gets done: twenty writers on one row
//! need about four retries each (the `contention` experiment), and a budget of a tenth would refuse
//! nearly all. Where it is overload, a tenth it is. Each call of a preset makes a budget of its
//! own: to share one among several policies, give it to each with `budget`.
//!
//! Each preset is a builder, with the standard classifier: give it yours, and a listener, a name or
//! another limit.
//!
//! ```
//! use resilience_core::{AsOutcome, Outcome};
//! use resilience_gcp::{BigQueryError, presets};
//!
//! struct JobFailed { reason: String, message: String }
//!
//! let policy = presets::bigquery_conflict()
//!     .classify(|result: Result<&u64, &JobFailed>| match result {
//!         Ok(_) => Outcome::Success,
//!         Err(failed) => BigQueryError::new(&failed.reason, &failed.message).as_outcome(),
//!     })
//!     .build()?;
//! assert_eq!(policy.max_attempts(), 20);
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

use std::time::Duration;

use resilience_core::InvalidConfig;
use resilience_core::retry::{Backoff, RetryBudget, RetryPolicy, RetryPolicyBuilder};

const SECOND: Duration = Duration::from_secs(1);

/// For statements that lost to another writer ("Could not serialize access …").
pub fn bigquery_conflict() -> RetryPolicyBuilder {
    let elapsed = 120 * SECOND;
    RetryPolicy::builder()
        .name("bigquery conflict")
        .max_attempts(20)
        .backoff(Backoff::decorrelated_jitter(SECOND, 32 * SECOND))
        .max_elapsed(elapsed)
        .budget(budget(4.0, elapsed, 20))
}

/// For quotas that refill within minutes: DML jobs of a table, requests of a user.
pub fn bigquery_quota() -> RetryPolicyBuilder {
    let elapsed = 600 * SECOND;
    RetryPolicy::builder()
        .name("bigquery quota")
        .max_attempts(20)
        .backoff(Backoff::decorrelated_jitter(2 * SECOND, 120 * SECOND))
        .max_elapsed(elapsed)
        .budget(budget(1.0, elapsed, 20))
}

/// For single reads and writes of Firestore.
pub fn firestore() -> RetryPolicyBuilder {
    RetryPolicy::builder()
        .name("firestore")
        .max_attempts(3)
        .backoff(Backoff::full_jitter(SECOND, 30 * SECOND))
}

/// For whole Firestore transactions, begun anew with each attempt.
pub fn firestore_transaction() -> RetryPolicyBuilder {
    let elapsed = 60 * SECOND;
    RetryPolicy::builder()
        .name("firestore transaction")
        .max_attempts(5)
        .backoff(Backoff::full_jitter(SECOND / 2, 10 * SECOND))
        .max_elapsed(elapsed)
        .budget(budget(4.0, elapsed, 20))
}

/// For publishing to Pub/Sub. A message is published twice if its response was lost: subscribers
/// must detect duplicates.
pub fn pubsub_publish() -> RetryPolicyBuilder {
    let elapsed = 600 * SECOND;
    let backoff =
        Backoff::full_jitter(SECOND / 10, 60 * SECOND).and_then(|backoff| backoff.with_factor(4.0));
    RetryPolicy::builder()
        .name("pubsub publish")
        .max_attempts(30)
        .backoff(backoff)
        .max_elapsed(elapsed)
        .budget(budget(0.1, elapsed, 30))
}

/// Creates a budget of `ratio` retries for each call within `window`, the time that one call may
/// take. A single call without other traffic can use `reserve` retries.
fn budget(ratio: f64, window: Duration, reserve: u32) -> Result<RetryBudget, InvalidConfig> {
    RetryBudget::builder().ratio(ratio).window(window).reserve(reserve).build()
}
