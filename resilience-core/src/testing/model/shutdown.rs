//! Model of the shutdown sequence.

use std::time::{Duration, Instant};

use arbitrary::Arbitrary;

use crate::clock;
use crate::model_input::{Rest, parse};
use crate::shutdown::{Phase, ShutdownBounds, ShutdownSequence};

#[derive(Debug, Arbitrary)]
struct Input {
    bounds: [u16; 4],
    steps: Rest<Step>,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Step {
    Pass(u8),
    Begin,
    Enter,
    Leave,
    HooksEnd,
}

/// The history, from which each phase is computed anew.
struct History {
    bounds: ShutdownBounds,
    begun: Vec<Instant>,
    hooks_ended: bool,
}

impl History {
    /// Returns the latest end of a phase that was entered at `entered`.
    fn over(&self, phase: Phase, entered: Instant) -> Instant {
        let begun = self.begun[0];
        let over = match phase {
            Phase::NotReady => begun + self.bounds.grace,
            Phase::Draining => begun + self.bounds.grace + self.bounds.drain,
            Phase::Forced => entered + self.bounds.unwind,
            _ => entered + self.bounds.hooks,
        };
        over.min(begun + self.bounds.longest())
    }

    /// Returns the phase that follows at `now`, if the phase is over.
    fn next(&self, phase: Phase, entered: Instant, now: Instant, in_flight: u64) -> Option<Phase> {
        if phase == Phase::Stopped || self.begun.is_empty() {
            return None;
        }
        let late = phase != Phase::Running && now >= self.over(phase, entered);
        let times = self.begun.len();
        match phase {
            Phase::Running => Some(Phase::NotReady),
            Phase::NotReady if times >= 2 => Some(Phase::Forced),
            Phase::NotReady => late.then_some(Phase::Draining),
            Phase::Draining if in_flight == 0 => Some(Phase::Flushing),
            Phase::Draining => (late || times >= 2).then_some(Phase::Forced),
            Phase::Forced => (late || in_flight == 0).then_some(Phase::Flushing),
            _ => (late || self.hooks_ended || times >= 3).then_some(Phase::Stopped),
        }
    }
}

/// Asserts that phases follow in their order, each once and at its time; that no work is in flight
/// after draining unless it was forced; and that advancing at each due time reaches the end in
/// time.
pub fn shutdown(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let [grace, drain, unwind, hooks] =
        input.bounds.map(|millis| Duration::from_millis(millis.into()));
    let bounds = ShutdownBounds { grace, drain, unwind, hooks, total: None };
    let Ok(bounds) = bounds.check() else { return };
    let mut sequence = ShutdownSequence::new(bounds);
    let mut history = History { bounds, begun: Vec::new(), hooks_ended: false };
    let mut now = clock::now();
    let mut phase = Phase::Running;
    let mut entered = now;
    let mut in_flight = 0_u64;
    for &step in &input.steps.0 {
        match step {
            Step::Pass(millis) => now += Duration::from_millis(u64::from(millis) * 16),
            Step::Begin => {
                history.begun.push(now);
                sequence.begin(now);
            }
            // New work is rejected from draining on.
            Step::Enter if phase < Phase::Draining => in_flight += 1,
            Step::Enter => {}
            Step::Leave => in_flight = in_flight.saturating_sub(1),
            Step::HooksEnd if phase == Phase::Flushing => {
                history.hooks_ended = true;
                sequence.hooks_ended();
            }
            Step::HooksEnd => {}
        }
        while let Some(next) = sequence.advance(now, in_flight) {
            assert!(next > phase, "{next} after {phase}");
            assert_eq!(history.next(phase, entered, now, in_flight), Some(next));
            assert!(next != Phase::Flushing || in_flight == 0 || phase == Phase::Forced);
            (phase, entered) = (next, now);
        }
        assert_eq!(history.next(phase, entered, now, in_flight), None, "it stays {phase}");
        assert_eq!(sequence.phase(), phase);
        assert_eq!(sequence.is_forced(), history.begun.len() > 1);
        check_due(&sequence, &history, entered);
    }
    finish(sequence, in_flight);
}

fn check_due(sequence: &ShutdownSequence, history: &History, entered: Instant) {
    let due = match sequence.phase() {
        Phase::Running | Phase::Stopped => None,
        phase => Some(history.over(phase, entered)),
    };
    assert_eq!(sequence.due(), due);
}

/// Checks that the sequence ends in time if it is advanced at each due time, without other steps.
fn finish(mut sequence: ShutdownSequence, in_flight: u64) {
    for _ in Phase::ALL {
        let Some(due) = sequence.due() else { break };
        assert!(sequence.end().is_some_and(|end| due <= end), "{sequence:?}");
        while sequence.advance(due, in_flight).is_some() {}
    }
    assert!(matches!(sequence.phase(), Phase::Running | Phase::Stopped), "{sequence:?}");
}
