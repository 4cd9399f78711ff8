//! A call through all the parts.
//!
//! One state machine and not six: what is known to be in time, what is held and what it was sent for is
//! known in one place. A token, and the price of a retry, are spent when the service below takes the
//! request, and not before.

mod attempt;
mod machine;
mod short;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::gate::{Again, Gate, Parts};
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::error::CarriesRejection;

type Bulkhead<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::Bulkhead;
type Retry<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::Retry;
type RateLimit<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::RateLimit;
type Breaker<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::CircuitBreaker;

type Watch<S, P, Req> = <P as Parts<Req, Response<S, Req>, Error<S, Req>>>::Timer;

type Response<S, Req> = <S as Service<Req>>::Response;
type Error<S, Req> = <S as Service<Req>>::Error;
type Answer<S, Req> = Result<Response<S, Req>, Error<S, Req>>;
type Seat<G, S, Req> = <G as Gate<Req, Response<S, Req>, Error<S, Req>>>::Seat;
type Course<R, S, Req> = <R as Again<Req, Response<S, Req>, Error<S, Req>>>::Course;

/// New -> Entering -> (Pacing -> Readying -> Calling -> Waiting)* -> Pausing? -> Done
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Never polled: nothing is asked for, and no time counted.
    New,
    /// Not let in yet.
    Entering,
    /// An attempt, not due yet.
    Pacing,
    /// It is due; the service below is not ready yet.
    Readying,
    /// The service below has the request.
    Calling,
    /// Before another attempt.
    Waiting,
    /// There is no other, and the caller is kept for a moment.
    Pausing,
    /// Nothing is held.
    Done,
}

/// A call of a service `S` through the parts `P`.
pub type ResponseFuture<S, P, Req> =
    CallFuture<<S as Service<Req>>::Future, HeldBy<S, P, Req>, Watch<S, P, Req>>;

/// What such a call has. All types that are looked up by a bound on the error are here, and none in what
/// they are the parameters of: see `inherent.rs`.
type HeldBy<S, P, Req> = Held<
    S,
    P,
    Req,
    Seat<Bulkhead<S, P, Req>, S, Req>,
    Course<Retry<S, P, Req>, S, Req>,
    Seat<RateLimit<S, P, Req>, S, Req>,
    Seat<Breaker<S, P, Req>, S, Req>,
>;

pin_project! {
    /// A call of a [`StackService`](super::StackService). Dropping it cancels the attempt or the wait,
    /// leaves every queue, and gives back what was not used.
    pub struct CallFuture<F, H, W>
    where
        H: Leave,
    {
        #[pin]
        attempt: Option<F>,
        held: H,
        #[pin]
        watch: W,
    }

    impl<F, H, W> PinnedDrop for CallFuture<F, H, W>
    where
        H: Leave,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // First: what the parts admitted is over before it is given back, also if it panics.
            let _leaves = Finally(|| this.held.leave());
            this.attempt.set(None);
        }
    }
}

/// What a call holds, all but the attempt: its handle on the parts, what each of them has taken, and what
/// another attempt would send. Nothing is to be seen of it.
pub struct Held<S, P, Req, B, R, L, C> {
    parts: Arc<P>,
    stage: Stage,
    /// A part rejected the attempt that is ending.
    rejected: bool,
    /// When the stage is over, if ever.
    due: Deadline,
    /// When the call is.
    deadline: Deadline,
    permit: B,
    course: R,
    token: L,
    circuit: C,
    /// The handle of the attempt under way. Replaced by a fresh one before each wait (R4).
    service: S,
    /// What the next attempt will send, if there may be one. In one place, since a request is large.
    request: Option<Req>,
}

/// Has something to give back when the call is over.
pub trait Leave {
    /// Gives back what is held, innermost first.
    fn leave(&mut self);
}

impl<S, P, Req> ResponseFuture<S, P, Req>
where
    S: Service<Req>,
    P: Parts<Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) fn new(service: S, parts: Arc<P>, request: Req) -> Self {
        let held = Held {
            parts,
            stage: Stage::New,
            rejected: false,
            due: Deadline::NEVER,
            deadline: Deadline::NEVER,
            permit: Default::default(),
            course: Default::default(),
            token: Default::default(),
            circuit: Default::default(),
            service,
            request: Some(request),
        };
        CallFuture { attempt: None, held, watch: Default::default() }
    }
}

impl<S, P, Req> Future for ResponseFuture<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: Parts<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let now = &mut Now::unread();
        if this.held.stage == Stage::New && this.held.begin(now) {
            match this.held.at_once(this.attempt.as_mut(), now, cx) {
                Some(Poll::Ready(answer)) => return Poll::Ready(answer),
                Some(Poll::Pending) => {
                    let answer = this.held.wait(this.attempt, this.watch, cx);
                    return answer.map_or(Poll::Pending, Poll::Ready);
                }
                None => {}
            }
        }
        this.held.go_on(this.attempt, this.watch, now, cx).map_or(Poll::Pending, Poll::Ready)
    }
}

impl<S, P, Req> Leave for HeldBy<S, P, Req>
where
    S: Service<Req>,
    P: Parts<Req, S::Response, S::Error>,
{
    #[inline(always)]
    fn leave(&mut self) {
        if self.stage != Stage::Done {
            self.give_up();
        }
    }
}

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req>,
    P: Parts<Req, S::Response, S::Error>,
{
    #[cold]
    fn give_up(&mut self) {
        let parts = self.parts.parts();
        // A part may drop, wake or name what is the user's, and so panic: all the others are left even so.
        // Dropped last first: the circuit breaker is innermost.
        let _request = Finally(|| self.request = None);
        let _course = Finally(|| parts.retry.leave(&mut self.course));
        let _permit = Finally(|| parts.bulkhead.leave(&mut self.permit));
        let _token = Finally(|| parts.rate_limit.leave(&mut self.token));
        let _circuit = Finally(|| parts.circuit_breaker.leave(&mut self.circuit));
        self.stage = Stage::Done;
    }

    /// The call is over, and no gate holds anything of it.
    #[inline(always)]
    fn close(&mut self) {
        self.parts.parts().retry.leave(&mut self.course);
        self.request = None;
        self.stage = Stage::Done;
    }
}

/// Runs a closure when it is dropped, at the end of its scope or by a panic in it.
struct Finally<F: FnMut()>(F);

impl<F: FnMut()> Drop for Finally<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

impl<S, P, Req, B, R, L, C> fmt::Debug for Held<S, P, Req, B, R, L, C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Held").field("stage", &self.stage).finish_non_exhaustive()
    }
}

impl<F, H: Leave + fmt::Debug, W> fmt::Debug for CallFuture<F, H, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("stack::ResponseFuture").field("held", &self.held).finish_non_exhaustive()
    }
}
