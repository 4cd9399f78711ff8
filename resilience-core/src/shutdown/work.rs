//! What is under way, and is waited for.

use super::ambient;
use super::carry::Carry;
use super::scope::Scope;
use super::token::ShutdownToken;
use crate::rejection::Rejection;

/// Counts things as under way, under one name. Made by [`ShutdownToken::tracker`]; clones count together.
#[derive(Debug, Clone)]
pub struct Tracker {
    token: ShutdownToken,
    index: u8,
}

impl Tracker {
    pub(super) const fn new(token: ShutdownToken, index: u8) -> Tracker {
        Tracker { token, index }
    }

    /// Of what it counts for.
    #[must_use]
    pub const fn token(&self) -> &ShutdownToken {
        &self.token
    }

    /// Counts one thing until what this returns is dropped.
    ///
    /// What is tracked inside of something that is under way belongs to it, and is let in though nothing new is
    /// taken any more: the request of a connection, the call that a request makes.
    ///
    /// # Errors
    /// [`ShuttingDown`](crate::RejectionKind::ShuttingDown), if nothing new is taken any more.
    pub fn track(&self) -> Result<InFlight, Rejection> {
        self.clone().into_in_flight()
    }

    /// Runs `future` as one thing. See [`Scope`].
    pub fn run<F: Future>(&self, future: F) -> Scope<F> {
        Scope::new(Carry::new(self.clone(), future))
    }

    #[inline]
    pub(super) fn into_in_flight(self) -> Result<InFlight, Rejection> {
        let count = &self.token.shared().work(self.index).count;
        if count.enter() || (ambient::is_within(&self.token) && count.enter_with_another()) {
            Ok(InFlight { tracker: self, finished: false })
        } else {
            Err(self.refuse())
        }
    }

    pub(super) fn refuse(&self) -> Rejection {
        self.token.shared().refuse(self.index)
    }
}

/// One thing that is under way, until this is dropped. Dropped when it was told to end, it was cut, unless it
/// is known to have [finished](InFlight::finish).
#[derive(Debug)]
#[must_use = "dropped, it is not under way any more"]
pub struct InFlight {
    tracker: Tracker,
    finished: bool,
}

impl InFlight {
    /// It came to its own end. Of any difference only after [`forced`](ShutdownToken::forced).
    #[inline]
    pub fn finish(mut self) {
        self.finished = true;
    }

    /// Runs `future` as this, and hands this back with its output. See [`Scope`] for what ends it.
    pub fn carry<F: Future>(self, future: F) -> Carry<F> {
        Carry::admitted(self, future)
    }

    /// Runs `future` as this. See [`Scope`].
    pub fn run<F: Future>(self, future: F) -> Scope<F> {
        Scope::new(self.carry(future))
    }

    /// Of what it is counted by.
    #[must_use]
    pub const fn token(&self) -> &ShutdownToken {
        &self.tracker.token
    }

    pub(super) fn refuse(&self) -> Rejection {
        self.tracker.refuse()
    }
}

impl Drop for InFlight {
    #[inline]
    fn drop(&mut self) {
        let shared = self.tracker.token.shared();
        if shared.work(self.tracker.index).count.leave(self.finished) {
            shared.wake_driver();
        }
    }
}
