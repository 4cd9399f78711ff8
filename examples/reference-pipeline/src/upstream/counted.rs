//! Responses on the port that counts its connections, by which clients' pools are compared.

use std::time::Duration;

use http::StatusCode;

use super::replies::{self, Reply};

/// Time that a response takes, so that calls overlap.
const WORK: Duration = Duration::from_millis(5);

pub(super) async fn respond() -> Reply {
    tokio::time::sleep(WORK).await;
    replies::empty(StatusCode::OK)
}
