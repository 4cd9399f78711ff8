//! Reading of hints, their effect on limiters, and retries that are never early.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod drive;
mod early;
mod hostile;
#[cfg(feature = "layers")]
mod layer;
mod rows;
