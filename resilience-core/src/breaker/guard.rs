//! A call on its way through a circuit.

use std::fmt;

use super::circuit::Admission;
use super::handle::CircuitBreaker;
use crate::clock::Now;
use crate::name::Name;
use crate::outcome::Outcome;
use crate::rejection::Rejection;

/// Whose circuit it is, for whoever has to be told.
pub(super) trait Whose {
    fn name(&self) -> Option<Name>;
}

/// Everybody's.
impl Whose for () {
    fn name(&self) -> Option<Name> {
        None
    }
}

/// A call and what it holds of a circuit. Dropped while it holds something, the call was abandoned.
pub(super) struct Guard<W: Whose> {
    breaker: CircuitBreaker,
    whose: W,
    admission: Option<Admission>,
}

impl<W: Whose> Guard<W> {
    pub(super) fn new(breaker: CircuitBreaker, whose: W) -> Guard<W> {
        Guard { breaker, whose, admission: None }
    }

    /// Refuses what would be refused for certain. Takes nothing.
    #[cfg(feature = "tower")]
    #[inline]
    pub(super) fn check(&self) -> Result<(), Rejection> {
        self.breaker.check(&self.whose, &mut Now::unread())
    }

    /// Takes what there is to take.
    #[inline]
    pub(super) fn admit(&mut self) -> Result<(), Rejection> {
        self.admission = self.breaker.admit(&self.whose, &mut Now::unread())?;
        Ok(())
    }

    /// The call ended so.
    #[inline]
    pub(super) fn settle(&mut self, outcome: Outcome) {
        if let Some(admission) = self.admission.take() {
            self.breaker.record(admission, outcome, &self.whose, &mut Now::unread());
        }
    }
}

impl<W: Whose> Drop for Guard<W> {
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

/// A call that a [`CircuitBreaker`] let pass. Dropped without saying how it ended, it was abandoned.
#[must_use = "dropped at once, the call was abandoned"]
pub struct Admitted(pub(super) Guard<()>);

impl Admitted {
    /// It went well.
    pub fn success(self) {
        self.outcome(Outcome::Success);
    }

    /// It ended so.
    pub fn outcome(mut self, outcome: Outcome) {
        self.0.settle(outcome);
    }
}

impl fmt::Debug for Admitted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").finish_non_exhaustive()
    }
}
