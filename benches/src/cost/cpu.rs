//! Time that passes only while work has a core, beside time that passes always.

use std::time::Duration;

use cpu_time::{ProcessTime, ThreadTime};
use resilience_core::clock;
use tower::BoxError;

/// How long something took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
}

/// The CPU time that `work` takes of this thread, which does not pass while others have the core.
///
/// # Errors
/// Those of `work`.
pub fn cpu_time(work: impl FnOnce() -> Result<(), BoxError>) -> Result<Duration, BoxError> {
    Ok(of_thread(work)?.cpu)
}

/// Of this thread.
pub(super) fn of_thread(work: impl FnOnce() -> Result<(), BoxError>) -> Result<Took, BoxError> {
    let (wall, cpu) = (clock::now(), ThreadTime::try_now()?);
    work()?;
    let cpu = cpu.try_elapsed()?;
    Ok(Took { cpu, wall: clock::now().saturating_duration_since(wall) })
}

/// Of all threads of this process.
pub(super) fn of_process(work: impl FnOnce() -> Result<(), BoxError>) -> Result<Took, BoxError> {
    let (wall, cpu) = (clock::now(), ProcessTime::try_now()?);
    work()?;
    let cpu = cpu.try_elapsed()?;
    Ok(Took { cpu, wall: clock::now().saturating_duration_since(wall) })
}
