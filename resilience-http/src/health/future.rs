//! The future of a request, probe or not.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::response::ProbeResponse;
use crate::server::ResponseBody;

/// Boxed: it is rare, and every other request would be as large.
type Asking = Pin<Box<dyn Future<Output = ProbeResponse> + Send>>;

// `F`, and not `S::Future`: a task that holds this across an await could not tell that it is `Send`.
pin_project! {
    /// The future of [`HealthService`](super::HealthService). Dropped, it leaves checks that are under
    /// way to those who wait for them too, and drops a request that was passed on.
    #[must_use = "futures do nothing unless polled"]
    pub struct HealthFuture<S, Req, F> {
        #[pin]
        state: State<S, Req, F>,
    }
}

pin_project! {
    /// Readying -> Calling -> Done, Responding -> Done, Asking -> Done
    #[project = StateProj]
    enum State<S, Req, F> {
        /// Not a probe; the service is not ready yet.
        Readying { service: S, request: Option<Req> },
        /// The service has the request.
        Calling { #[pin] future: F },
        /// A probe whose response does not depend on anything.
        Responding { response: Option<ProbeResponse> },
        /// A probe that waits for checks.
        Asking { asking: Asking },
        /// Nothing is held.
        Done,
    }
}

impl<S, Req, F> HealthFuture<S, Req, F> {
    pub(super) fn pass(service: S, request: Req) -> Self {
        HealthFuture { state: State::Readying { service, request: Some(request) } }
    }

    pub(super) fn answered(response: ProbeResponse) -> Self {
        HealthFuture { state: State::Responding { response: Some(response) } }
    }

    pub(super) fn asking(asking: impl Future<Output = ProbeResponse> + Send + 'static) -> Self {
        HealthFuture { state: State::Asking { asking: Box::pin(asking) } }
    }
}

impl<S, Req, F, B> Future for HealthFuture<S, Req, F>
where
    S: Service<Req, Response = Response<B>, Future = F>,
    F: Future<Output = Result<Response<B>, S::Error>>,
{
    type Output = Result<Response<ResponseBody<B>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut state = self.project().state;
        loop {
            let result = match state.as_mut().project() {
                StateProj::Readying { service, request } => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        let Some(request) = request.take() else { return Poll::Pending };
                        let future = service.call(request);
                        state.set(State::Calling { future });
                        continue;
                    }
                    Err(error) => Err(error),
                },
                StateProj::Calling { future } => {
                    ready!(future.poll(cx)).map(|response| response.map(ResponseBody::handler))
                }
                StateProj::Responding { response } => match response.take() {
                    Some(response) => Ok(response.map(ResponseBody::generated)),
                    None => return Poll::Pending,
                },
                StateProj::Asking { asking } => {
                    Ok(ready!(asking.as_mut().poll(cx)).map(ResponseBody::generated))
                }
                // Polled after it was ready, which a future's contract leaves open: stay silent.
                StateProj::Done => return Poll::Pending,
            };
            // What the call held is free when the response is, not when this is dropped.
            state.set(State::Done);
            return Poll::Ready(result);
        }
    }
}

impl<S, Req, F> fmt::Debug for HealthFuture<S, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HealthFuture").finish_non_exhaustive()
    }
}
