//! So many requests in how long, and callers are told how many are left.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use pin_project_lite::pin_project;
use resilience_core::clock::Now;
use resilience_core::rate::{RateLimiter, RatePermit};
use resilience_core::select::{One, Select};
use resilience_core::{CarriesRejection, Name, Rejection};
use tower_layer::Layer;
use tower_service::Service;

use super::fields;
use super::rejection_format::{Asked, RejectionFormat};
use super::response_body::ResponseBody;

/// Limits how many requests come in how long, and says so in `RateLimit` and `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers), on good answers as on its own rejections, 429.
///
/// A request over the limit is refused at once: whether its limiter would let it wait is not asked. Its token is
/// taken at the call's first poll, and given back only if it is refused further in: who hangs up has used it.
/// Services made by one layer value, and by its clones, share the limiters. [`RejectionFormat::anonymous`] keeps the
/// limits to itself; to gRPC, which has no such fields, nothing is told.
#[derive(Debug, Clone)]
pub struct HttpRateLimitLayer<Sel = One<RateLimiter>> {
    select: Sel,
    settings: Settings,
}

#[derive(Debug, Clone)]
struct Settings {
    name: Name,
    rejections: RejectionFormat,
}

impl<Sel> HttpRateLimitLayer<Sel> {
    /// By the limiter that `select` selects. Its fields call it `name`.
    pub fn new(name: impl Into<Name>, select: Sel) -> HttpRateLimitLayer<Sel> {
        let settings = Settings { name: name.into(), rejections: RejectionFormat::new() };
        HttpRateLimitLayer { select, settings }
    }

    /// How requests over the limit are answered.
    #[must_use]
    pub fn rejections(mut self, rejections: RejectionFormat) -> HttpRateLimitLayer<Sel> {
        self.settings.rejections = rejections;
        self
    }

    /// What selects the limiter: the store of them, where there is one for each key.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.select
    }
}

impl<S, Sel: Clone> Layer<S> for HttpRateLimitLayer<Sel> {
    type Service = HttpRateLimit<S, Sel>;

    fn layer(&self, inner: S) -> HttpRateLimit<S, Sel> {
        HttpRateLimit { inner, pace: self.clone() }
    }
}

/// A service that takes so many requests in how long. Made by [`HttpRateLimitLayer`].
///
/// It is always ready, and readies a handle of its own for each call.
#[derive(Debug, Clone)]
pub struct HttpRateLimit<S, Sel = One<RateLimiter>> {
    inner: S,
    pace: HttpRateLimitLayer<Sel>,
}

impl<S, Sel> HttpRateLimit<S, Sel> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

impl<S, Sel, B, RB, E, F> Service<Request<B>> for HttpRateLimit<S, Sel>
where
    S: Service<Request<B>, Response = Response<RB>, Error = E, Future = F> + Clone,
    F: Future<Output = Result<Response<RB>, E>>,
    E: CarriesRejection,
    Sel: Select<Request<B>, Handle = RateLimiter> + Clone,
{
    type Response = Response<ResponseBody<RB>>;
    type Error = E;
    type Future = HttpRateLimitFuture<S, Sel, Sel::Selected, Request<B>, F>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        HttpRateLimitFuture {
            state: State::Asking,
            token: None,
            service: Some(self.inner.clone()),
            pace: self.pace.clone(),
            selected: Sel::Selected::default(),
            asked: Asked::by(&request),
            request: Some(request),
        }
    }
}

pin_project! {
    /// A call that takes a token. Dropping it drops what is inside.
    pub struct HttpRateLimitFuture<S, Sel, L, Req, F> {
        #[pin]
        state: State<F>,
        // Dropped, it is spent.
        token: Option<RatePermit>,
        // Gone once the call is over: it may hold a connection.
        service: Option<S>,
        pace: HttpRateLimitLayer<Sel>,
        selected: L,
        asked: Asked,
        request: Option<Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Asking,
        Readying,
        Calling { #[pin] future: F },
        /// Nothing is held (R14).
        Done,
    }
}

impl<S, Sel, L, B, RB, E, F> Future for HttpRateLimitFuture<S, Sel, L, Request<B>, F>
where
    S: Service<Request<B>, Response = Response<RB>, Error = E, Future = F>,
    F: Future<Output = Result<Response<RB>, E>>,
    E: CarriesRejection,
    Sel: Select<Request<B>, Handle = RateLimiter, Selected = L>,
{
    type Output = Result<Response<ResponseBody<RB>>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        // Polled after it was ready: stay silent.
        let Some(service) = this.service.as_mut() else { return Poll::Pending };
        let result = loop {
            match this.state.as_mut().project() {
                StateProj::Asking => {
                    let Some(request) = &this.request else { return Poll::Pending };
                    this.pace.select.select(this.selected, request, &mut Now::unread());
                    let key = || this.pace.select.whose(this.selected);
                    let limiter = this.pace.select.handle(this.selected);
                    match limiter.map(|limiter| limiter.try_acquire_for(1, key)) {
                        Some(Err(rejection)) => {
                            break Ok(this.pace.refuse(this.selected, *this.asked, &rejection));
                        }
                        Some(Ok(permit)) => *this.token = Some(permit),
                        None => {}
                    }
                    this.state.set(State::Readying);
                }
                StateProj::Readying => match ready!(service.poll_ready(cx)) {
                    Ok(()) => {
                        let Some(request) = this.request.take() else { return Poll::Pending };
                        let future = service.call(request);
                        this.state.set(State::Calling { future });
                    }
                    Err(error) => break Err(error),
                },
                StateProj::Calling { future } => {
                    let result = ready!(future.poll(cx));
                    let rejection = result.as_ref().err().and_then(CarriesRejection::rejection);
                    if rejection.is_some_and(|rejection| !rejection.may_have_run())
                        && let Some(token) = this.token.take()
                    {
                        token.refund();
                    }
                    break result.map(|response| {
                        let mut response = response.map(ResponseBody::handler);
                        this.pace.tell(this.selected, *this.asked, &mut response);
                        response
                    });
                }
                StateProj::Done => return Poll::Pending,
            }
        };
        this.state.set(State::Done);
        (*this.token, *this.service, *this.request) = (None, None, None);
        Poll::Ready(result)
    }
}

impl<Sel> HttpRateLimitLayer<Sel> {
    fn refuse<Req, RB>(
        &self,
        selected: &Sel::Selected,
        asked: Asked,
        rejection: &Rejection,
    ) -> Response<ResponseBody<RB>>
    where
        Sel: Select<Req, Handle = RateLimiter>,
    {
        let mut response = self.settings.rejections.respond_to(asked, rejection);
        if let Some(limiter) = self.told(selected, asked) {
            fields::policy(
                response.headers_mut(),
                self.settings.name.as_str(),
                &limiter.snapshot().quota,
            );
        }
        response
    }

    fn tell<Req, RB>(&self, selected: &Sel::Selected, asked: Asked, response: &mut Response<RB>)
    where
        Sel: Select<Req, Handle = RateLimiter>,
    {
        if let Some(limiter) = self.told(selected, asked) {
            fields::left(response.headers_mut(), self.settings.name.as_str(), &limiter.snapshot());
        }
    }

    /// The limiter, if it is anything to be told of.
    fn told<'s, Req>(&'s self, selected: &'s Sel::Selected, asked: Asked) -> Option<&'s RateLimiter>
    where
        Sel: Select<Req, Handle = RateLimiter>,
    {
        let quiet = asked.grpc || self.settings.rejections.is_anonymous();
        self.select.handle(selected).filter(|_| !quiet)
    }
}

impl<S, Sel, L, Req, F> fmt::Debug for HttpRateLimitFuture<S, Sel, L, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRateLimitFuture").finish_non_exhaustive()
    }
}
