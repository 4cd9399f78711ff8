//! Three independent hosts that one program calls.
//!
//! Each has a port of its own. Two respond after [`HEALTHY`], the last one after [`HANGS`].

use std::time::Duration;

use http::StatusCode;

use super::replies::{self, Reply};

/// Number of hosts.
pub const HOSTS: usize = 3;

/// Response time of a healthy host: long beside the pauses of a busy machine.
pub const HEALTHY: Duration = Duration::from_millis(250);

/// Response time of the host that hangs.
pub const HANGS: Duration = Duration::from_secs(2);

/// Returns the response of the `nth` host.
pub(super) async fn respond(nth: usize) -> Reply {
    tokio::time::sleep(if nth + 1 == HOSTS { HANGS } else { HEALTHY }).await;
    replies::empty(StatusCode::OK)
}
