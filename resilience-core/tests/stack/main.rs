//! The standard stack: its order, its plan, and what it leaves behind.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

mod cancel;
mod deadline;
mod held;
mod infeasible;
mod order;
mod plan;
mod readiness;
mod sharing;
mod threads;
mod types;

use std::io;
use std::time::Duration;

use tower::BoxError;

const SECOND: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// A failure that may pass.
fn down() -> BoxError {
    io::Error::from(io::ErrorKind::ConnectionReset).into()
}
