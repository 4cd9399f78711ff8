//! Durable work on a store in memory: leases, runs, idempotency keys, batches and messages.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod batch;
mod cancel;
mod conformance;
mod idempotency;
mod lease;
mod ledger;
mod outbox;
