//! The shutdown token of the future that is polled on this thread.
//!
//! A thread-local as for [`Deadline`](crate::Deadline), since requests of any type cannot carry a
//! token. The guard itself is swapped in and out, so that a poll changes no reference count.

use std::cell::RefCell;

use super::Phase;
use super::token::ShutdownToken;
use super::work::InFlight;
use crate::call::{DrainSource, DrainWait, register_drain_source};

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
    // See docs/decisions/0015-a-shutdown-is-ambient.md.
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

/// Lets the calls inside of a token see its draining. The module `call` does not depend on this
/// one.
pub(super) fn register() {
    register_drain_source(&Ambient);
}

struct Ambient;

impl DrainSource for Ambient {
    fn is_draining(&self) -> Option<bool> {
        with(ShutdownToken::is_draining)
    }

    fn wait(&self) -> Option<DrainWait> {
        Some(Box::pin(current()?.reached(Phase::Draining)))
    }
}
