//! One run at a time, and what it says for a while.

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
    Ask,
    /// Time has its effect though nobody asks.
    Look,
    /// Ends the run that was begun so many runs ago.
    Finish(u8, bool),
    Abandon(u8),
}

/// All that ever happened.
struct Model {
    settings: CheckSettings,
    begun: Vec<(RunId, Instant)>,
    /// Of the last one begun.
    under_way: bool,
    /// What the runs said, one each, and when the last of them said it.
    said: Vec<bool>,
    last_said: Option<Instant>,
    /// The last one begun has said something.
    has_said: bool,
}

impl Model {
    fn say(&mut self, succeeded: bool, now: Instant) {
        self.said.push(succeeded);
        self.last_said = Some(now);
        self.has_said = true;
    }

    /// A run that was begun up to two runs ago, and whether it is the last.
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
        if self.until().is_some_and(|until| now >= until) && !self.has_said {
            self.say(false, now);
        }
    }

    fn is_fresh(&self, now: Instant) -> bool {
        self.last_said.is_some_and(|then| now - then < self.settings.ttl)
    }

    /// Goes through everything that was said.
    fn state(&self) -> CheckState {
        let Some(&first) = self.said.first() else { return CheckState::Down };
        let (mut up, mut since) = (first, 1);
        for end in 1..=self.said.len() {
            let needed =
                if up { self.settings.failures_to_down } else { self.settings.successes_to_up };
            let (said, needed) = (&self.said[since..end], needed as usize);
            if said.len() >= needed && said[said.len() - needed..].iter().all(|&it| it != up) {
                (up, since) = (!up, end);
            }
        }
        match (up, self.said[since..].last()) {
            (true, Some(false)) => CheckState::Impaired,
            (true, _) => CheckState::Up,
            (false, _) => CheckState::Down,
        }
    }
}

/// So few that what happens at once, and just not, happens often.
fn millis(drawn: u8) -> Duration {
    Duration::from_millis(u64::from(drawn % 8))
}

/// There is one run at a time, a result is the answer for its time to live, each run counts once
/// and as what it said in time, one that was given up never, and a state changes by the runs in a
/// row that it takes.
pub fn health(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let settings = CheckSettings {
        timeout: millis(input.timeout) + millis(1),
        ttl: millis(input.ttl),
        failures_to_down: u32::from(input.failures_to_down % 4) + 1,
        successes_to_up: u32::from(input.successes_to_up % 4) + 1,
    };
    let (mut now, mut cached) = (clock::now(), CachedResult::new());
    let mut model = Model {
        settings,
        begun: vec![],
        under_way: false,
        said: vec![],
        last_said: None,
        has_said: false,
    };
    for &op in &input.ops.0 {
        match op {
            Op::Pass(time) => now += millis(time),
            Op::Look => {
                cached.advance(&settings, now);
                model.pass(now);
            }
            Op::Ask => {
                model.pass(now);
                match cached.decide(&settings, now) {
                    RunDecision::Known => {
                        let overdue = model.under_way && model.has_said;
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
                        (model.under_way, model.has_said) = (true, false);
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
                    if !model.has_said {
                        model.say(succeeded && in_time, now);
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
        assert_eq!(cached.age(now), model.last_said.map(|then| now - then));
        let failed = cached.last().map(|last| last.failure.is_some());
        assert_eq!(failed, model.said.last().map(|&succeeded| !succeeded));
        if let Some(&(run, _)) = model.begun.last() {
            assert_eq!(cached.is_running(run), model.under_way);
        }
    }
}
