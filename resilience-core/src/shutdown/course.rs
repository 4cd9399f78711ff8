//! The engine: which phase follows, and when.

use std::time::Instant;

use super::Phase;
use super::bounds::ShutdownBounds;
use crate::clock::later;

/// A process on its way out. Told the time, how much is under way, and when the hooks are through.
///
/// The times are fixed when it begins: a phase that is entered late, because nobody looked, is the
/// shorter for it.
///
/// ```
/// use resilience_core::clock;
/// use resilience_core::shutdown::{Course, Phase, ShutdownBounds};
///
/// let bounds = ShutdownBounds::default();
/// let mut course = Course::new(bounds);
/// let start = clock::now();
/// course.begin(start);
/// assert_eq!(course.advance(start, 3), Some(Phase::NotReady));
/// assert_eq!(course.advance(start, 3), None);
/// assert_eq!(course.due(), Some(start + bounds.grace));
/// course.begin(start); // a second time: at once
/// assert_eq!(course.advance(start, 3), Some(Phase::Forced));
/// assert_eq!(course.advance(start, 0), Some(Phase::Flushing));
/// course.hooks_ended();
/// assert_eq!(course.advance(start, 0), Some(Phase::Stopped));
/// ```
#[derive(Debug, Clone)]
pub struct Course {
    bounds: ShutdownBounds,
    phase: Phase,
    /// How often it was begun.
    asked: u32,
    begun: Option<Instant>,
    /// When the phase is over, whatever happens.
    due: Option<Instant>,
    hooks_ended: bool,
}

impl Course {
    /// Of a process that runs.
    #[must_use]
    pub const fn new(bounds: ShutdownBounds) -> Course {
        Course {
            bounds,
            phase: Phase::Running,
            asked: 0,
            begun: None,
            due: None,
            hooks_ended: false,
        }
    }

    /// Where it is.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Within what.
    #[must_use]
    pub const fn bounds(&self) -> &ShutdownBounds {
        &self.bounds
    }

    /// When to look again, if nothing happens before.
    #[must_use]
    pub const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// When it is over at the latest, once it has begun.
    #[must_use]
    pub fn end(&self) -> Option<Instant> {
        self.begun.map(|begun| later(begun, self.bounds.longest()))
    }

    /// Somebody wants an end. The first time, it begins; the second, nothing more is waited for but the
    /// hooks; the third, not even those.
    pub fn begin(&mut self, now: Instant) {
        self.asked = self.asked.saturating_add(1);
        self.begun.get_or_insert(now);
    }

    /// Whether it was begun a second time.
    #[must_use]
    pub const fn is_forced(&self) -> bool {
        self.asked > 1
    }

    /// Whether not even the hooks are waited for.
    #[must_use]
    pub const fn is_abandoned(&self) -> bool {
        self.asked > 2
    }

    /// All hooks have run, or will not.
    pub const fn hooks_ended(&mut self) {
        self.hooks_ended = true;
    }

    /// The next phase, if it has come: to be asked until there is none, with so much under way at each time.
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
        self.due = self.over(next, now);
        Some(next)
    }

    /// When a phase that begins now is over.
    fn over(&self, phase: Phase, now: Instant) -> Option<Instant> {
        let begun = self.begun?;
        let bounds = &self.bounds;
        let over = match phase {
            Phase::Running | Phase::Stopped => return None,
            Phase::NotReady => later(begun, bounds.grace),
            Phase::Draining => later(begun, bounds.grace.saturating_add(bounds.drain)),
            Phase::Forced => later(now, bounds.unwind),
            Phase::Flushing => later(now, bounds.hooks),
        };
        self.end().map(|end| over.min(end))
    }
}
