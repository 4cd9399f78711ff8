//! The future of a call: its state, and the release of all that it holds when it is dropped.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::part::{Part, RetryPart};
use super::parts::PartSet;
use crate::clock::Now;
use crate::deadline::Deadline;
use crate::error::CarriesRejection;

type Bulkhead<S, P, Req> = <P as PartSet<Req, Response<S, Req>, Error<S, Req>>>::Bulkhead;
type Retry<S, P, Req> = <P as PartSet<Req, Response<S, Req>, Error<S, Req>>>::Retry;
type RateLimit<S, P, Req> = <P as PartSet<Req, Response<S, Req>, Error<S, Req>>>::RateLimit;
type Breaker<S, P, Req> = <P as PartSet<Req, Response<S, Req>, Error<S, Req>>>::CircuitBreaker;

pub(super) type CallTimer<S, P, Req> = <P as PartSet<Req, Response<S, Req>, Error<S, Req>>>::Timer;

type Response<S, Req> = <S as Service<Req>>::Response;
type Error<S, Req> = <S as Service<Req>>::Error;
pub(super) type CallResult<S, Req> = Result<Response<S, Req>, Error<S, Req>>;
type State<P, S, Req> = <P as Part<Req, Response<S, Req>, Error<S, Req>>>::CallState;
type RetryState<R, S, Req> = <R as RetryPart<Req, Response<S, Req>, Error<S, Req>>>::CallState;

/// New -> Entering -> (Pacing -> Readying -> Calling -> Waiting)* -> Pausing? -> Done
#[derive(Debug, Clone, Copy)]
pub(super) enum Stage {
    /// Never polled.
    New,
    /// Waits for the bulkhead.
    Entering,
    /// Waits for the rate limit.
    Pacing,
    /// Waits for the service below to be ready.
    Readying,
    /// The service below has the request.
    Calling,
    /// Waits before another attempt.
    Waiting,
    /// Waits before it returns the result that is kept.
    Pausing,
    /// Holds nothing.
    Done,
}

/// A call of a service `S` through the parts `P`.
pub(crate) type ResponseFuture<S, P, Req> =
    CallFuture<<S as Service<Req>>::Future, HeldBy<S, P, Req>, CallTimer<S, P, Req>>;

// All types that are looked up by a bound on the error are parameters of `Held`: see `inherent.rs`.
pub(super) type HeldBy<S, P, Req> = Held<
    S,
    P,
    Req,
    State<Bulkhead<S, P, Req>, S, Req>,
    RetryState<Retry<S, P, Req>, S, Req>,
    State<RateLimit<S, P, Req>, S, Req>,
    State<Breaker<S, P, Req>, S, Req>,
>;

pin_project! {
    /// A call of a [`CallService`](super::CallService). Dropping it cancels the attempt or the
    /// wait, leaves every queue, and releases permits and unused tokens.
    pub struct CallFuture<F, H, W>
    where
        H: Leave,
    {
        #[pin]
        attempt: Option<F>,
        held: H,
        #[pin]
        timer: W,
    }

    impl<F, H, W> PinnedDrop for CallFuture<F, H, W>
    where
        H: Leave,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            // The attempt ends before its permits are released, also if its drop panics.
            let _leaves = Finally(|| this.held.leave());
            this.attempt.set(None);
        }
    }
}

/// The contents of a call beside the attempt.
#[doc(hidden)]
pub struct Held<S, P, Req, B, R, L, C> {
    pub(super) parts: Arc<P>,
    pub(super) stage: Stage,
    /// The end of the stage, if it has one.
    pub(super) due: Deadline,
    /// The end of the call, if it has one.
    pub(super) deadline: Deadline,
    pub(super) bulkhead: B,
    pub(super) retry: R,
    pub(super) rate_limit: L,
    pub(super) circuit_breaker: C,
    /// The service of the attempt under way. Replaced by a fresh clone before each wait.
    pub(super) service: S,
    /// The request of the next attempt, if there may be one. A call has room for one request, not
    /// two.
    pub(super) request: Option<Req>,
}

/// The state of a call that has to be released at its end.
pub trait Leave {
    /// Leaves all parts, the innermost first.
    fn leave(&mut self);
}

impl<S, P, Req> ResponseFuture<S, P, Req>
where
    S: Service<Req>,
    P: PartSet<Req, S::Response, S::Error>,
{
    #[inline]
    pub(crate) fn new(service: S, parts: Arc<P>, request: Req) -> Self {
        let held = Held {
            parts,
            stage: Stage::New,
            due: Deadline::NEVER,
            deadline: Deadline::NEVER,
            bulkhead: Default::default(),
            retry: Default::default(),
            rate_limit: Default::default(),
            circuit_breaker: Default::default(),
            service,
            request: Some(request),
        };
        CallFuture { attempt: None, held, timer: Default::default() }
    }
}

impl<S, P, Req> Future for ResponseFuture<S, P, Req>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: PartSet<Req, S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        // See docs/decisions/0012-futures-have-the-inner-future-as-a-parameter.md.
        let mut this = self.project();
        let mut now = Now::unread();
        if matches!(this.held.stage, Stage::New) && !this.held.begin(&mut now) {
            return Poll::Ready(this.held.too_late());
        }
        // The result first: one that is ready at the deadline counts.
        match this.held.advance(this.attempt.as_mut(), &mut now, cx) {
            Poll::Ready(result) => Poll::Ready(result),
            Poll::Pending => this.held.wait(this.attempt, this.timer, cx),
        }
    }
}

impl<S, P, Req> Leave for HeldBy<S, P, Req>
where
    S: Service<Req>,
    P: PartSet<Req, S::Response, S::Error>,
{
    #[inline]
    fn leave(&mut self) {
        if !matches!(self.stage, Stage::Done) {
            self.leave_all();
        }
    }
}

impl<S, P, Req> HeldBy<S, P, Req>
where
    S: Service<Req>,
    P: PartSet<Req, S::Response, S::Error>,
{
    #[cold]
    fn leave_all(&mut self) {
        let parts = self.parts.parts();
        // Guards, because a part may run the user's code, which may panic: all others are left even
        // so. They are dropped in reverse order, and the circuit breaker is innermost.
        let _request = Finally(|| self.request = None);
        let _retry = Finally(|| self.retry = Default::default());
        let _bulkhead = Finally(|| parts.bulkhead.leave(&mut self.bulkhead));
        let _rate_limit = Finally(|| parts.rate_limit.leave(&mut self.rate_limit));
        let _circuit = Finally(|| parts.circuit_breaker.leave(&mut self.circuit_breaker));
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
        f.debug_struct("CallFuture").field("held", &self.held).finish_non_exhaustive()
    }
}
