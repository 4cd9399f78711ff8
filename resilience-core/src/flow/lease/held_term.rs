//! The holder's view of its lease, by its own monotonic clock. Pure.

use std::time::{Duration, Instant};

use crate::clock::later;

/// The end of a lease as its holder counts it, and the time of the next renewal.
///
/// Counted from when the request was *sent*: the store sets the end when it handles the request,
/// which is no earlier. The holder stops a tenth of the term before that.
///
/// ```
/// use std::time::Duration;
/// use resilience_core::clock;
/// use resilience_core::flow::lease::{HeldTerm, HolderStep};
///
/// let sent = clock::now();
/// let term = HeldTerm::new(Duration::from_secs(60), sent);
/// assert_eq!(term.step(sent), HolderStep::WaitUntil(sent + Duration::from_secs(20)));
/// assert_eq!(term.step(sent + Duration::from_secs(20)), HolderStep::Renew);
/// assert_eq!(term.step(sent + Duration::from_secs(54)), HolderStep::Lost);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeldTerm {
    term: Duration,
    ends_at: Instant,
    renew_at: Instant,
}

/// The next step of a holder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "a holder has to handle each")]
pub enum HolderStep {
    /// Nothing to do until then.
    WaitUntil(Instant),
    /// The lease is to be renewed.
    Renew,
    /// The lease has ended, and with it the work.
    Lost,
}

impl HeldTerm {
    /// Creates the term of a lease that was requested at `sent`.
    #[must_use]
    pub fn new(term: Duration, sent: Instant) -> HeldTerm {
        let ends_at = later(sent, term - term / 10);
        HeldTerm { term, ends_at, renew_at: later(sent, term / 3) }
    }

    /// Records a renewal that was requested at `sent`.
    pub fn renewed(&mut self, sent: Instant) {
        let renewed = HeldTerm::new(self.term, sent);
        if renewed.ends_at > self.ends_at {
            *self = renewed;
        }
    }

    /// Records a renewal that failed with an error. The next one follows after 1/20 to 1/10 of the
    /// term, by the sample `u` of `0..1`.
    pub fn failed(&mut self, now: Instant, u: f64) {
        let wait = self.term / 20;
        self.renew_at = later(now, wait + wait.mul_f64(u.clamp(0.0, 1.0)));
    }

    /// Records a renewal that was given up at its [bound](HeldTerm::give_up_at). The next one
    /// follows at once, at the latest after 1/20 of the term, by the sample `u` of `0..1`.
    pub fn gave_up(&mut self, now: Instant, u: f64) {
        self.renew_at = later(now, (self.term / 20).mul_f64(u.clamp(0.0, 1.0)));
    }

    /// Ends the term: the store has rejected a renewal.
    pub fn end(&mut self, now: Instant) {
        self.ends_at = self.ends_at.min(now);
    }

    /// Returns the next step.
    #[must_use]
    pub fn step(&self, now: Instant) -> HolderStep {
        if now >= self.ends_at {
            HolderStep::Lost
        } else if now >= self.renew_at {
            HolderStep::Renew
        } else {
            HolderStep::WaitUntil(self.renew_at.min(self.ends_at))
        }
    }

    /// Returns the instant at which a renewal sent at `sent` is given up: after a fifth of the
    /// term, so that a response that never comes leaves time for at least two more attempts, and
    /// never past the end of the lease.
    #[must_use]
    pub fn give_up_at(&self, sent: Instant) -> Instant {
        self.ends_at.min(later(sent, self.term / 5))
    }

    /// Returns the end by the holder's clock.
    #[must_use]
    pub const fn ends_at(&self) -> Instant {
        self.ends_at
    }

    /// Returns the term.
    #[must_use]
    pub const fn term(&self) -> Duration {
        self.term
    }
}
