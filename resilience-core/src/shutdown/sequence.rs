//! The engine: phases and their times.

use std::time::Instant;

use super::Phase;
use super::bounds::ShutdownBounds;
use crate::clock::later;

/// Phases of a shutdown, driven by the time, the work in flight, and the end of the hooks.
///
/// The ends of the phases are fixed at the beginning: a phase that is entered late is shorter.
///
/// ```
/// use resilience_core::clock;
/// use resilience_core::shutdown::{ShutdownSequence, Phase, ShutdownBounds};
///
/// let bounds = ShutdownBounds::default();
/// let mut sequence = ShutdownSequence::new(bounds);
/// let start = clock::now();
/// sequence.begin(start);
/// assert_eq!(sequence.advance(start, 3), Some(Phase::NotReady));
/// assert_eq!(sequence.advance(start, 3), None);
/// assert_eq!(sequence.due(), Some(start + bounds.grace));
/// sequence.begin(start); // a second time: at once
/// assert_eq!(sequence.advance(start, 3), Some(Phase::Forced));
/// assert_eq!(sequence.advance(start, 0), Some(Phase::Flushing));
/// sequence.hooks_ended();
/// assert_eq!(sequence.advance(start, 0), Some(Phase::Stopped));
/// ```
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct ShutdownSequence {
    bounds: ShutdownBounds,
    phase: Phase,
    /// Calls of `begin`.
    begins: u32,
    begun: Option<Instant>,
    /// End of the phase at the latest.
    due: Option<Instant>,
    hooks_ended: bool,
}

impl ShutdownSequence {
    /// Creates the sequence of a running process.
    #[must_use]
    pub const fn new(bounds: ShutdownBounds) -> ShutdownSequence {
        ShutdownSequence {
            bounds,
            phase: Phase::Running,
            begins: 0,
            begun: None,
            due: None,
            hooks_ended: false,
        }
    }

    /// Returns the current phase.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the bounds.
    #[must_use]
    pub const fn bounds(&self) -> &ShutdownBounds {
        &self.bounds
    }

    /// Returns the instant at which the phase ends at the latest; `None` before the beginning and
    /// after the end.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Returns the end of the shutdown at the latest; `None` before the beginning.
    #[must_use]
    pub fn end(&self) -> Option<Instant> {
        self.begun.map(|begun| later(begun, self.bounds.longest()))
    }

    /// Begins the shutdown. A second call skips the wait for work, a third one also the hooks.
    pub fn begin(&mut self, now: Instant) {
        self.begins = self.begins.saturating_add(1);
        self.begun.get_or_insert(now);
    }

    /// Returns `true` after a second `begin`.
    #[must_use]
    pub const fn is_forced(&self) -> bool {
        self.begins > 1
    }

    /// Returns `true` after a third `begin`, which skips the hooks.
    #[must_use]
    pub const fn is_abandoned(&self) -> bool {
        self.begins > 2
    }

    /// Notes that no hook is left to run.
    pub const fn hooks_ended(&mut self) {
        self.hooks_ended = true;
    }

    /// Enters the next phase if it is due, and returns it. Call this until it returns `None`, with
    /// the current number of operations in flight.
    pub fn advance(&mut self, now: Instant, in_flight: u64) -> Option<Phase> {
        let due = self.due.is_some_and(|due| due <= now);
        let next = match self.phase {
            Phase::Running if self.begun.is_some() => Phase::NotReady,
            Phase::NotReady if self.is_forced() => Phase::Forced,
            Phase::NotReady if due => Phase::Draining,
            Phase::Draining if in_flight == 0 => Phase::Flushing,
            Phase::Draining if due || self.is_forced() => Phase::Forced,
            Phase::Forced if due || in_flight == 0 => Phase::Flushing,
            Phase::Flushing if due || self.hooks_ended || self.is_abandoned() => Phase::Stopped,
            _ => return None,
        };
        self.phase = next;
        self.due = self.phase_end(next, now);
        Some(next)
    }

    /// Returns the end of a phase that begins at `now`.
    fn phase_end(&self, phase: Phase, now: Instant) -> Option<Instant> {
        let begun = self.begun?;
        let bounds = &self.bounds;
        let end = match phase {
            Phase::Running | Phase::Stopped => return None,
            Phase::NotReady => later(begun, bounds.grace),
            Phase::Draining => later(begun, bounds.grace.saturating_add(bounds.drain)),
            Phase::Forced => later(now, bounds.unwind),
            Phase::Flushing => later(now, bounds.hooks),
        };
        self.end().map(|last| end.min(last))
    }
}
