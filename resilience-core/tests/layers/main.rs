//! The suites that every layer goes through.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod auto_traits;
mod cancel;
mod conservation;
mod contract;
mod every;
mod panics;
mod spawned;
