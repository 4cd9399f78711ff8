//! A future that is under way, and known to be.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::carry::Carry;
use crate::rejection::Rejection;

pin_project! {
    /// Runs a future as something that is under way. Made by [`ShutdownToken::run`](super::ShutdownToken::run).
    ///
    /// - It is counted from its first poll on. If nothing new is taken then, it ends in a
    ///   [`Rejection`] and `future` is never polled.
    /// - While it is polled, the token is the [current](super::ShutdownToken::current) one: retries inside make
    ///   no further attempt and wait no longer once draining has begun.
    /// - When the time to finish is over it ends in a [`Rejection`], unless there is an output in the same
    ///   poll, and `future` is dropped.
    ///
    /// Dropping it drops `future`, which is then not under way any more.
    #[must_use = "futures do nothing unless polled"]
    pub struct Scope<F> {
        #[pin]
        carry: Carry<F>,
    }
}

impl<F> Scope<F> {
    pub(super) const fn new(carry: Carry<F>) -> Scope<F> {
        Scope { carry }
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = Result<F::Output, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().carry.poll(cx).map_ok(|(output, guard)| {
            guard.finish();
            output
        })
    }
}

impl<F> fmt::Debug for Scope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("carry", &self.carry).finish()
    }
}
