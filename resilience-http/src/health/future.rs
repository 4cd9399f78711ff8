//! The future of [`HealthService`](super::HealthService).

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::Response;
use pin_project_lite::pin_project;
use tower_service::Service;

use super::response::ProbeResponse;
use crate::server::ResponseBody;

/// Boxed: probes are rare, and without the box the future of every other request would be larger.
type PendingResponse = Pin<Box<dyn Future<Output = ProbeResponse> + Send>>;

// `F` instead of `S::Future`: with the projection the compiler cannot prove that a task which holds
// the future across an await is `Send`.
pin_project! {
    /// The future of [`HealthService`](super::HealthService). Dropping it cancels a request that
    /// was passed on. Checks that were started keep running for other probes that wait for them.
    #[must_use = "futures do nothing unless polled"]
    pub struct HealthFuture<S, Req, F> {
        #[pin]
        state: State<S, Req, F>,
    }
}

pin_project! {
    /// `PollingReady` → `Calling` → `Done`, `Responding` → `Done`, `RunningChecks` → `Done`.
    #[project = StateProj]
    enum State<S, Req, F> {
        /// Not a probe. The inner service is not ready yet.
        PollingReady { service: S, request: Option<Req> },
        /// The inner service processes the request.
        Calling { #[pin] future: F },
        /// A probe with a response that is known at once.
        Responding { response: Option<ProbeResponse> },
        /// A probe that waits for checks.
        RunningChecks { response: PendingResponse },
        /// The response was returned.
        Done,
    }
}

impl<S, Req, F> HealthFuture<S, Req, F> {
    pub(super) fn pass(service: S, request: Req) -> Self {
        HealthFuture { state: State::PollingReady { service, request: Some(request) } }
    }

    pub(super) fn respond(response: ProbeResponse) -> Self {
        HealthFuture { state: State::Responding { response: Some(response) } }
    }

    pub(super) fn run_checks(
        response: impl Future<Output = ProbeResponse> + Send + 'static,
    ) -> Self {
        HealthFuture { state: State::RunningChecks { response: Box::pin(response) } }
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
                StateProj::PollingReady { service, request } => {
                    match ready!(service.poll_ready(cx)) {
                        Ok(()) => {
                            let Some(request) = request.take() else { return Poll::Pending };
                            let future = service.call(request);
                            state.set(State::Calling { future });
                            continue;
                        }
                        Err(error) => Err(error),
                    }
                }
                StateProj::Calling { future } => {
                    ready!(future.poll(cx)).map(|response| response.map(ResponseBody::handler))
                }
                StateProj::Responding { response } => match response.take() {
                    Some(response) => Ok(response.map(ResponseBody::generated)),
                    None => return Poll::Pending,
                },
                StateProj::RunningChecks { response } => {
                    Ok(ready!(response.as_mut().poll(cx)).map(ResponseBody::generated))
                }
                // Polled after completion, which the contract of `Future` leaves open: never ready
                // again.
                StateProj::Done => return Poll::Pending,
            };
            // Drops the inner future now, and not when this future is dropped.
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
