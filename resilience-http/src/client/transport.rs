//! One attempt: a slot, the request, and the hints in the head of its response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use resilience_core::{CarriesRejection, Error, Rejection};
use tower_service::Service;

use super::request::{HttpRequest, RequestWithIdempotency};
use super::response::{HttpResponse, TransportResponse};
use super::scope::{Scope, within};
use super::site::Site;
use super::slots::{Slot, Take, Use};
use crate::classify::{BoxError, TransportError};
use crate::hints;
use crate::propagate::Hearer;

/// The service below all policies. Takes a slot for each attempt, and finds where a failed one broke.
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

    /// Always ready: a slot is the request's, and the service is readied when there is one.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Takes nothing before the first poll.
    fn call(&mut self, call: RequestWithIdempotency<R>) -> Self::Future {
        let slots = &self.site.slots;
        let step = Step::Waiting { take: slots.take() };
        let scope = Some(Scope::new(slots.returns.clone()));
        let (inner, site, request) = (self.inner.clone(), self.site.clone(), Some(call));
        Attempt { inner, site, request, slot: None, step, scope, hearer: Hearer::default() }
    }
}

pin_project! {
    /// An attempt of a request `R`.
    pub struct Attempt<S, R, F> {
        inner: S,
        site: Site,
        request: Option<RequestWithIdempotency<R>>,
        slot: Option<Slot>,
        #[pin]
        step: Step<F>,
        // Until there is a response.
        scope: Option<Scope>,
        hearer: Hearer,
    }
}

/// Returns the rejection in an error of the service below, if the request was not sent: a connector of ours
/// without room, for example. It is a rejection of this call, and no failure of the server.
fn unsent(error: &BoxError) -> Option<Rejection> {
    error.rejection().filter(|rejection| !rejection.may_have_run()).cloned()
}

impl Site {
    /// Adds the headers for the server to the request.
    fn tell(&self, request: &mut impl HttpRequest) -> Hearer {
        let Some(propagate) = self.propagate else { return Hearer::default() };
        propagate.begin(request.headers_mut())
    }

    /// Pauses the limiter of the authority by the hints of a response, unless the limiter reads them itself.
    fn pause(&self, response: &impl HttpResponse) {
        let (status, headers) = (response.status(), response.headers());
        let Some(pause) = hints::pause_after(status, headers) else { return };
        if !self.settings.classifier.throttles(status, headers) {
            self.profile.follow_hint(pause);
        }
    }
}

pin_project! {
    #[project = StepProj]
    enum Step<F> {
        Waiting { #[pin] take: Take },
        Readying,
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
                StepProj::Waiting { take } => match ready!(take.poll(cx)) {
                    Ok(slot) => {
                        *this.slot = Some(slot);
                        this.step.set(Step::Readying);
                    }
                    Err(refused) => {
                        this.step.set(Step::Done);
                        return Poll::Ready(Err(refused.into()));
                    }
                },
                StepProj::Readying => {
                    let ready = ready!(this.inner.poll_ready(cx));
                    let Some(call) = this.request.take() else { return Poll::Pending };
                    match ready {
                        Ok(()) => {
                            if let Some(slot) = this.slot {
                                slot.set(Use::Busy);
                            }
                            let mut request = call.into_request();
                            *this.hearer = this.site.tell(&mut request);
                            let future = within(this.scope, || this.inner.call(request));
                            this.step.set(Step::Calling { future });
                        }
                        Err(error) => {
                            this.step.set(Step::Done);
                            *this.slot = None;
                            return Poll::Ready(Err(Error::Service(TransportError::new(error))));
                        }
                    }
                }
                StepProj::Calling { future } => {
                    let result = ready!(within(this.scope, || future.poll(cx)));
                    this.step.set(Step::Done);
                    *this.scope = None;
                    let slot = this.slot.take();
                    return Poll::Ready(match (result, slot) {
                        (Ok(response), Some(slot)) => {
                            this.site.pause(&response);
                            this.hearer.hear(response.headers());
                            Ok(TransportResponse::new(response, slot))
                        }
                        (Err(error), slot) => {
                            let error = error.into();
                            if let Some(rejection) = unsent(&error) {
                                if let Some(mut slot) = slot {
                                    slot.set(Use::Unused);
                                }
                                return Poll::Ready(Err(rejection.into()));
                            }
                            let error = TransportError::new(error);
                            if let (true, Some(mut slot)) =
                                (error.failure().had_no_connection(), slot)
                            {
                                slot.set(Use::Unused);
                            }
                            Err(Error::Service(error))
                        }
                        (Ok(_), None) => return Poll::Pending,
                    });
                }
                // Polled after it was ready, which a future's contract leaves open: stay silent.
                StepProj::Done => return Poll::Pending,
            }
        }
    }
}
