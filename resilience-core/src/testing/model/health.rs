//! Model of a cached check result.

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use crate::clock;
use crate::health::{
    CachedResult, CheckSettings, CheckState, Failure, FailureKind, RunDecision, RunId,
};
use crate::model_input::{Rest, parse};

#[derive(Debug, Arbitrary)]
struct Input {
    timeout: u8,
    ttl: u8,
    failures_to_down: u8,
    successes_to_up: u8,
    ops: Rest<Op>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Op {
    Pass(u8),
    /// A probe.
    Decide,
    /// Records a timeout without a probe.
    Advance,
    /// Ends the run that was started this many runs ago.
    Finish(u8, bool),
    Abandon(u8),
}

/// The history of all runs.
struct Model {
    settings: CheckSettings,
    begun: Vec<(RunId, Instant)>,
    /// Set while the last run has not ended.
    under_way: bool,
    /// The result of each run, and the time of the last result.
    results: Vec<bool>,
    last_result: Option<Instant>,
    /// Set if the last run has a result.
    has_result: bool,
}

impl Model {
    fn record(&mut self, succeeded: bool, now: Instant) {
        self.results.push(succeeded);
        self.last_result = Some(now);
        self.has_result = true;
    }

    /// Returns a run that was started up to two runs ago, and `true` if it is the last.
    fn begun_before(&self, drawn: u8) -> Option<(RunId, bool)> {
        let back = usize::from(drawn % 3);
        let index = self.begun.len().checked_sub(1 + back)?;
        Some((self.begun[index].0, back == 0))
    }

    fn until(&self) -> Option<Instant> {
        let (_, since) = self.begun.last()?;
        self.under_way.then_some(*since + self.settings.timeout)
    }

    fn pass(&mut self, now: Instant) {
        if self.until().is_some_and(|until| now >= until) && !self.has_result {
            self.record(false, now);
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.last_result.is_some_and(|then| now - then < self.settings.ttl)
    }

    /// Computes the state from all results.
    fn state(&self) -> CheckState {
        let Some(&first) = self.results.first() else { return CheckState::Down };
        let mut up = first;
        let mut since = 1;
        for end in 1..=self.results.len() {
            let needed =
                if up { self.settings.failures_to_down } else { self.settings.successes_to_up };
            let recent = &self.results[since..end];
            let needed = needed as usize;
            if recent.len() >= needed && recent[recent.len() - needed..].iter().all(|&it| it != up)
            {
                (up, since) = (!up, end);
            }
        }
        match (up, self.results[since..].last()) {
            (true, Some(false)) => CheckState::Impaired,
            (true, _) => CheckState::Up,
            (false, _) => CheckState::Down,
        }
    }
}

/// Few values, so that events often coincide, or nearly.
fn millis(drawn: u8) -> Duration {
    Duration::from_millis(u64::from(drawn % 8))
}

/// Asserts that one run is under way at a time, that a result is used for its time to live, that
/// each run counts once with its result or its timeout and an abandoned run never, and that a state
/// changes after the configured number of consecutive results.
pub fn health(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let settings = CheckSettings {
        timeout: millis(input.timeout) + millis(1),
        ttl: millis(input.ttl),
        failures_to_down: u32::from(input.failures_to_down % 4) + 1,
        successes_to_up: u32::from(input.successes_to_up % 4) + 1,
    };
    let mut now = clock::now();
    let mut cached = CachedResult::new();
    let mut model = Model {
        settings,
        begun: vec![],
        under_way: false,
        results: vec![],
        last_result: None,
        has_result: false,
    };
    for &op in &input.ops.0 {
        match op {
            Op::Pass(time) => now += millis(time),
            Op::Advance => {
                cached.advance(&settings, now);
                model.pass(now);
            }
            Op::Decide => {
                model.pass(now);
                match cached.decide(&settings, now) {
                    RunDecision::Known => {
                        let overdue = model.under_way && model.has_result;
                        assert!(overdue || !model.under_way && model.is_fresh(now));
                    }
                    RunDecision::Wait { run, until } => {
                        assert_eq!(model.begun.last().map(|it| it.0), Some(run));
                        assert_eq!((model.until(), until > now), (Some(until), true));
                    }
                    RunDecision::Run { run, until } => {
                        assert!(!model.under_way && !model.is_fresh(now));
                        assert!(model.begun.iter().all(|it| it.0 != run));
                        model.begun.push((run, now));
                        (model.under_way, model.has_result) = (true, false);
                        assert_eq!(model.until(), Some(until));
                    }
                }
            }
            Op::Finish(back, succeeded) => {
                let Some((run, is_last)) = model.begun_before(back) else { continue };
                let failed = || Failure::new(FailureKind::Failed);
                let result = if succeeded { Ok(()) } else { Err(failed()) };
                cached.finish(run, result, &settings, now);
                if is_last && model.under_way {
                    let in_time = model.until().is_some_and(|until| now <= until);
                    if !model.has_result {
                        model.record(succeeded && in_time, now);
                    }
                    model.under_way = false;
                }
            }
            Op::Abandon(back) => {
                let Some((run, is_last)) = model.begun_before(back) else { continue };
                cached.abandon(run);
                model.under_way &= !is_last;
            }
        }
        assert_eq!(cached.state(), model.state(), "after {op:?}");
        assert_eq!(cached.runs(), model.begun.len() as u64);
        assert_eq!(cached.age(now), model.last_result.map(|then| now - then));
        let failed = cached.last().map(|last| last.failure.is_some());
        assert_eq!(failed, model.results.last().map(|&succeeded| !succeeded));
        if let Some(&(run, _)) = model.begun.last() {
            assert_eq!(cached.is_running(run), model.under_way);
        }
    }
}
