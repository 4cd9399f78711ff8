//! When to come back: what is read, from whom, and that nobody comes earlier.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod drive;
mod early;
mod hostile;
#[cfg(feature = "layers")]
mod layer;
mod rows;
