//! Tracking of work in flight.

use super::ambient;
use super::carry::Carry;
use super::run_future::RunFuture;
use super::token::ShutdownToken;
use crate::rejection::Rejection;

/// Counts work in flight under one name. Made by [`ShutdownToken::tracker`]; clones share the
/// count.
#[derive(Debug, Clone)]
pub struct Tracker {
    token: ShutdownToken,
    index: u8,
}

impl Tracker {
    pub(super) const fn new(token: ShutdownToken, index: u8) -> Tracker {
        Tracker { token, index }
    }

    /// Returns the token.
    #[must_use]
    pub const fn token(&self) -> &ShutdownToken {
        &self.token
    }

    /// Counts one operation until the guard is dropped.
    ///
    /// An operation tracked inside of work in flight belongs to it and is accepted also while
    /// draining: the request of a connection, the call that a request makes.
    ///
    /// # Errors
    /// [`ShuttingDown`](crate::RejectionKind::ShuttingDown), once new work is rejected.
    pub fn track(&self) -> Result<InFlight, Rejection> {
        self.clone().into_in_flight()
    }

    /// Runs `future` as one operation. See [`RunFuture`].
    pub fn run<F: Future>(&self, future: F) -> RunFuture<F> {
        RunFuture::new(Carry::new(self.clone(), future))
    }

    pub(super) fn into_in_flight(self) -> Result<InFlight, Rejection> {
        let count = &self.token.shared().work(self.index).count;
        if count.enter() || (ambient::is_within(&self.token) && count.enter_with_another()) {
            Ok(InFlight { tracker: self, finished: false })
        } else {
            Err(self.reject())
        }
    }

    pub(super) fn reject(&self) -> Rejection {
        self.token.shared().reject(self.index)
    }
}

/// A guard that counts an operation as in flight until it is dropped. The operation counts as cut
/// if the guard is dropped after [`forced`](ShutdownToken::forced) without
/// [`finish`](InFlight::finish).
#[derive(Debug)]
#[must_use = "the operation is counted until this is dropped"]
pub struct InFlight {
    tracker: Tracker,
    finished: bool,
}

impl InFlight {
    /// Ends the operation as finished. Makes a difference only after
    /// [`forced`](ShutdownToken::forced).
    pub fn finish(mut self) {
        self.finished = true;
    }

    /// Runs `future` as this operation, and returns this guard with its output. Otherwise like
    /// [`RunFuture`].
    pub fn carry<F: Future>(self, future: F) -> Carry<F> {
        Carry::admitted(self, future)
    }

    /// Runs `future` as this operation. See [`RunFuture`].
    pub fn run<F: Future>(self, future: F) -> RunFuture<F> {
        RunFuture::new(self.carry(future))
    }

    /// Returns the token.
    #[must_use]
    pub const fn token(&self) -> &ShutdownToken {
        &self.tracker.token
    }

    pub(super) fn reject(&self) -> Rejection {
        self.tracker.reject()
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let shared = self.tracker.token.shared();
        if shared.work(self.tracker.index).count.leave(self.finished) {
            shared.wake_driver();
        }
    }
}
