//! The phases of a shutdown.

use std::fmt;

/// The phase of a shutdown. Later phases are greater; none comes twice, and some may not come at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// No shutdown was begun.
    Running,
    /// Health checks fail, and everything else goes on, until the senders of work have noticed.
    NotReady,
    /// New work is rejected, and accepted work is finished.
    Draining,
    /// The time to finish is over. Work that is still under way is cancelled, and has a moment to end.
    Forced,
    /// Nothing is under way. Hooks run: they flush and hand back.
    Flushing,
    /// Done.
    Stopped,
}

impl Phase {
    /// All phases, in order.
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
