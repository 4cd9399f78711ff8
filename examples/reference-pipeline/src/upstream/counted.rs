//! A port that counts its connections, because the server sees the effect of a client's pool.

use std::time::Duration;

use http::StatusCode;

use super::replies::{self, Reply};

/// Time of a response, long enough for concurrent calls.
const WORK: Duration = Duration::from_millis(5);

pub(super) async fn respond() -> Reply {
    tokio::time::sleep(WORK).await;
    replies::empty(StatusCode::OK)
}
