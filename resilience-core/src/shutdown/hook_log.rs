//! Progress of each hook, readable before the last one has ended.

use std::time::{Duration, Instant};

use super::report::{HookEnd, HookReport};
use crate::name::Name;
use crate::sync::Mutex;

/// Hooks of a shutdown, in the order in which they run.
#[derive(Debug)]
pub(super) struct HookLog(Mutex<Vec<(Name, Progress)>>);

#[derive(Debug, Clone)]
enum Progress {
    Waiting,
    Running(Instant),
    Ended(Duration, HookEnd),
}

impl HookLog {
    pub(super) fn new() -> HookLog {
        HookLog(Mutex::new(Vec::new()))
    }

    pub(super) fn add(&self, name: Name) {
        self.0.lock().push((name, Progress::Waiting));
    }

    pub(super) fn started(&self, index: usize, now: Instant) {
        self.set(index, Progress::Running(now));
    }

    pub(super) fn ended(&self, index: usize, took: Duration, end: HookEnd) {
        self.set(index, Progress::Ended(took, end));
    }

    fn set(&self, index: usize, progress: Progress) {
        if let Some(hook) = self.0.lock().get_mut(index) {
            hook.1 = progress;
        }
    }

    /// Returns one report for each hook, in order.
    pub(super) fn reports(&self, now: Instant) -> Vec<HookReport> {
        let hooks = self.0.lock().clone();
        let report = |(name, progress)| {
            let (took, end) = match progress {
                Progress::Waiting => (Duration::ZERO, HookEnd::Skipped),
                Progress::Running(since) => {
                    (now.saturating_duration_since(since), HookEnd::Unfinished)
                }
                Progress::Ended(took, end) => (took, end),
            };
            HookReport { name, took, end }
        };
        hooks.into_iter().map(report).collect()
    }
}
