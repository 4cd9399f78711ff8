use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::Response;
use pin_project_lite::pin_project;
use resilience_core::clock::Now;
use resilience_core::rate::RateLimiter;
use resilience_core::select::{One, Select};
use tower_layer::Layer;
use tower_service::Service;

use super::{LONGEST_PAUSE, pause_after};

/// Pauses a [`RateLimiter`] after a response that reports an exhausted rate limit, whatever its
/// status, or that requests fewer calls: see [Effect by status](super#effect-by-status).
///
/// One response pauses all calls of the limiter for up to [`longest`](Self::longest).
///
/// Place the layer below the limiter, around the transport. All services made by one layer value,
/// and by its clones, pause the same limiters. The layer forwards readiness. Dropping a call before
/// its response leaves the limiter unchanged.
#[derive(Debug, Clone)]
pub struct HintLayer<Sel = One<RateLimiter>> {
    select: Sel,
    longest: Duration,
}

impl HintLayer {
    /// Creates a layer that pauses this limiter.
    #[must_use]
    pub const fn new(limiter: RateLimiter) -> HintLayer {
        HintLayer::select(One::new(limiter))
    }
}

impl<Sel> HintLayer<Sel> {
    /// Creates a layer that pauses the limiter which `select` returns for the request: with
    /// [`PerKey`](resilience_core::select::PerKey), the limiter of its host.
    #[must_use]
    pub const fn select(select: Sel) -> HintLayer<Sel> {
        HintLayer { select, longest: LONGEST_PAUSE }
    }

    /// Bounds each pause; five minutes by default. A longer hint pauses the limiter for this
    /// duration.
    #[must_use]
    pub const fn longest(mut self, longest: Duration) -> HintLayer<Sel> {
        self.longest = longest;
        self
    }
}

impl<S, Sel: Clone> Layer<S> for HintLayer<Sel> {
    type Service = HintService<S, Sel>;

    fn layer(&self, inner: S) -> HintService<S, Sel> {
        HintService { inner, layer: self.clone() }
    }
}

/// A service that pauses a limiter after some responses. Made by [`HintLayer`].
#[derive(Debug, Clone)]
pub struct HintService<S, Sel = One<RateLimiter>> {
    inner: S,
    layer: HintLayer<Sel>,
}

impl<S, Sel, Req, B, F> Service<Req> for HintService<S, Sel>
where
    S: Service<Req, Response = Response<B>, Future = F>,
    F: Future<Output = Result<Response<B>, S::Error>>,
    Sel: Select<Req, Handle = RateLimiter>,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = HintFuture<F>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> HintFuture<F> {
        let mut selected = Sel::Selected::default();
        self.layer.select.select(&mut selected, &request, &mut Now::unread());
        let limiter = self.layer.select.handle(&selected).cloned();
        HintFuture { inner: self.inner.call(request), limiter, longest: self.layer.longest }
    }
}

pin_project! {
    /// A call that may pause a limiter with its response. Dropping it drops the call.
    pub struct HintFuture<F> {
        #[pin]
        inner: F,
        limiter: Option<RateLimiter>,
        longest: Duration,
    }
}

impl<F, B, E> Future for HintFuture<F>
where
    F: Future<Output = Result<Response<B>, E>>,
{
    type Output = Result<Response<B>, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let result = ready!(this.inner.poll(cx));
        if let Some(limiter) = this.limiter.take()
            && let Ok(response) = &result
            && let Some(pause) = pause_after(response.status(), response.headers())
        {
            limiter.pause_for(pause.min(*this.longest));
        }
        Poll::Ready(result)
    }
}

impl<F> fmt::Debug for HintFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HintFuture").finish_non_exhaustive()
    }
}
