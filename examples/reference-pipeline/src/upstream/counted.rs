//! A port whose connections are counted: what a client's pool is worth is seen by who must accept them.

use std::time::Duration;

use http::StatusCode;

use super::replies::{self, Reply};

/// What an answer takes, so that calls are under way together.
const WORK: Duration = Duration::from_millis(5);

pub(super) async fn answer() -> Reply {
    tokio::time::sleep(WORK).await;
    replies::empty(StatusCode::OK)
}
