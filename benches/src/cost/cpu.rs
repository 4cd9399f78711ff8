//! Time that passes only while this thread has a core.

use std::time::Duration;

use cpu_time::ThreadTime;
use tower::BoxError;

/// The CPU time that `work` takes of this thread, which does not pass while others have the core.
///
/// # Errors
/// Those of `work`.
pub fn cpu_time(work: impl FnOnce() -> Result<(), BoxError>) -> Result<Duration, BoxError> {
    let start = ThreadTime::try_now()?;
    work()?;
    Ok(start.try_elapsed()?)
}
