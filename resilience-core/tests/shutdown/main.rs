//! Ending a process: phases, calls, retries inside of calls, hooks, and a thousand random ends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests")]

mod calls;
mod foreign;
mod hooks;
mod panics;
mod phases;
#[cfg(all(unix, feature = "signal"))]
mod process;
mod random;
mod retries;

use std::time::Duration;

use resilience_core::shutdown::{Shutdown, ShutdownReport, WorkReport};

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Grace of 2 s, drain of 10 s, 1 s to unwind, 4 s for hooks.
fn shutdown() -> Shutdown {
    let builder = Shutdown::builder().grace(SECOND * 2).drain(SECOND * 10);
    builder.unwind(SECOND).hooks(SECOND * 4).build().unwrap()
}

/// Returns the work of this name that was in flight, finished, cut and left.
fn work(report: &ShutdownReport, name: &str) -> (u64, u64, u64, u64) {
    let of_name = |work: &&WorkReport| work.name.as_str() == name;
    let work = report.work.iter().find(of_name).unwrap_or_else(|| panic!("no {name}: {report}"));
    (work.in_flight, work.finished, work.cut, work.left)
}
