use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use tower_service::Service;

use super::guard::{Guard, Whose};
use super::handle::{CircuitBreaker, outcome};
use crate::error::CarriesRejection;
use crate::name::Name;
use crate::outcome::Classify;
use crate::select::Owner;

/// A selector's key says whose circuit it is.
struct Of<O>(O);

impl<O: Owner> Whose for Of<O> {
    fn name(&self) -> Option<Name> {
        self.0.name()
    }
}

/// A call of a service `S` that a circuit lets pass, or not.
pub type ResponseFuture<S, C, O, Req> = CallFuture<S, C, O, Req, <S as Service<Req>>::Future>;

// `F`, and not `S::Future`: see `inherent.rs`.
pin_project! {
    /// A call that a circuit lets pass, or not. Dropping it abandons the call.
    pub struct CallFuture<S, C, O, Req, F>
    where
        O: Owner,
    {
        // First, and so dropped first: a probe is over when its place is given back.
        #[pin]
        state: State<Req, F>,
        guard: Guard<Of<O>>,
        classifier: C,
        service: S,
    }
}

pin_project! {
    /// Readying -> Calling -> Done
    #[project = StateProj]
    enum State<Req, F> {
        /// The service below is not ready yet, and nothing is taken.
        Readying { request: Option<Req> },
        /// The service below has the request.
        Calling { #[pin] future: F },
        /// Nothing is held.
        Done,
    }
}

impl<S, C, O: Owner, Req, F> CallFuture<S, C, O, Req, F> {
    pub(super) fn new(
        service: S,
        classifier: C,
        breaker: CircuitBreaker,
        owner: O,
        request: Req,
    ) -> Self {
        let state = State::Readying { request: Some(request) };
        CallFuture { state, guard: Guard::new(breaker, Of(owner), None), classifier, service }
    }
}

impl<S, C, O, Req, F> Future for CallFuture<S, C, O, Req, F>
where
    S: Service<Req, Future = F>,
    F: Future<Output = Result<S::Response, S::Error>>,
    S::Error: CarriesRejection,
    C: Classify<S::Response, S::Error>,
    O: Owner,
{
    type Output = Result<S::Response, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let result = match this.state.as_mut().project() {
                StateProj::Readying { request } => {
                    // An open circuit does not wait for a service that it will not call …
                    let readiness = match this.guard.check() {
                        Ok(()) => ready!(this.service.poll_ready(cx)),
                        Err(rejection) => {
                            this.state.set(State::Done);
                            return Poll::Ready(Err(rejection.into()));
                        }
                    };
                    // … and what passes is decided last, when nothing stands between it and the wire.
                    match (this.guard.admit(), readiness) {
                        (Err(rejection), _) => Err(rejection.into()),
                        // A service that cannot become ready failed as one that answers so.
                        (Ok(()), Err(error)) => Err(error),
                        (Ok(()), Ok(())) => {
                            let Some(request) = request.take() else { return Poll::Pending };
                            let future = this.service.call(request);
                            this.state.set(State::Calling { future });
                            continue;
                        }
                    }
                }
                StateProj::Calling { future } => ready!(future.poll(cx)),
                // Polled after it was ready, which a future's contract leaves open: stay silent.
                StateProj::Done => return Poll::Pending,
            };
            // What the call held is free when the answer is, not when this is dropped (T7).
            this.state.set(State::Done);
            this.guard.settle(outcome(this.classifier, result.as_ref()));
            return Poll::Ready(result);
        }
    }
}

impl<S, C, O: Owner, Req, F> fmt::Debug for CallFuture<S, C, O, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("breaker::ResponseFuture").finish_non_exhaustive()
    }
}
