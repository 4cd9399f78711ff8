//! A future that is under way, and known to be.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::ambient::Entered;
use super::phase::Phase;
use super::wakers::Place;
use super::work::{InFlight, Tracker};
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
        // Dropped as soon as there is an output: what it holds is free then (T7).
        #[pin]
        future: Option<F>,
        // Until the first poll.
        tracker: Option<Tracker>,
        // From then on.
        guard: Option<InFlight>,
        place: Place,
    }

    impl<F> PinnedDrop for Scope<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // First: what is under way is over before it is not counted any more.
            this.future.set(None);
            if let Some(guard) = this.guard {
                this.place.leave(&guard.token().shared().wakers);
            }
        }
    }
}

impl<F> Scope<F> {
    pub(super) fn new(tracker: Tracker, future: F) -> Scope<F> {
        Scope { future: Some(future), tracker: Some(tracker), guard: None, place: Place::default() }
    }
}

impl<F: Future> Future for Scope<F> {
    type Output = Result<F::Output, Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(tracker) = this.tracker.take() {
            match tracker.into_in_flight() {
                Ok(guard) => *this.guard = Some(guard),
                Err(refused) => {
                    this.future.set(None);
                    return Poll::Ready(Err(refused));
                }
            }
        }
        // Polled after it was ready, which a future's contract leaves open: stay silent.
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let entered = Entered::new(this.guard);
        let output = future.poll(cx);
        drop(entered);
        let Some(guard) = this.guard.as_ref() else { return Poll::Pending };
        let shared = guard.token().shared();
        if output.is_pending() && shared.phase() < Phase::Forced {
            this.place.take(&shared.wakers, Phase::Forced, cx);
        }
        // Again: it may have come before there was anybody to wake.
        if output.is_pending() && shared.phase() < Phase::Forced {
            return Poll::Pending;
        }
        this.place.leave(&shared.wakers);
        this.future.set(None);
        let Some(guard) = this.guard.take() else { return Poll::Pending };
        Poll::Ready(match output {
            Poll::Ready(output) => {
                guard.finish();
                Ok(output)
            }
            Poll::Pending => Err(guard.refuse()),
        })
    }
}

impl<F> fmt::Debug for Scope<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scope").field("guard", &self.guard).finish_non_exhaustive()
    }
}
