use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::Permit;
use crate::error::CarriesRejection;
use crate::rejection::Rejection;

/// A call of a service `S` that is admitted first.
pub type ResponseFuture<S, W, P, Req> = CallFuture<S, W, P, Req, <S as Service<Req>>::Future>;

// `F`, and not `S::Future`: see `inherent.rs`.
pin_project! {
    /// A call that is admitted first. Dropping it leaves the queue, or gives the permit back.
    #[doc(hidden)]
    pub struct CallFuture<S, W, P, Req, F> {
        // First, and so dropped first: the admitted call has ended when its permit is given back.
        #[pin]
        state: State<W, F>,
        permit: Option<P>,
        service: S,
        request: Option<Req>,
    }
}

pin_project! {
    /// Waiting -> Readying -> Calling -> Done
    #[project = StateProj]
    enum State<W, F> {
        /// Not admitted yet; the handle is not readied.
        Waiting { #[pin] waiting: W },
        /// Admitted; the service below is not ready yet.
        Readying,
        /// The service below has the request.
        Calling { #[pin] future: F },
        /// Nothing is held.
        Done,
    }
}

impl<S, W, P, Req, F> CallFuture<S, W, P, Req, F> {
    pub(super) fn new(service: S, waiting: W, request: Req) -> Self {
        let state = State::Waiting { waiting };
        CallFuture { state, permit: None, service, request: Some(request) }
    }
}

impl<S, W, P, Req, F> Future for CallFuture<S, W, P, Req, F>
where
    S: Service<Req, Future = F>,
    F: Future<Output = Result<S::Response, S::Error>>,
    S::Error: CarriesRejection,
    W: Future<Output = Result<P, Rejection>>,
    P: Permit<S::Response, S::Error>,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let error = match this.state.as_mut().project() {
                StateProj::Waiting { waiting } => match ready!(waiting.poll(cx)) {
                    Ok(permit) => {
                        *this.permit = Some(permit);
                        this.state.set(State::Readying);
                        continue;
                    }
                    Err(rejection) => rejection.into(),
                },
                StateProj::Readying => match ready!(this.service.poll_ready(cx)) {
                    Ok(()) => {
                        let Some(request) = this.request.take() else { return Poll::Pending };
                        if let Some(permit) = this.permit.as_mut() {
                            permit.sent();
                        }
                        let future = this.service.call(request);
                        this.state.set(State::Calling { future });
                        continue;
                    }
                    // Never sent: dropping the permit takes it back.
                    Err(error) => error,
                },
                StateProj::Calling { future } => {
                    let result = ready!(future.poll(cx));
                    // Dropped here, and not with this future: the call's resources are free when
                    // its result is there.
                    this.state.set(State::Done);
                    if let Some(permit) = this.permit.take() {
                        permit.settle(result.as_ref());
                    }
                    return Poll::Ready(result);
                }
                // Polled after completion, which a future's contract leaves open: stays pending.
                StateProj::Done => return Poll::Pending,
            };
            this.state.set(State::Done);
            *this.permit = None;
            *this.request = None;
            return Poll::Ready(Err(error));
        }
    }
}

impl<S, W, P, Req, F> fmt::Debug for CallFuture<S, W, P, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("admission::ResponseFuture").finish_non_exhaustive()
    }
}
