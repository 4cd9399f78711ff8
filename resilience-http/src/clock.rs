//! Wall time, which HTTP-dates are relative to. Parsers in this crate take it as an argument.
//!
//! ```
//! let before = resilience_http::clock::wall_now();
//! assert!(before > std::time::SystemTime::UNIX_EPOCH);
//! ```

use std::time::SystemTime;

/// Reads the wall clock, which may be wrong and may jump: for dates, never for durations.
#[must_use]
pub fn wall_now() -> SystemTime {
    resilience_core::clock::wall_now()
}
