//! A future counted as work in flight until it completes.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::carry::Carry;
use crate::rejection::Rejection;

pin_project! {
    /// Runs a future as work in flight. Made by [`ShutdownToken::run`](super::ShutdownToken::run).
    ///
    /// - Counted from its first poll. If new work is rejected then, this future returns a
    ///   [`Rejection`] and `future` is never polled.
    /// - While it is polled, its token is the [current](super::ShutdownToken::current) one: retries
    ///   inside make no further attempt and end their backoff once draining has begun.
    /// - When the time for work is over, this future drops `future` and returns a [`Rejection`],
    ///   unless there is an output in the same poll.
    ///
    /// Dropping this future drops `future` and ends the count.
    #[must_use = "futures do nothing unless polled"]
    #[doc(hidden)]
    pub struct RunFuture<F> {
        #[pin]
        carry: Carry<F>,
    }
}

impl<F> RunFuture<F> {
    pub(super) const fn new(carry: Carry<F>) -> RunFuture<F> {
        RunFuture { carry }
    }
}

impl<F: Future> Future for RunFuture<F> {
    type Output = Result<F::Output, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().carry.poll(cx).map_ok(|(output, guard)| {
            guard.finish();
            output
        })
    }
}

impl<F> fmt::Debug for RunFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunFuture").field("carry", &self.carry).finish()
    }
}
