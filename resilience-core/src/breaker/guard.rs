//! A call on its way through a circuit.

use std::borrow::Borrow;
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
pub(super) struct Guard<W: Whose, H: Borrow<CircuitBreaker> = CircuitBreaker> {
    breaker: H,
    whose: W,
    admission: Option<Admission>,
}

impl<W: Whose, H: Borrow<CircuitBreaker>> Guard<W, H> {
    /// Holds what there is to hold.
    #[inline]
    pub(super) const fn new(breaker: H, whose: W, admission: Option<Admission>) -> Guard<W, H> {
        Guard { breaker, whose, admission }
    }

    /// Refuses what would be refused for certain. Takes nothing.
    #[cfg(feature = "tower")]
    #[inline]
    pub(super) fn check(&self) -> Result<(), Rejection> {
        self.breaker.borrow().check(&self.whose, &mut Now::unread())
    }

    /// Takes what there is to take.
    #[inline]
    pub(super) fn admit(&mut self) -> Result<(), Rejection> {
        self.admission = self.breaker.borrow().admit(&self.whose, &mut Now::unread())?;
        Ok(())
    }

    /// The call ended so.
    #[inline]
    pub(super) fn settle(&mut self, outcome: Outcome) {
        if let Some(admission) = self.admission.take() {
            self.breaker.borrow().record(admission, outcome, &self.whose, &mut Now::unread());
        }
    }
}

impl<W: Whose, H: Borrow<CircuitBreaker>> Drop for Guard<W, H> {
    #[inline]
    fn drop(&mut self) {
        self.settle(Outcome::Abandoned);
    }
}

/// A call that a [`CircuitBreaker`] let pass. Dropped without saying how it ended, it was abandoned.
///
/// Borrows the handle, or [owns](CircuitBreaker::try_admit_owned) one.
#[must_use = "dropped at once, the call was abandoned"]
pub struct Admitted<H: Borrow<CircuitBreaker> = CircuitBreaker>(Guard<(), H>);

impl<H: Borrow<CircuitBreaker>> Admitted<H> {
    #[inline]
    pub(super) fn new(breaker: H) -> Result<Admitted<H>, Rejection> {
        let admission = breaker.borrow().admit(&(), &mut Now::unread())?;
        Ok(Admitted(Guard::new(breaker, (), admission)))
    }

    /// It went well.
    #[inline]
    pub fn success(self) {
        self.outcome(Outcome::Success);
    }

    /// It ended so.
    #[inline]
    pub fn outcome(mut self, outcome: Outcome) {
        self.0.settle(outcome);
    }
}

impl<H: Borrow<CircuitBreaker>> fmt::Debug for Admitted<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitted").finish_non_exhaustive()
    }
}
