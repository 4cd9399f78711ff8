//! The shutdown of the call that is being polled on this thread.
//!
//! As with [`Deadline`](crate::Deadline): requests are of any type, so what is inside cannot be handed a
//! token. The guard itself is put there and taken back, so that a poll counts no references.

use std::cell::RefCell;

use super::Phase;
use super::token::ShutdownToken;
use super::work::InFlight;
use crate::call::{DrainSource, DrainWait, register_drain_source};

thread_local! {
    static CURRENT: RefCell<Option<InFlight>> = const { RefCell::new(None) };
}

/// While this is kept, what was in `place` is the current one.
#[must_use]
pub(super) struct Entered<'a> {
    place: &'a mut Option<InFlight>,
}

impl<'a> Entered<'a> {
    pub(super) fn new(place: &'a mut Option<InFlight>) -> Entered<'a> {
        exchange(place);
        Entered { place }
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        exchange(self.place);
    }
}

/// On a thread that ends there is no current one, and none is set.
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

/// Whether what is polled is under way by this token.
pub(super) fn is_within(token: &ShutdownToken) -> bool {
    with(|current| current.is_same(token)).unwrap_or(false)
}

/// Lets the calls inside of a token see its draining. The module `call` does not depend on this one.
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
