//! A contender's view of a lease that another holds. Pure.

use std::time::{Duration, Instant};

use super::record::{LeaseStatus, LeaseVersion};

/// A watch on a lease: chooses the time of the next request, and detects renewals that stand still.
///
/// A store's clock that was set back would keep the lease of a dead holder. A state that has not
/// changed for two terms by the contender's monotonic clock is proof enough: a living holder has
/// ended its work by then.
#[derive(Debug, Clone, Default)]
pub struct Contender {
    seen: Option<Seen>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    version: LeaseVersion,
    stalled_at: Instant,
}

impl Contender {
    /// Creates a contender that has seen nothing.
    #[must_use]
    pub const fn new() -> Contender {
        Contender { seen: None }
    }

    /// Records a status that was received at `now`, and returns the wait before the next request:
    /// between 1/2 and the whole of what the lease has left, at most a third of its term, by the
    /// sample `u` of `0..1`.
    pub fn observe(&mut self, status: &LeaseStatus, now: Instant, u: f64) -> Duration {
        if self.seen.is_none_or(|seen| seen.version != status.version) {
            // A term that overflows the clock never stands still.
            let stalled_at = status.term.checked_mul(2).and_then(|both| now.checked_add(both));
            self.seen = stalled_at.map(|at| Seen { version: status.version, stalled_at: at });
        }
        let longest = (status.term / 3).max(Duration::from_millis(1));
        let shortest = (status.term / 20).max(Duration::from_millis(1)).min(longest);
        let wait = status.remaining.clamp(shortest, longest);
        wait / 2 + (wait / 2).mul_f64(u.clamp(0.0, 1.0))
    }

    /// Returns the state that has stood still for two terms at `now`.
    #[must_use]
    pub fn stalled(&self, now: Instant) -> Option<LeaseVersion> {
        self.seen.filter(|seen| now >= seen.stalled_at).map(|seen| seen.version)
    }
}
