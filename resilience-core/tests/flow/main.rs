//! Durable work on a store in memory: leases, runs, idempotency keys, batches.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod batch;
mod cancel;
mod conformance;
mod idempotency;
mod lease;
mod ledger;
