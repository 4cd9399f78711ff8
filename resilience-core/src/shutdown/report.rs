//! Report of a shutdown.

use std::fmt;
use std::time::Duration;

use super::Phase;
use crate::name::Name;
use crate::observe::Rounded;

/// Report of a shutdown. `Display` is a few lines for the log.
///
/// ```text
/// shutdown (SIGTERM): 2 cut, after 22 s
///   not ready 5 s, 40 in flight
///   draining  15 s, 38 in flight
///   forced    2 s, 2 in flight
///   flushing  180 ms, 1 in flight
///   http: 36 finished, 1 cut
///   worker: 1 cut, which did not end
///   hook flush: done in 180 ms
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// The name of the shutdown.
    pub name: Name,
    /// The reason passed to `begin`.
    pub reason: Name,
    /// `true` if the shutdown was begun a second time.
    pub forced: bool,
    /// The phases entered, without [`Phase::Running`] and [`Phase::Stopped`].
    pub phases: Vec<PhaseReport>,
    /// Work in flight when draining began, by name.
    pub work: Vec<WorkReport>,
    /// The hooks, in order.
    pub hooks: Vec<HookReport>,
}

/// Report of one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PhaseReport {
    /// The phase.
    pub phase: Phase,
    /// Duration of the phase.
    pub took: Duration,
    /// Work in flight when the phase began.
    pub in_flight: u64,
}

/// Work of one name: `in_flight` is the sum of `finished` and `cut`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WorkReport {
    /// The name.
    pub name: Name,
    /// Operations in flight when draining began, and later ones that were part of these.
    pub in_flight: u64,
    /// Operations that finished.
    pub finished: u64,
    /// Operations that were cancelled.
    pub cut: u64,
    /// Cancelled operations that were still running when the shutdown moved on.
    pub left: u64,
}

/// Report of one hook.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct HookReport {
    /// The name.
    pub name: Name,
    /// Duration of the hook.
    pub took: Duration,
    /// End of the hook.
    pub end: HookEnd,
}

/// End of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum HookEnd {
    /// The hook succeeded.
    Done,
    /// The hook returned this error.
    Failed(String),
    /// The hook panicked with this text.
    Panicked(String),
    /// The time of the hook was over.
    OutOfTime,
    /// Interrupted: the hook was running when `run` was dropped, or when the process was
    /// ended (`exit_process_at_total`).
    Unfinished,
    /// Not run: the shutdown was begun a third time, or ended before this hook's turn.
    Skipped,
}

impl ShutdownReport {
    /// Returns a code for `std::process::exit`: 0 if all work finished and every hook is done; 1 if
    /// work was cut, 2 if a hook is not done, 3 if both.
    ///
    /// A process that `exit_process_at_total` ended has 4 more: 4 to
    /// 7, by the report at that moment.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        u8::from(self.cut() > 0) | (u8::from(self.hooks_not_done() > 0) << 1)
    }

    /// Returns `true` if all work finished and every hook is done.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.exit_code() == 0
    }

    /// Returns the duration of the shutdown.
    #[must_use]
    pub fn took(&self) -> Duration {
        self.phases.iter().map(|phase| phase.took).sum()
    }

    /// Returns the number of operations that were cut.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.work.iter().map(|work| work.cut).sum()
    }

    /// Returns the number of hooks that failed, panicked, ran out of time or did not run.
    #[must_use]
    pub fn hooks_not_done(&self) -> usize {
        self.hooks.iter().filter(|hook| hook.end != HookEnd::Done).count()
    }
}

impl fmt::Display for ShutdownReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let forced = if self.forced { ", forced" } else { "" };
        write!(f, "{} ({}{forced}): ", self.name, self.reason)?;
        match (self.cut(), self.hooks_not_done()) {
            (0, 0) => write!(f, "clean")?,
            (cut, 0) => write!(f, "{cut} cut")?,
            (0, hooks) => write!(f, "{hooks} of {} hooks not done", self.hooks.len())?,
            (cut, hooks) => write!(f, "{cut} cut, {hooks} of {} hooks not done", self.hooks.len())?,
        }
        write!(f, ", after {}", Rounded(self.took()))?;
        for phase in &self.phases {
            write!(f, "\n  {:9} {}", phase.phase, Rounded(phase.took))?;
            if phase.in_flight > 0 {
                write!(f, ", {} in flight", phase.in_flight)?;
            }
        }
        self.work
            .iter()
            .filter(|work| work.in_flight > 0)
            .try_for_each(|work| write!(f, "\n  {work}"))?;
        self.hooks.iter().try_for_each(|hook| write!(f, "\n  {hook}"))
    }
}

impl fmt::Display for WorkReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.name)?;
        match (self.finished, self.cut) {
            (finished, 0) => write!(f, " {finished} finished")?,
            (0, cut) => write!(f, " {cut} cut")?,
            (finished, cut) => write!(f, " {finished} finished, {cut} cut")?,
        }
        match self.left {
            0 => Ok(()),
            left if left == self.cut => f.write_str(", which did not end"),
            left => write!(f, ", of which {left} did not end"),
        }
    }
}

impl fmt::Display for HookReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hook {}: ", self.name)?;
        match &self.end {
            HookEnd::Done => write!(f, "done in {}", Rounded(self.took)),
            HookEnd::Failed(error) => write!(f, "failed after {}: {error}", Rounded(self.took)),
            HookEnd::Panicked(panic) => write!(f, "panicked after {}: {panic}", Rounded(self.took)),
            HookEnd::OutOfTime => write!(f, "out of time after {}", Rounded(self.took)),
            HookEnd::Unfinished => write!(f, "unfinished after {}", Rounded(self.took)),
            HookEnd::Skipped => f.write_str("skipped"),
        }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use crate::shutdown::{InFlight, Shutdown};

    /// Drops `count` guards after a wait.
    async fn end(work: &mut Vec<InFlight>, count: usize, after: Duration) {
        tokio::time::sleep(after).await;
        work.truncate(work.len() - count);
    }

    async fn report() -> ShutdownReport {
        let mut shutdown = Shutdown::builder().build().unwrap();
        let millis = Duration::from_millis;
        shutdown.hook("flush", move || tokio::time::sleep(millis(180)));
        let token = shutdown.token();
        let mut http: Vec<_> = (0..39).map(|_| token.track("http").unwrap()).collect();
        let _worker = token.track("worker").unwrap();
        token.begin("SIGTERM");
        let work = async {
            end(&mut http, 2, millis(4_000)).await;
            token.draining().await;
            end(&mut http, 36, millis(9_000)).await;
            token.forced().await;
            end(&mut http, 1, millis(120)).await;
        };
        tokio::join!(shutdown.run(), work).0
    }

    #[tokio::test(start_paused = true)]
    async fn the_book_and_the_docs_show_what_is_printed() {
        let shown = report().await.to_string();
        let book = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/src/shutdown.md");
        let book = std::fs::read_to_string(book).unwrap();
        assert!(book.contains(&format!("```text\n{shown}\n```")), "{shown}");
        let docs = include_str!("report.rs").replace("/// ", "");
        assert!(docs.contains(&format!("```text\n{shown}\n```")), "{shown}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_exit_code_shows_what_failed() {
        let mut report = report().await;
        assert_eq!(report.exit_code(), 1);
        report.hooks[0].end = HookEnd::OutOfTime;
        assert_eq!(report.exit_code(), 3);
        report.work.clear();
        assert_eq!((report.exit_code(), report.is_clean()), (2, false));
        report.hooks.clear();
        assert_eq!((report.exit_code(), report.is_clean()), (0, true));
    }
}
