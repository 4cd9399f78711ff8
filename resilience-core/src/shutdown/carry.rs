//! A future counted as work in flight.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Phase;
use super::ambient::AmbientGuard;
use super::wakers::WakerSlot;
use super::work::{InFlight, Tracker};
use crate::rejection::Rejection;

pin_project! {
    /// Runs a future as work in flight, and returns its guard with the output, for work that goes
    /// on afterwards, such as the body of a response. Made by [`InFlight::carry`]; otherwise like
    /// [`RunFuture`](super::RunFuture).
    #[must_use = "futures do nothing unless polled"]
    #[doc(hidden)]
    pub struct Carry<F> {
        // Dropped as soon as there is an output, so that its resources are free then.
        #[pin]
        future: Option<F>,
        // Set until the first poll, which admits the future.
        tracker: Option<Tracker>,
        // Set from then on.
        guard: Option<InFlight>,
        slot: WakerSlot,
    }

    impl<F> PinnedDrop for Carry<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Before the future's destructor, which may panic.
            if let Some(guard) = this.guard {
                this.slot.release(&guard.token().shared().wakers);
            }
            // Before the guard, so that the work has ended when it is no longer counted.
            this.future.set(None);
        }
    }
}

impl<F> Carry<F> {
    /// Creates a future that is admitted at its first poll.
    pub(super) fn new(tracker: Tracker, future: F) -> Carry<F> {
        Carry {
            future: Some(future),
            tracker: Some(tracker),
            guard: None,
            slot: WakerSlot::default(),
        }
    }

    /// Creates a future that is admitted.
    pub(super) fn admitted(guard: InFlight, future: F) -> Carry<F> {
        Carry {
            future: Some(future),
            tracker: None,
            guard: Some(guard),
            slot: WakerSlot::default(),
        }
    }
}

impl<F: Future> Future for Carry<F> {
    type Output = Result<(F::Output, InFlight), Rejection>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if let Some(tracker) = this.tracker.take() {
            match tracker.into_in_flight() {
                Ok(guard) => *this.guard = Some(guard),
                Err(rejected) => {
                    this.future.set(None);
                    return Poll::Ready(Err(rejected));
                }
            }
        }
        // Polled after completion: stay pending.
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let entered = AmbientGuard::new(this.guard);
        let output = future.poll(cx);
        drop(entered);
        // The guard stays in its field while wakers are cloned and dropped, since those may panic:
        // the drop of this future then releases the slot.
        let Some(guard) = this.guard.as_ref() else { return Poll::Pending };
        let shared = guard.token().shared();
        let mut wait = || this.slot.wait(&shared.wakers, Phase::Forced, || shared.phase(), cx);
        if output.is_pending() && wait().is_pending() {
            return Poll::Pending;
        }
        this.slot.release(&shared.wakers);
        this.future.set(None);
        let Some(guard) = this.guard.take() else { return Poll::Pending };
        Poll::Ready(match output {
            Poll::Ready(output) => Ok((output, guard)),
            Poll::Pending => Err(guard.reject().with_may_have_run(true)),
        })
    }
}

impl<F> fmt::Debug for Carry<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carry").field("guard", &self.guard).finish_non_exhaustive()
    }
}
