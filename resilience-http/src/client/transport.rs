//! One attempt: a slot, the request, and the body that keeps the slot.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::header::CONNECTION;
use http::{HeaderMap, Version};
use http_body::Body;
use pin_project_lite::pin_project;
use resilience_core::Error;
use tower_service::Service;

use super::body::HeldBody;
use super::request::Call;
use super::scope::Scope;
use super::slots::{Slot, Slots, Take, Use};
use crate::classify::{BoxError, TransportError, TransportFailure};

/// An answer whose body can hold a slot.
pub trait HttpResponse {
    /// The same answer, holding it.
    type Held;

    /// Gives the body the slot.
    fn hold(self, slot: Slot) -> Self::Held;
}

impl<B: Body> HttpResponse for http::Response<B> {
    type Held = http::Response<HeldBody<B>>;

    fn hold(self, slot: Slot) -> Self::Held {
        let kept = keeps_open(self.version(), self.headers());
        self.map(|body| HeldBody::new(body, slot, kept))
    }
}

#[cfg(feature = "reqwest")]
impl HttpResponse for reqwest::Response {
    type Held = reqwest::Response;

    /// Nothing of the answer is lost, its address included.
    fn hold(self, slot: Slot) -> reqwest::Response {
        use reqwest::ResponseBuilderExt as _;
        let url = self.url().clone();
        let kept = keeps_open(self.version(), self.headers());
        let answer = http::Response::<reqwest::Body>::from(self);
        let held = answer.map(|body| reqwest::Body::wrap(HeldBody::new(body, slot, kept)));
        match http::Response::builder().url(url).body(()) {
            Ok(with_url) => {
                let (mut parts, body) = held.into_parts();
                parts.extensions.extend(with_url.into_parts().0.extensions);
                http::Response::from_parts(parts, body).into()
            }
            // Not reached: nothing in it can be wrong.
            Err(_) => held.into(),
        }
    }
}

/// Whether the connection outlives the answer (RFC 9112 §9.3).
fn keeps_open(version: Version, headers: &HeaderMap) -> bool {
    let mut options = headers.get_all(CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let mut says = |option: &str| {
        options.any(|value| value.split(',').any(|it| it.trim().eq_ignore_ascii_case(option)))
    };
    let is_old = version <= Version::HTTP_10;
    if is_old { says("keep-alive") } else { !says("close") }
}

/// Whether a request failed before there was a connection for it.
fn had_no_connection(error: &TransportError) -> bool {
    matches!(error.failure(), TransportFailure::Builder | TransportFailure::Connect)
}

/// The service below all policies: takes a slot for each attempt, and says where one broke.
#[derive(Debug, Clone)]
pub struct Transport<S> {
    inner: S,
    slots: Slots,
}

impl<S> Transport<S> {
    pub(super) const fn new(inner: S, slots: Slots) -> Transport<S> {
        Transport { inner, slots }
    }
}

impl<S, R> Service<Call<R>> for Transport<S>
where
    S: Service<R> + Clone,
    S::Response: HttpResponse,
    S::Error: Into<BoxError>,
{
    type Response = <S::Response as HttpResponse>::Held;
    type Error = Error<TransportError>;
    type Future = Attempt<S, R, S::Future>;

    /// Always ready: a slot is the request's, and the service is readied when there is one.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Asks for nothing before the first poll.
    fn call(&mut self, call: Call<R>) -> Self::Future {
        let step = Step::Waiting { take: self.slots.take() };
        let scope = Some(Scope::new(self.slots.returns.clone()));
        let (inner, request) = (self.inner.clone(), Some(call.request));
        Attempt { inner, request, slot: None, step, scope }
    }
}

pin_project! {
    /// An attempt of a request `R`.
    pub struct Attempt<S, R, F> {
        inner: S,
        request: Option<R>,
        slot: Option<Slot>,
        #[pin]
        step: Step<F>,
        // Until there is an answer.
        scope: Option<Scope>,
    }
}

/// What is begun in `body` is begun for this call.
fn within<T>(scope: &Option<Scope>, body: impl FnOnce() -> T) -> T {
    match scope {
        Some(scope) => scope.enter(body),
        None => body(),
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
{
    type Output = Result<<S::Response as HttpResponse>::Held, Error<TransportError>>;

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
                    let Some(request) = this.request.take() else { return Poll::Pending };
                    match ready {
                        Ok(()) => {
                            if let Some(slot) = this.slot {
                                slot.set(Use::Busy);
                            }
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
                        (Ok(answer), Some(slot)) => Ok(answer.hold(slot)),
                        (Err(error), slot) => {
                            let error = TransportError::new(error);
                            if let (true, Some(mut slot)) = (had_no_connection(&error), slot) {
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
