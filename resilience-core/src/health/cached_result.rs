//! Cached result of one check, with at most one run at a time.
//!
//! Several probes arrive at once, some many times a second, and none of that load may reach the
//! dependency: the first probe without a fresh result starts a run, the others wait for that run,
//! and its result is used for a while.

use std::time::{Duration, Instant};

use super::failure::{Failure, FailureKind};
use super::state::CheckState;
use crate::clock;

/// Settings of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[doc(hidden)]
pub struct CheckSettings {
    /// Maximum duration of a run, at which it has failed.
    pub timeout: Duration,
    /// Time for which a result is fresh.
    pub ttl: Duration,
    /// Consecutive failures after which an up dependency is down.
    pub failures_to_down: u32,
    /// Consecutive successes after which a down dependency is up.
    pub successes_to_up: u32,
}

impl Default for CheckSettings {
    /// 500 ms, 2 s, 1 and 1.
    fn default() -> CheckSettings {
        CheckSettings {
            timeout: Duration::from_millis(500),
            ttl: Duration::from_secs(2),
            failures_to_down: 1,
            successes_to_up: 1,
        }
    }
}

/// Identifies a run of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[doc(hidden)]
pub struct RunId(u64);

/// The decision for a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[doc(hidden)]
pub enum RunDecision {
    /// Use the cached result.
    Known,
    /// Wait for the run that another probe started.
    #[non_exhaustive]
    Wait {
        /// The run to wait for.
        run: RunId,
        /// The end of the run at the latest.
        until: Instant,
    },
    /// Start this run, and end it with [`finish`](CachedResult::finish) or
    /// [`abandon`](CachedResult::abandon).
    #[non_exhaustive]
    Run {
        /// The run to start.
        run: RunId,
        /// The instant at which it times out.
        until: Instant,
    },
}

/// Cached result of a check, renewed by one run at a time. A clone is an independent copy.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::clock;
/// use resilience_core::health::{RunDecision, CachedResult, CheckState, CheckSettings};
///
/// let settings = CheckSettings::default();
/// let now = clock::now();
/// let mut cached = CachedResult::new();
/// let RunDecision::Run { run, .. } = cached.decide(&settings, now) else { panic!("nothing is known") };
/// assert!(matches!(cached.decide(&settings, now), RunDecision::Wait { .. }));
///
/// cached.finish(run, Ok(()), &settings, now + Duration::from_millis(3));
/// assert_eq!(cached.state(), CheckState::Up);
/// assert_eq!(cached.decide(&settings, now + Duration::from_secs(1)), RunDecision::Known);
/// assert!(matches!(cached.decide(&settings, now + Duration::from_secs(3)), RunDecision::Run { .. }));
/// ```
#[derive(Debug, Clone, Default)]
#[doc(hidden)]
pub struct CachedResult {
    runs: u64,
    running: Option<Running>,
    last: Option<LastRun>,
    up: Option<bool>,
    /// Consecutive runs with another result than `up`.
    against: u32,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    run: RunId,
    since: Instant,
    /// Counted as timed out, but not ended.
    overdue: bool,
}

/// Result of the last run.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
#[doc(hidden)]
pub struct LastRun {
    /// End of the run.
    pub ended: Instant,
    /// Duration of the run.
    pub took: Duration,
    /// The failure; `None` if the run succeeded.
    pub failure: Option<Failure>,
}

impl CachedResult {
    /// Creates an empty cache.
    #[must_use]
    pub const fn new() -> CachedResult {
        CachedResult { runs: 0, running: None, last: None, up: None, against: 0 }
    }

    /// Decides at `now` whether to use the cached result, to wait, or to start a run.
    pub fn decide(&mut self, settings: &CheckSettings, now: Instant) -> RunDecision {
        self.advance(settings, now);
        match &self.running {
            // An overdue run excludes others: a check that blocks its thread would block another
            // with every run.
            Some(running) if running.overdue => RunDecision::Known,
            Some(running) => RunDecision::Wait {
                run: running.run,
                until: clock::later(running.since, settings.timeout),
            },
            None if self.is_fresh(settings, now) => RunDecision::Known,
            None => self.start(settings, now),
        }
    }

    fn start(&mut self, settings: &CheckSettings, now: Instant) -> RunDecision {
        self.runs += 1;
        let run = RunId(self.runs);
        self.running = Some(Running { run, since: now, overdue: false });
        RunDecision::Run { run, until: clock::later(now, settings.timeout) }
    }

    /// Records a run that has reached its timeout as failed.
    pub fn advance(&mut self, settings: &CheckSettings, now: Instant) {
        // See docs/decisions/0044-a-health-check-is-a-task-with-a-cached-result.md.
        let Some(running) = self.running.as_mut().filter(|running| !running.overdue) else {
            return;
        };
        let took = now.saturating_duration_since(running.since);
        if took >= settings.timeout {
            running.overdue = true;
            let timed_out = Failure::new(FailureKind::TimedOut(settings.timeout));
            self.record(settings, LastRun { ended: now, took, failure: Some(timed_out) });
        }
    }

    /// Ends a run with its result. A result after the timeout counts as a timeout; one of a run
    /// that is not current is ignored.
    pub fn finish(
        &mut self,
        run: RunId,
        result: Result<(), Failure>,
        settings: &CheckSettings,
        now: Instant,
    ) {
        let Some(running) = self.running.filter(|running| running.run == run) else { return };
        let took = now.saturating_duration_since(running.since);
        if took > settings.timeout {
            self.advance(settings, now);
        } else if !running.overdue {
            self.record(settings, LastRun { ended: now, took, failure: result.err() });
        }
        self.running = None;
    }

    /// Ends a run without a result, so that the next probe starts another.
    pub fn abandon(&mut self, run: RunId) {
        if self.is_running(run) {
            self.running = None;
        }
    }

    fn record(&mut self, settings: &CheckSettings, last: LastRun) {
        let succeeded = last.failure.is_none();
        self.last = Some(last);
        let needed = if succeeded { settings.successes_to_up } else { settings.failures_to_down };
        self.against = if self.up == Some(succeeded) { 0 } else { self.against.saturating_add(1) };
        // The first run decides alone.
        if self.up.is_none() || self.against >= needed {
            self.up = Some(succeeded);
            self.against = 0;
        }
    }

    /// Returns `true` if this run has neither ended nor been abandoned.
    #[must_use]
    pub fn is_running(&self, run: RunId) -> bool {
        self.running.is_some_and(|running| running.run == run)
    }

    /// Returns `true` if the last result is younger than the `ttl`.
    #[must_use]
    pub fn is_fresh(&self, settings: &CheckSettings, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age < settings.ttl)
    }

    /// Returns the age of the last result; `None` if there is none.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.last.as_ref()?.ended))
    }

    /// Returns the last result.
    #[must_use]
    pub fn last(&self) -> Option<&LastRun> {
        self.last.as_ref()
    }

    /// Returns the number of runs started.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Returns the state at `now`. A run that is late by then counts as timed out, also if
    /// [`advance`](CachedResult::advance) was not called.
    #[must_use]
    pub fn state_at(&self, settings: &CheckSettings, now: Instant) -> CheckState {
        let mut then = self.clone();
        then.advance(settings, now);
        then.state()
    }

    /// Returns the state at the time of the last call with a time. A run may be late since; see
    /// [`state_at`](CachedResult::state_at).
    #[must_use]
    pub fn state(&self) -> CheckState {
        match self.up {
            Some(true) if self.against == 0 => CheckState::Up,
            Some(true) => CheckState::Impaired,
            Some(false) | None => CheckState::Down,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn run_of(decision: RunDecision) -> RunId {
        let RunDecision::Run { run, .. } = decision else { panic!("{decision:?}") };
        run
    }

    fn failed() -> Result<(), Failure> {
        Err(Failure::new(FailureKind::Failed))
    }

    #[test]
    fn thresholds_count_consecutive_results() {
        let settings = CheckSettings {
            failures_to_down: 3,
            successes_to_up: 2,
            ttl: Duration::ZERO,
            ..CheckSettings::default()
        };
        let mut cached = CachedResult::new();
        let now = clock::now();
        use CheckState::{Down, Impaired, Up};
        let script = [
            (true, Up),
            (false, Impaired),
            (false, Impaired),
            (true, Up),
            (false, Impaired),
            (false, Impaired),
            (false, Down),
            (true, Down),
            (false, Down),
            (true, Down),
            (true, Up),
        ];
        for (step, (succeeds, expected)) in script.into_iter().enumerate() {
            let run = run_of(cached.decide(&settings, now));
            cached.finish(run, if succeeds { Ok(()) } else { failed() }, &settings, now);
            assert_eq!(cached.state(), expected, "step {step}");
        }
    }

    #[test]
    fn a_run_that_does_not_end_is_counted_once_and_keeps_its_place() {
        let settings = CheckSettings { failures_to_down: 2, ..CheckSettings::default() };
        let mut cached = CachedResult::new();
        let now = clock::now();
        let run = run_of(cached.decide(&settings, now));
        cached.finish(run, Ok(()), &settings, now);
        let stuck = run_of(cached.decide(&settings, now + 2 * SECOND));
        for later in [3, 10, 100] {
            let then = now + later * SECOND;
            assert_eq!(cached.state_at(&settings, then), CheckState::Impaired);
            assert_eq!(cached.decide(&settings, then), RunDecision::Known);
            assert_eq!(cached.state(), CheckState::Impaired);
        }
        // The late result is ignored, and the next run may start.
        cached.finish(stuck, Ok(()), &settings, now + 101 * SECOND);
        assert_eq!(cached.state(), CheckState::Impaired);
        assert_eq!(run_of(cached.decide(&settings, now + 101 * SECOND)), RunId(3));
    }

    #[test]
    fn a_late_probe_waits_until_the_timeout_of_the_run() {
        let settings = CheckSettings::default();
        let now = clock::now();
        let mut cached = CachedResult::new();
        let run = run_of(cached.decide(&settings, now));
        let late = cached.decide(&settings, now + settings.timeout / 2);
        assert_eq!(late, RunDecision::Wait { run, until: now + settings.timeout });
    }

    #[test]
    fn an_abandoned_run_has_no_result() {
        let settings = CheckSettings::default();
        let now = clock::now();
        let mut cached = CachedResult::new();
        let first = run_of(cached.decide(&settings, now));
        cached.abandon(first);
        assert_eq!((cached.last(), cached.state()), (None, CheckState::Down));
        let second = run_of(cached.decide(&settings, now));
        cached.finish(first, failed(), &settings, now);
        cached.abandon(first);
        assert!(cached.is_running(second));
    }

    #[test]
    fn a_result_at_the_timeout_is_in_time() {
        let settings = CheckSettings::default();
        let now = clock::now();
        for (late, expected) in [(0, CheckState::Up), (1, CheckState::Down)] {
            let mut cached = CachedResult::new();
            let run = run_of(cached.decide(&settings, now));
            let end = now + settings.timeout + Duration::from_nanos(late);
            cached.finish(run, Ok(()), &settings, end);
            assert_eq!(cached.state(), expected);
        }
    }

    /// Reading the state at the timeout records the timeout as the result.
    #[test]
    fn a_result_after_a_recorded_timeout_is_late() {
        let settings = CheckSettings::default();
        let now = clock::now();
        let mut cached = CachedResult::new();
        let run = run_of(cached.decide(&settings, now));
        cached.advance(&settings, now + settings.timeout);
        cached.finish(run, Ok(()), &settings, now + settings.timeout);
        assert_eq!(cached.state(), CheckState::Down);
        assert!(!cached.is_running(run));
    }
}
