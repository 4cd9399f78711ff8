//! Three hosts that have nothing to do with each other, except that one program calls them all.
//!
//! Each has a port of its own. Two take [`HEALTHY`] for an answer, the last one [`HANGS`].

use std::time::Duration;

use http::StatusCode;

use super::replies::{self, Reply};

/// How many there are.
pub const HOSTS: usize = 3;

/// What an answer takes: long enough for a busy machine's pauses to be short beside it.
pub const HEALTHY: Duration = Duration::from_millis(250);

/// What it takes where something is wrong.
pub const HANGS: Duration = Duration::from_secs(2);

/// The answer of the `nth` host.
pub(super) async fn answer(nth: usize) -> Reply {
    tokio::time::sleep(if nth + 1 == HOSTS { HANGS } else { HEALTHY }).await;
    replies::empty(StatusCode::OK)
}
