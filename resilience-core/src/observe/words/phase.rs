//! Where a process is on its way out.

use std::fmt;

/// Where a process is on its way out. Later phases are greater; none comes twice, and some may not come at
/// all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Nobody has asked.
    Running,
    /// Health checks say no, everything else goes on: those who send work have to hear of it first.
    NotReady,
    /// Nothing new is taken, and what was taken is finished.
    Draining,
    /// The time to finish is over. What is still under way is told to end, and given a moment to do so.
    Forced,
    /// Nothing is under way. Hooks run: flush, hand back, say goodbye.
    Flushing,
    /// Done.
    Stopped,
}

impl Phase {
    /// All of them, in order.
    pub const ALL: [Phase; 6] = [
        Phase::Running,
        Phase::NotReady,
        Phase::Draining,
        Phase::Forced,
        Phase::Flushing,
        Phase::Stopped,
    ];

    #[cfg(feature = "tokio")]
    pub(crate) const fn number(self) -> u8 {
        self as u8
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn from_number(number: u8) -> Phase {
        Phase::ALL.get(usize::from(number)).copied().unwrap_or(Phase::Stopped)
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Phase::Running => "running",
            Phase::NotReady => "not ready",
            Phase::Draining => "draining",
            Phase::Forced => "forced",
            Phase::Flushing => "flushing",
            Phase::Stopped => "stopped",
        })
    }
}
