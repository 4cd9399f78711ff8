//! The shutdown of the call that is being polled on this thread.
//!
//! As with [`Deadline`](crate::Deadline): requests are of any type, so what is inside cannot be handed a
//! token. The guard itself is put there and taken back, so that a poll counts no references.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::phase::Phase;
use super::reached::Reached;
use super::token::ShutdownToken;
use super::work::InFlight;

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

/// Whether the call that is polled can be told to stop waiting.
pub(crate) fn is_set() -> bool {
    with(|_| ()).is_some()
}

/// Whether the call that is polled is to begin nothing new.
pub(crate) fn is_draining() -> bool {
    with(ShutdownToken::is_draining).unwrap_or(false)
}

/// A wait that ends when draining begins, if the call has a token.
#[derive(Debug, Default)]
pub(crate) struct Draining(Option<Reached>);

impl Draining {
    /// Whether it has. Whose call it is may be known only later: it is asked until it is.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.0.is_none() {
            self.0 = current().map(|token| token.reached(Phase::Draining));
        }
        self.0.as_mut().map_or(Poll::Pending, |reached| Pin::new(reached).poll(cx))
    }
}
