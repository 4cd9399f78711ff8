//! Layer that counts calls as work in flight, rejects late ones and cancels those that remain.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;
use tower_layer::Layer;
use tower_service::Service;

use super::run_future::RunFuture;
use super::token::ShutdownToken;
use super::work::Tracker;
use crate::error::CarriesRejection;
use crate::inherent::{Oneshot, inherent_service_methods};
use crate::name::Name;

/// Counts the calls of a service as work in flight. See the [module](super).
///
/// Belongs outermost. A call is counted, or rejected, at its first poll. The service is readied
/// inside of the call, so that the wait for readiness is counted and cancelled as well. Services of
/// one layer value, and of its clones, are counted together.
#[derive(Debug, Clone)]
pub struct ShutdownLayer {
    tracker: Tracker,
}

impl ShutdownLayer {
    /// Creates a layer that counts calls by this token, under the name `calls`.
    #[must_use]
    pub fn new(token: &ShutdownToken) -> ShutdownLayer {
        ShutdownLayer::named(token, Name::from_static("calls"))
    }

    /// Creates a layer that counts calls by this token, under this name.
    #[must_use]
    pub fn named(token: &ShutdownToken, name: impl Into<Name>) -> ShutdownLayer {
        ShutdownLayer { tracker: token.tracker(name) }
    }
}

impl<S> Layer<S> for ShutdownLayer {
    type Service = ShutdownService<S>;

    fn layer(&self, inner: S) -> ShutdownService<S> {
        ShutdownService { inner, tracker: self.tracker.clone() }
    }
}

/// A service with calls that a shutdown waits for, or cancels. Made by [`ShutdownLayer`].
#[derive(Debug, Clone)]
pub struct ShutdownService<S> {
    inner: S,
    tracker: Tracker,
}

impl<S> ShutdownService<S> {
    /// Returns the service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

inherent_service_methods!(ShutdownService<S>);

impl<S, Req> Service<Req> for ShutdownService<S>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ShutdownFuture<S, Req, S::Future>;

    /// Always ready: a call waits in its own future, on a handle of its own.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let call = Oneshot::new(self.inner.clone(), request);
        ShutdownFuture { scope: self.tracker.run(call) }
    }
}

pin_project! {
    /// A counted call. Dropping it drops the inner call and ends the count.
    #[doc(hidden)]
    pub struct ShutdownFuture<S, Req, F> {
        #[pin]
        scope: RunFuture<Oneshot<S, Req, F>>,
    }
}

impl<S, Req, F, T, E> Future for ShutdownFuture<S, Req, F>
where
    S: Service<Req, Response = T, Error = E, Future = F>,
    F: Future<Output = Result<T, E>>,
    E: CarriesRejection,
{
    type Output = Result<T, E>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().scope.poll(cx).map(|output| output.unwrap_or_else(|cut| Err(cut.into())))
    }
}

impl<S, Req, F> fmt::Debug for ShutdownFuture<S, Req, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShutdownFuture").field("scope", &self.scope).finish()
    }
}
