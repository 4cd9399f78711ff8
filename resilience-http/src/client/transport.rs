//! One attempt: a connection permit, the request, and the hints in the head of the response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use resilience_core::{CarriesRejection, Error, Rejection};
use tower_service::Service;

use super::call_scope::{CallScope, within};
use super::connection_permit::{AcquireConnection, ConnectionPermit, ConnectionUse};
use super::request::{HttpRequest, RequestWithIdempotency};
use super::response::{HttpResponse, TransportResponse};
use super::site::Site;
use crate::classify::{BoxError, TransportError};
use crate::hints;
use crate::propagate::ResponseContext;

/// The service below all policies. Takes a connection permit for each attempt, and finds out at
/// which step a failed attempt broke.
#[derive(Debug, Clone)]
pub struct Transport<S> {
    inner: S,
    site: Site,
}

impl<S> Transport<S> {
    pub(super) const fn new(inner: S, site: Site) -> Transport<S> {
        Transport { inner, site }
    }
}

impl<S, R> Service<RequestWithIdempotency<R>> for Transport<S>
where
    S: Service<R> + Clone,
    S::Response: HttpResponse,
    S::Error: Into<BoxError>,
    R: HttpRequest,
{
    type Response = TransportResponse<S::Response>;
    type Error = Error<TransportError>;
    type Future = Attempt<S, R, S::Future>;

    /// Always ready: the permit is taken for the request, and the service below is readied after
    /// that.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Takes no permit before the first poll.
    fn call(&mut self, call: RequestWithIdempotency<R>) -> Self::Future {
        let permits = &self.site.permits;
        Attempt {
            inner: self.inner.clone(),
            site: self.site.clone(),
            request: Some(call),
            permit: None,
            step: Step::Waiting { acquire: permits.acquire() },
            scope: Some(CallScope::new(permits.connections.clone())),
            context: ResponseContext::default(),
        }
    }
}

pin_project! {
    /// An attempt to send a request `R`. Dropping it closes the connection that it uses.
    pub struct Attempt<S, R, F> {
        inner: S,
        site: Site,
        request: Option<RequestWithIdempotency<R>>,
        permit: Option<ConnectionPermit>,
        #[pin]
        step: Step<F>,
        // `None` from the response on: a connect that is still under way is then given up.
        scope: Option<CallScope>,
        context: ResponseContext,
    }
}

/// Returns the rejection in an error of the service below, if the request was not sent, for example
/// because a [`BoundedConnector`](super::BoundedConnector) had no permit. Such an error is a
/// rejection of this call, and not a failure of the server.
fn unsent(error: &BoxError) -> Option<Rejection> {
    error.rejection().filter(|rejection| !rejection.may_have_run()).cloned()
}

/// Converts an error of the service below, and releases the permit.
fn failed(error: BoxError, permit: Option<ConnectionPermit>) -> Error<TransportError> {
    let error = match unsent(&error) {
        Some(rejection) => Error::from(rejection),
        None => Error::Service(TransportError::new(error)),
    };
    let had_no_connection = match &error {
        Error::Service(error) => error.failure().had_no_connection(),
        Error::Rejected(_) => true,
    };
    // There is no connection to close, and `InUse`, set before the call, would count one as closed.
    if had_no_connection && let Some(mut permit) = permit {
        permit.set_use(ConnectionUse::Unused);
    }
    error
}

impl Site {
    /// Adds the headers for the server to the request.
    fn inject_context(&self, request: &mut impl HttpRequest) -> ResponseContext {
        let Some(propagate) = self.propagate else { return ResponseContext::default() };
        propagate.begin(request.headers_mut())
    }

    /// Pauses the limiter of the authority after a response with hints, unless the limiter reads
    /// them itself.
    fn pause(&self, response: &impl HttpResponse) {
        let status = response.status();
        let headers = response.headers();
        let Some(pause) = hints::pause_after(status, headers) else { return };
        if !self.settings.classifier.throttles(status, headers) {
            self.profile.follow_hint(pause);
        }
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F> {
        Waiting { #[pin] acquire: AcquireConnection },
        PollingReady,
        Calling { #[pin] future: F },
        Done,
    }
}

impl<S, R, F> Future for Attempt<S, R, F>
where
    S: Service<R, Future = F>,
    S::Response: HttpResponse,
    S::Error: Into<BoxError>,
    F: Future<Output = Result<S::Response, S::Error>>,
    R: HttpRequest,
{
    type Output = Result<TransportResponse<S::Response>, Error<TransportError>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            match this.step.as_mut().project() {
                StepProj::Waiting { acquire } => match ready!(acquire.poll(cx)) {
                    Ok(permit) => {
                        *this.permit = Some(permit);
                        this.step.set(Step::PollingReady);
                    }
                    Err(rejection) => {
                        this.step.set(Step::Done);
                        return Poll::Ready(Err(rejection.into()));
                    }
                },
                StepProj::PollingReady => {
                    let ready = ready!(this.inner.poll_ready(cx));
                    let Some(call) = this.request.take() else { return Poll::Pending };
                    match ready {
                        Ok(()) => {
                            // From here on a cancelled attempt leaves a connection in an unknown
                            // state, so dropping the permit must count the connection as closed.
                            if let Some(permit) = this.permit {
                                permit.set_use(ConnectionUse::InUse);
                            }
                            let mut request = call.into_request();
                            *this.context = this.site.inject_context(&mut request);
                            let future = within(this.scope, || this.inner.call(request));
                            this.step.set(Step::Calling { future });
                        }
                        Err(error) => {
                            this.step.set(Step::Done);
                            *this.permit = None;
                            return Poll::Ready(Err(Error::Service(TransportError::new(error))));
                        }
                    }
                }
                StepProj::Calling { future } => {
                    let result = ready!(within(this.scope, || future.poll(cx)));
                    this.step.set(Step::Done);
                    *this.scope = None;
                    let permit = this.permit.take();
                    return Poll::Ready(match (result, permit) {
                        (Ok(response), Some(permit)) => {
                            this.site.pause(&response);
                            this.context.read(response.headers());
                            Ok(TransportResponse::new(response, permit))
                        }
                        (Err(error), permit) => Err(failed(error.into(), permit)),
                        (Ok(_), None) => return Poll::Pending,
                    });
                }
                // Polled after completion, which the contract of `Future` leaves open: never ready.
                StepProj::Done => return Poll::Pending,
            }
        }
    }
}
