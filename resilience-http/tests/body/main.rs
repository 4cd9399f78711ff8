//! Bodies: their guards, replays and stalls.

#![cfg(feature = "layers")]
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod guarded;
mod layers;
mod replay;
mod scripted;
mod sockets;
mod stall;
