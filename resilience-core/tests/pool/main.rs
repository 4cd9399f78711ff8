//! Pools: the field's scenarios (from the tests of bb8 and deadpool), cancellation,
//! ages, the circuit around making objects, and real sockets.

#![cfg(feature = "pool")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod broken;
mod cancel;
mod config;
mod creating;
mod deadlines;
mod drain;
mod fake;
mod layer;
mod maintenance;
mod panics;
mod rows;
mod sockets;
mod telemetry;
