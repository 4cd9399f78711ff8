//! The wall clock, which HTTP dates are relative to. Parsers in this crate take the wall time as an
//! argument.
//!
//! ```
//! let before = resilience_http::clock::wall_now();
//! assert!(before > std::time::SystemTime::UNIX_EPOCH);
//! ```

use std::time::SystemTime;

/// Reads the wall clock. It may be wrong and may jump: use it for dates, never to measure
/// durations.
#[must_use]
pub fn wall_now() -> SystemTime {
    resilience_core::clock::wall_now()
}
