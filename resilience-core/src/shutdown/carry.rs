//! The machine behind everything that is run as under way.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::Phase;
use super::ambient::Entered;
use super::wakers::Place;
use super::work::{InFlight, Tracker};
use crate::rejection::Rejection;

pin_project! {
    /// A future that is under way, and what counts it afterwards: for what goes on when the future is ready, as
    /// the body of a response does. Made by [`InFlight::carry`]; otherwise as [`Scope`](super::Scope).
    #[must_use = "futures do nothing unless polled"]
    pub struct Carry<F> {
        // Dropped as soon as there is an output: what it holds is free then (T7).
        #[pin]
        future: Option<F>,
        // Until the first poll, if it is not let in yet.
        tracker: Option<Tracker>,
        // From then on.
        guard: Option<InFlight>,
        place: Place,
    }

    impl<F> PinnedDrop for Carry<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // Before the future's destructor, which may panic.
            if let Some(guard) = this.guard {
                this.place.leave(&guard.token().shared().wakers);
            }
            // Before the guard, which is dropped after this: what is under way is over before it is not counted any more.
            this.future.set(None);
        }
    }
}

impl<F> Carry<F> {
    /// To be let in at the first poll.
    pub(super) fn new(tracker: Tracker, future: F) -> Carry<F> {
        Carry { future: Some(future), tracker: Some(tracker), guard: None, place: Place::default() }
    }

    /// Let in.
    pub(super) fn admitted(guard: InFlight, future: F) -> Carry<F> {
        Carry { future: Some(future), tracker: None, guard: Some(guard), place: Place::default() }
    }
}

impl<F: Future> Future for Carry<F> {
    type Output = Result<(F::Output, InFlight), Rejection>;

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
        // The guard stays where it is while wakers are cloned and dropped: whoever has it leaves the place.
        let Some(guard) = this.guard.as_ref() else { return Poll::Pending };
        let shared = guard.token().shared();
        let mut wait = || this.place.wait(&shared.wakers, Phase::Forced, || shared.phase(), cx);
        if output.is_pending() && wait().is_pending() {
            return Poll::Pending;
        }
        this.place.leave(&shared.wakers);
        this.future.set(None);
        let Some(guard) = this.guard.take() else { return Poll::Pending };
        Poll::Ready(match output {
            Poll::Ready(output) => Ok((output, guard)),
            Poll::Pending => Err(guard.refuse().with_may_have_run(true)),
        })
    }
}

impl<F> fmt::Debug for Carry<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carry").field("guard", &self.guard).finish_non_exhaustive()
    }
}
