//! The shutdown token of the future that is polled on this thread.
//!
//! A thread-local as for [`Deadline`](crate::Deadline), since requests of any type cannot carry a token. The guard itself
//! is swapped in and out, so that a poll changes no reference count.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::phase::Phase;
use super::token::{Reached, ShutdownToken};
use super::work::InFlight;

thread_local! {
    static CURRENT: RefCell<Option<InFlight>> = const { RefCell::new(None) };
}

/// Makes the guard in `place` the current one until this is dropped.
#[must_use]
pub(super) struct AmbientGuard<'a> {
    place: &'a mut Option<InFlight>,
}

impl<'a> AmbientGuard<'a> {
    pub(super) fn new(place: &'a mut Option<InFlight>) -> AmbientGuard<'a> {
        exchange(place);
        AmbientGuard { place }
    }
}

impl Drop for AmbientGuard<'_> {
    fn drop(&mut self) {
        exchange(self.place);
    }
}

/// Swaps `place` with the current guard. Does nothing on a thread that is ending.
fn exchange(place: &mut Option<InFlight>) {
    let _gone = CURRENT.try_with(|current| std::mem::swap(&mut *current.borrow_mut(), place));
}

fn with<R>(look: impl FnOnce(&ShutdownToken) -> R) -> Option<R> {
    let look = |current: &RefCell<Option<InFlight>>| {
        current.borrow().as_ref().map(InFlight::token).map(look)
    };
    CURRENT.try_with(look).ok().flatten()
}

pub(super) fn current() -> Option<ShutdownToken> {
    with(ShutdownToken::clone)
}

/// Returns `true` if the polled future is counted by this token.
pub(super) fn is_within(token: &ShutdownToken) -> bool {
    with(|current| current.is_same(token)).unwrap_or(false)
}

/// Returns `true` if the polled future has a token.
pub(crate) fn is_set() -> bool {
    with(|_| ()).is_some()
}

/// Returns `true` if the polled future has a token, and its shutdown is draining.
pub(crate) fn is_draining() -> bool {
    with(ShutdownToken::is_draining).unwrap_or(false)
}

/// A wait that ends when draining begins, if the call has a token.
#[derive(Debug, Default)]
pub(crate) struct Draining(Option<Reached>);

impl Draining {
    /// Returns `Ready` once draining has begun. Looks for the token at each poll until there is one.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.is_none() {
            self.0 = current().map(|token| token.reached(Phase::Draining));
        }
        self.0.as_mut().map_or(Poll::Pending, |reached| Pin::new(reached).poll(cx))
    }
}
