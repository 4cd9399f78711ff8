//! Bodies: what they hold, how they are sent twice, and when they are given up.

#![cfg(feature = "layers")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod guarded;
mod layers;
mod replay;
mod scripted;
mod sockets;
mod stall;
