//! Wall time, which HTTP needs and nothing else here does.
//!
//! An HTTP-date names a point on the calendar, so somebody has to know today's. Parsers in this crate
//! take the wall time as an argument; this is the one place that reads it.
//!
//! ```
//! let before = resilience_http::clock::wall_now();
//! assert!(before > std::time::SystemTime::UNIX_EPOCH);
//! ```

use std::time::SystemTime;

/// What the wall clock shows. It may be wrong, and it may jump: use it to read dates, never to
/// measure how long something took.
#[must_use]
pub fn wall_now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads wall time")]
    SystemTime::now()
}
