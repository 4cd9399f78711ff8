//! Waiting for a phase.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::Phase;
use super::token::ShutdownToken;
use super::wakers::Place;

/// Waits for a phase. Made by [`ShutdownToken::reached`] and its siblings; to drop it is to wait no longer.
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct Reached {
    token: ShutdownToken,
    phase: Phase,
    place: Place,
}

impl Reached {
    pub(super) fn new(token: ShutdownToken, phase: Phase) -> Reached {
        Reached { token, phase, place: Place::default() }
    }
}

impl Future for Reached {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Reached { token, phase, place } = &mut *self;
        let shared = token.shared();
        place.wait(&shared.wakers, *phase, || shared.phase(), cx)
    }
}

impl Drop for Reached {
    fn drop(&mut self) {
        self.place.leave(&self.token.shared().wakers);
    }
}
