//! What is known of one dependency, and who finds out more.
//!
//! Several probes ask at once, some of them many times a second, and the dependency is to notice none
//! of that: whoever asks first while nothing is known runs the check, the others wait for that run,
//! and for a while after it its result is the answer.

use std::time::{Duration, Instant};

use super::failure::{Failure, FailureKind};
use super::state::CheckState;
use crate::clock;

/// What a [`CachedVerdict`] goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckTerms {
    /// How long a run may take. At this time it has failed.
    pub timeout: Duration,
    /// For how long a result is the answer.
    pub ttl: Duration,
    /// How many runs in a row have to fail until what was up is down.
    pub failures_to_down: u32,
    /// How many runs in a row have to succeed until what was down is up.
    pub successes_to_up: u32,
}

impl Default for CheckTerms {
    /// 500 ms, 2 s, 1 and 1.
    fn default() -> CheckTerms {
        CheckTerms {
            timeout: Duration::from_millis(500),
            ttl: Duration::from_secs(2),
            failures_to_down: 1,
            successes_to_up: 1,
        }
    }
}

/// Which run of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RunId(u64);

/// What becomes of somebody who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Asked {
    /// What is known is the answer.
    Known,
    /// Somebody else is finding out: this run is over at that time at the latest.
    #[non_exhaustive]
    Wait {
        /// Which run to wait for.
        run: RunId,
        /// How long at most.
        until: Instant,
    },
    /// To be run by who asked, who then owes a [`finish`](CachedVerdict::finish) or an
    /// [`abandon`](CachedVerdict::abandon).
    #[non_exhaustive]
    Run {
        /// Which run it is.
        run: RunId,
        /// When it is too late.
        until: Instant,
    },
}

/// The verdict on one dependency: kept for a while, renewed by one run at a time.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::clock;
/// use resilience_core::health::{Asked, CachedVerdict, CheckState, CheckTerms};
///
/// let (terms, now) = (CheckTerms::default(), clock::now());
/// let mut verdict = CachedVerdict::new();
/// let Asked::Run { run, .. } = verdict.ask(&terms, now) else { panic!("nothing is known") };
/// assert!(matches!(verdict.ask(&terms, now), Asked::Wait { .. }));
///
/// verdict.finish(run, Ok(()), &terms, now + Duration::from_millis(3));
/// assert_eq!(verdict.state(), CheckState::Up);
/// assert_eq!(verdict.ask(&terms, now + Duration::from_secs(1)), Asked::Known);
/// assert!(matches!(verdict.ask(&terms, now + Duration::from_secs(3)), Asked::Run { .. }));
/// ```
#[derive(Debug, Clone, Default)]
pub struct CachedVerdict {
    runs: u64,
    running: Option<Running>,
    last: Option<LastRun>,
    up: Option<bool>,
    /// Runs in a row that say otherwise than `up`.
    against: u32,
}

#[derive(Debug, Clone, Copy)]
struct Running {
    run: RunId,
    since: Instant,
    /// It was counted as timed out, and has not ended all the same.
    overdue: bool,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastRun {
    /// When.
    pub ended: Instant,
    /// How long it took.
    pub took: Duration,
    /// How it failed, if it did.
    pub failure: Option<Failure>,
}

impl CachedVerdict {
    /// Nothing is known.
    #[must_use]
    pub const fn new() -> CachedVerdict {
        CachedVerdict { runs: 0, running: None, last: None, up: None, against: 0 }
    }

    /// Asks for a verdict at `now`.
    pub fn ask(&mut self, terms: &CheckTerms, now: Instant) -> Asked {
        self.advance(terms, now);
        match &self.running {
            // A run that does not end keeps its place: a check that blocks its thread would block
            // another with every run.
            Some(running) if running.overdue => Asked::Known,
            Some(running) => {
                Asked::Wait { run: running.run, until: clock::later(running.since, terms.timeout) }
            }
            None if self.is_fresh(terms, now) => Asked::Known,
            None => self.start(terms, now),
        }
    }

    fn start(&mut self, terms: &CheckTerms, now: Instant) -> Asked {
        self.runs += 1;
        let run = RunId(self.runs);
        self.running = Some(Running { run, since: now, overdue: false });
        Asked::Run { run, until: clock::later(now, terms.timeout) }
    }

    /// Lets time have its effect: a run that is out of time has failed, ended or not.
    pub fn advance(&mut self, terms: &CheckTerms, now: Instant) {
        let Some(running) = self.running.as_mut().filter(|running| !running.overdue) else {
            return;
        };
        let took = now.saturating_duration_since(running.since);
        if took >= terms.timeout {
            running.overdue = true;
            let timed_out = Failure::new(FailureKind::TimedOut(terms.timeout));
            self.record(terms, LastRun { ended: now, took, failure: Some(timed_out) });
        }
    }

    /// Ends a run. A result after its time is a timeout, and one of a run that is not under way any
    /// more is nothing.
    pub fn finish(
        &mut self,
        run: RunId,
        result: Result<(), Failure>,
        terms: &CheckTerms,
        now: Instant,
    ) {
        let Some(running) = self.running.filter(|running| running.run == run) else { return };
        let took = now.saturating_duration_since(running.since);
        if took > terms.timeout {
            self.advance(terms, now);
        } else if !running.overdue {
            self.record(terms, LastRun { ended: now, took, failure: result.err() });
        }
        self.running = None;
    }

    /// Gives a run up: it says nothing, and who asks next starts another.
    pub fn abandon(&mut self, run: RunId) {
        if self.is_running(run) {
            self.running = None;
        }
    }

    fn record(&mut self, terms: &CheckTerms, last: LastRun) {
        let succeeded = last.failure.is_none();
        self.last = Some(last);
        let needed = if succeeded { terms.successes_to_up } else { terms.failures_to_down };
        self.against = if self.up == Some(succeeded) { 0 } else { self.against.saturating_add(1) };
        // The first run of all has nothing to be weighed against.
        if self.up.is_none() || self.against >= needed {
            self.up = Some(succeeded);
            self.against = 0;
        }
    }

    /// Whether this run has neither ended nor been given up.
    #[must_use]
    pub fn is_running(&self, run: RunId) -> bool {
        self.running.is_some_and(|running| running.run == run)
    }

    /// Whether the last result is recent enough to be the answer.
    #[must_use]
    pub fn is_fresh(&self, terms: &CheckTerms, now: Instant) -> bool {
        self.age(now).is_some_and(|age| age < terms.ttl)
    }

    /// How long ago the last run ended.
    #[must_use]
    pub fn age(&self, now: Instant) -> Option<Duration> {
        Some(now.saturating_duration_since(self.last.as_ref()?.ended))
    }

    /// How the last run ended.
    #[must_use]
    pub fn last(&self) -> Option<&LastRun> {
        self.last.as_ref()
    }

    /// How many runs there were.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs
    }

    /// Returns the state at `now`, at which a run may be late, whether or not the verdict was
    /// [advanced](CachedVerdict::advance).
    #[must_use]
    pub fn state_at(&self, terms: &CheckTerms, now: Instant) -> CheckState {
        let mut then = self.clone();
        then.advance(terms, now);
        then.state()
    }

    /// Returns the state as of the last call that was given a time. A run may be late since:
    /// [`state_at`](CachedVerdict::state_at).
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

    fn run_of(asked: Asked) -> RunId {
        let Asked::Run { run, .. } = asked else { panic!("{asked:?}") };
        run
    }

    fn failed() -> Result<(), Failure> {
        Err(Failure::new(FailureKind::Failed))
    }

    #[test]
    fn thresholds_weigh_what_comes_in_a_row() {
        let terms = CheckTerms {
            failures_to_down: 3,
            successes_to_up: 2,
            ttl: Duration::ZERO,
            ..CheckTerms::default()
        };
        let (mut verdict, now) = (CachedVerdict::new(), clock::now());
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
            let run = run_of(verdict.ask(&terms, now));
            verdict.finish(run, if succeeds { Ok(()) } else { failed() }, &terms, now);
            assert_eq!(verdict.state(), expected, "step {step}");
        }
    }

    #[test]
    fn a_run_that_does_not_end_is_counted_once_and_keeps_its_place() {
        let terms = CheckTerms { failures_to_down: 2, ..CheckTerms::default() };
        let (mut verdict, now) = (CachedVerdict::new(), clock::now());
        let run = run_of(verdict.ask(&terms, now));
        verdict.finish(run, Ok(()), &terms, now);
        let stuck = run_of(verdict.ask(&terms, now + 2 * SECOND));
        for later in [3, 10, 100] {
            let then = now + later * SECOND;
            assert_eq!(verdict.state_at(&terms, then), CheckState::Impaired);
            assert_eq!(verdict.ask(&terms, then), Asked::Known);
            assert_eq!(verdict.state(), CheckState::Impaired);
        }
        // What it says at last is too late, and the next may start.
        verdict.finish(stuck, Ok(()), &terms, now + 101 * SECOND);
        assert_eq!(verdict.state(), CheckState::Impaired);
        assert_eq!(run_of(verdict.ask(&terms, now + 101 * SECOND)), RunId(3));
    }

    #[test]
    fn who_comes_late_waits_no_longer_than_the_run_has() {
        let (terms, now) = (CheckTerms::default(), clock::now());
        let mut verdict = CachedVerdict::new();
        let run = run_of(verdict.ask(&terms, now));
        let late = verdict.ask(&terms, now + terms.timeout / 2);
        assert_eq!(late, Asked::Wait { run, until: now + terms.timeout });
    }

    #[test]
    fn a_run_that_was_given_up_says_nothing() {
        let (terms, now) = (CheckTerms::default(), clock::now());
        let mut verdict = CachedVerdict::new();
        let first = run_of(verdict.ask(&terms, now));
        verdict.abandon(first);
        assert_eq!((verdict.last(), verdict.state()), (None, CheckState::Down));
        let second = run_of(verdict.ask(&terms, now));
        verdict.finish(first, failed(), &terms, now);
        verdict.abandon(first);
        assert!(verdict.is_running(second));
    }

    #[test]
    fn at_its_last_moment_a_result_is_in_time() {
        let (terms, now) = (CheckTerms::default(), clock::now());
        for (late, expected) in [(0, CheckState::Up), (1, CheckState::Down)] {
            let mut verdict = CachedVerdict::new();
            let run = run_of(verdict.ask(&terms, now));
            let end = now + terms.timeout + Duration::from_nanos(late);
            verdict.finish(run, Ok(()), &terms, end);
            assert_eq!(verdict.state(), expected);
        }
    }
    /// Looked at in the same moment, it has timed out, and that was the result.
    #[test]
    fn a_result_that_comes_after_the_look_is_late() {
        let (terms, now) = (CheckTerms::default(), clock::now());
        let mut verdict = CachedVerdict::new();
        let run = run_of(verdict.ask(&terms, now));
        verdict.advance(&terms, now + terms.timeout);
        verdict.finish(run, Ok(()), &terms, now + terms.timeout);
        assert_eq!(verdict.state(), CheckState::Down);
        assert!(!verdict.is_running(run));
    }
}
