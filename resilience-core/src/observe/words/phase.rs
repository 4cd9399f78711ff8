//! Phases of a shutdown.

use std::fmt;

/// Phase of a shutdown. Later phases compare greater; none is entered twice, and some may be
/// skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// The shutdown has not begun.
    Running,
    /// Health checks fail, and new work is still accepted until load balancers have noticed.
    NotReady,
    /// New work is rejected, and accepted work goes on.
    Draining,
    /// The time for work is over. Work still in flight is cancelled, and has a moment to end.
    Forced,
    /// No work is waited for. Hooks run: flush, return leases, deregister.
    Flushing,
    /// The shutdown is complete.
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
