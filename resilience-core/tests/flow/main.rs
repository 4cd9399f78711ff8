//! Durable work on a store in memory: leases, runs, idempotency keys and messages.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod cancel;
mod conformance;
mod idempotency;
mod lease;
mod ledger;
mod outbox;
