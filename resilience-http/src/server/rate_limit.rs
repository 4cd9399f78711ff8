//! A rate limit that reports its state to callers.

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
use super::rejection_format::{Protocol, RejectionFormat};
use super::response_body::ResponseBody;

/// A rate limit for requests that adds `RateLimit` and `RateLimit-Policy`
/// (draft-ietf-httpapi-ratelimit-headers) to all responses, its own rejections (429) included.
///
/// A request over the limit is rejected at once, also if its limiter has a queue. A request takes
/// its token at the first poll of the call. The token is refunded only if an inner layer rejects
/// the request; a cancelled request has used its token. Services made by one layer value, and by
/// its clones, share the limiters. The fields are left out with [`RejectionFormat::anonymous`] and
/// for gRPC, which has no such fields.
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
    /// Creates a layer that uses the limiter that `select` returns. `name` is the policy name in
    /// the fields.
    pub fn new(name: impl Into<Name>, select: Sel) -> HttpRateLimitLayer<Sel> {
        let settings = Settings { name: name.into(), rejections: RejectionFormat::new() };
        HttpRateLimitLayer { select, settings }
    }

    /// Sets the format of the responses to requests over the limit.
    #[must_use]
    pub fn rejections(mut self, rejections: RejectionFormat) -> HttpRateLimitLayer<Sel> {
        self.settings.rejections = rejections;
        self
    }

    /// Returns the selector: with one limiter for each key, their store.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.select
    }
}

impl<S, Sel: Clone> Layer<S> for HttpRateLimitLayer<Sel> {
    type Service = HttpRateLimit<S, Sel>;

    fn layer(&self, inner: S) -> HttpRateLimit<S, Sel> {
        HttpRateLimit { inner, layer: self.clone() }
    }
}

/// A service with a rate limit. Made by [`HttpRateLimitLayer`].
///
/// The service is always ready. Each call clones the inner service and waits for that clone.
#[derive(Debug, Clone)]
pub struct HttpRateLimit<S, Sel = One<RateLimiter>> {
    inner: S,
    layer: HttpRateLimitLayer<Sel>,
}

impl<S, Sel> HttpRateLimit<S, Sel> {
    /// Returns the inner service.
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
            state: State::Start,
            token: None,
            service: Some(self.inner.clone()),
            layer: self.layer.clone(),
            selected: Sel::Selected::default(),
            protocol: Protocol::of(&request),
            request: Some(request),
        }
    }
}

pin_project! {
    /// A call that takes a token. Dropping the future drops the inner call and keeps the token
    /// spent.
    pub struct HttpRateLimitFuture<S, Sel, L, Req, F> {
        #[pin]
        state: State<F>,
        // Spent when it is dropped.
        token: Option<RatePermit>,
        // `None` after the call, because a service may hold a connection.
        service: Option<S>,
        layer: HttpRateLimitLayer<Sel>,
        selected: L,
        protocol: Protocol,
        request: Option<Req>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<F> {
        Start,
        Readying,
        Calling { #[pin] future: F },
        /// The inner future is dropped.
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
        // A future that is polled after completion stays pending.
        let Some(service) = this.service.as_mut() else { return Poll::Pending };
        let result = loop {
            match this.state.as_mut().project() {
                StateProj::Start => {
                    let Some(request) = &this.request else { return Poll::Pending };
                    this.layer.select.select(this.selected, request, &mut Now::unread());
                    let key = || this.layer.select.whose(this.selected);
                    let limiter = this.layer.select.handle(this.selected);
                    match limiter.map(|limiter| limiter.try_acquire_for(1, key)) {
                        Some(Err(rejection)) => {
                            break Ok(this.layer.reject(this.selected, *this.protocol, &rejection));
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
                        this.layer.add_fields(this.selected, *this.protocol, &mut response);
                        response
                    });
                }
                StateProj::Done => return Poll::Pending,
            }
        };
        // Released here and not on drop: a caller may keep a completed future.
        this.state.set(State::Done);
        *this.token = None;
        *this.service = None;
        *this.request = None;
        Poll::Ready(result)
    }
}

impl<Sel> HttpRateLimitLayer<Sel> {
    /// Returns the response to a request over the limit.
    fn reject<Req, RB>(
        &self,
        selected: &Sel::Selected,
        protocol: Protocol,
        rejection: &Rejection,
    ) -> Response<ResponseBody<RB>>
    where
        Sel: Select<Req, Handle = RateLimiter>,
    {
        let mut response = self.settings.rejections.respond_to(protocol, rejection);
        if let Some(limiter) = self.reported_limiter(selected, protocol) {
            fields::add_policy(
                response.headers_mut(),
                self.settings.name.as_str(),
                &limiter.snapshot().quota,
            );
        }
        response
    }

    /// Adds the fields of the limit to a response of the inner service.
    fn add_fields<Req, RB>(
        &self,
        selected: &Sel::Selected,
        protocol: Protocol,
        response: &mut Response<RB>,
    ) where
        Sel: Select<Req, Handle = RateLimiter>,
    {
        if let Some(limiter) = self.reported_limiter(selected, protocol) {
            let name = self.settings.name.as_str();
            fields::add_remaining(response.headers_mut(), name, &limiter.snapshot());
        }
    }

    /// Returns the limiter if its state may be reported to the caller.
    fn reported_limiter<'s, Req>(
        &'s self,
        selected: &'s Sel::Selected,
        protocol: Protocol,
    ) -> Option<&'s RateLimiter>
    where
        Sel: Select<Req, Handle = RateLimiter>,
    {
        let is_hidden = protocol.grpc || self.settings.rejections.is_anonymous();
        self.select.handle(selected).filter(|_| !is_hidden)
    }
}

impl<S, Sel, L, Req, F> fmt::Debug for HttpRateLimitFuture<S, Sel, L, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpRateLimitFuture").finish_non_exhaustive()
    }
}
