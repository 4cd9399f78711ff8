//! A process on its way out.

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

/// Everything that was said, from which each phase is found anew.
struct Said {
    bounds: ShutdownBounds,
    begun: Vec<Instant>,
    hooks_ended: bool,
}

impl Said {
    /// When the phase that was entered then is over, whatever happens.
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

    /// What follows, at `now`, on a phase that was entered then.
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

/// Phases come in their order and each once, at the times that follow from all that was said;
/// nothing is under way after draining but for what was forced; and who looks when it is due is
/// done in time.
pub fn shutdown(bytes: &[u8]) {
    let Some(input) = parse::<Input>(bytes) else { return };
    let [grace, drain, unwind, hooks] =
        input.bounds.map(|millis| Duration::from_millis(millis.into()));
    let bounds = ShutdownBounds { grace, drain, unwind, hooks, total: None };
    let Ok(bounds) = bounds.check() else { return };
    let mut course = ShutdownSequence::new(bounds);
    let mut said = Said { bounds, begun: Vec::new(), hooks_ended: false };
    let mut now = clock::now();
    let (mut phase, mut entered, mut in_flight) = (Phase::Running, now, 0_u64);
    for &step in &input.steps.0 {
        match step {
            Step::Pass(millis) => now += Duration::from_millis(u64::from(millis) * 16),
            Step::Begin => {
                said.begun.push(now);
                course.begin(now);
            }
            // Nothing new is let in from draining on.
            Step::Enter if phase < Phase::Draining => in_flight += 1,
            Step::Enter => {}
            Step::Leave => in_flight = in_flight.saturating_sub(1),
            Step::HooksEnd if phase == Phase::Flushing => {
                said.hooks_ended = true;
                course.hooks_ended();
            }
            Step::HooksEnd => {}
        }
        while let Some(next) = course.advance(now, in_flight) {
            assert!(next > phase, "{next} after {phase}");
            assert_eq!(said.next(phase, entered, now, in_flight), Some(next));
            assert!(next != Phase::Flushing || in_flight == 0 || phase == Phase::Forced);
            (phase, entered) = (next, now);
        }
        assert_eq!(said.next(phase, entered, now, in_flight), None, "it stays {phase}");
        assert_eq!(course.phase(), phase);
        assert_eq!(course.is_forced(), said.begun.len() > 1);
        check_due(&course, &said, entered);
    }
    finish(course, in_flight);
}

fn check_due(course: &ShutdownSequence, said: &Said, entered: Instant) {
    let due = match course.phase() {
        Phase::Running | Phase::Stopped => None,
        phase => Some(said.over(phase, entered)),
    };
    assert_eq!(course.due(), due);
}

/// Looked at whenever it is due, it comes to its end in time, though nothing else happens any more.
fn finish(mut course: ShutdownSequence, in_flight: u64) {
    for _ in Phase::ALL {
        let Some(due) = course.due() else { break };
        assert!(course.end().is_some_and(|end| due <= end), "{course:?}");
        while course.advance(due, in_flight).is_some() {}
    }
    assert!(matches!(course.phase(), Phase::Running | Phase::Stopped), "{course:?}");
}
