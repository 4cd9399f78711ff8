//! CPU time and wall time of work.

use std::time::Duration;

use cpu_time::{ProcessTime, ThreadTime};
use resilience_core::clock;
use tower::BoxError;

/// CPU time and wall time of the same work.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) cpu: Duration,
    pub(super) wall: Duration,
}

/// Returns the CPU time of this thread during `work`. The time that the thread waits for a core
/// does not count.
///
/// # Errors
/// Returns the error of `work`, or fails if the CPU clock cannot be read.
pub fn cpu_time(work: impl FnOnce() -> Result<(), BoxError>) -> Result<Duration, BoxError> {
    Ok(of_thread(work)?.cpu)
}

/// Measures `work` with the CPU time of this thread.
pub(super) fn of_thread(work: impl FnOnce() -> Result<(), BoxError>) -> Result<Took, BoxError> {
    let (wall, cpu) = (clock::now(), ThreadTime::try_now()?);
    work()?;
    let cpu = cpu.try_elapsed()?;
    Ok(Took { cpu, wall: clock::now().saturating_duration_since(wall) })
}

/// Measures `work` with the CPU time of all threads of this process.
pub(super) fn of_process(work: impl FnOnce() -> Result<(), BoxError>) -> Result<Took, BoxError> {
    let (wall, cpu) = (clock::now(), ProcessTime::try_now()?);
    work()?;
    let cpu = cpu.try_elapsed()?;
    Ok(Took { cpu, wall: clock::now().saturating_duration_since(wall) })
}
