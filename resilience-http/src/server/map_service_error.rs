//! A service whose errors can carry rejections.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use pin_project_lite::pin_project;
use resilience_core::Error;
use tower_service::Service;

/// A service whose errors are wrapped in [`Error::Service`], so that layers can add rejections. The
/// routes of a router, whose error is `Infallible`, need this too.
#[derive(Debug, Clone)]
pub struct MapServiceError<S>(S);

impl<S> MapServiceError<S> {
    /// Creates a service that wraps the errors of `inner`.
    pub const fn new(inner: S) -> MapServiceError<S> {
        MapServiceError(inner)
    }

    /// Returns the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.0
    }
}

impl<S: Service<Req>, Req> Service<Req> for MapServiceError<S> {
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = MapServiceErrorFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(cx).map_err(Error::Service)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        MapServiceErrorFuture { future: Some(self.0.call(request)) }
    }
}

pin_project! {
    /// A call of a [`MapServiceError`]. Dropping the future drops the inner call.
    #[derive(Debug)]
    pub struct MapServiceErrorFuture<F> {
        // `None` after completion: a caller may keep a completed future, and the inner one is
        // released.
        #[pin]
        future: Option<F>,
    }
}

impl<F: Future<Output = Result<T, E>>, T, E> Future for MapServiceErrorFuture<F> {
    type Output = Result<T, Error<E>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(future) = this.future.as_mut().as_pin_mut() else { return Poll::Pending };
        let result = ready!(future.poll(cx));
        this.future.set(None);
        Poll::Ready(result.map_err(Error::Service))
    }
}
