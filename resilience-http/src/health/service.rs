//! The service of the health probes.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use tower_service::Service;

use super::future::HealthFuture;
use super::layer::HealthLayer;
use super::probe::{self, Probe};
use super::response;
use crate::server::ResponseBody;

/// A service that responds to health probes, and passes all other requests on. Made by
/// [`HealthLayer`].
///
/// Always ready: a probe must not wait for the inner service. The inner service is cloned for each
/// request, and the clone is readied in the future.
#[derive(Debug, Clone)]
pub struct HealthService<S> {
    layer: Arc<HealthLayer>,
    inner: S,
}

impl<S> HealthService<S> {
    pub(super) fn new(layer: Arc<HealthLayer>, inner: S) -> HealthService<S> {
        HealthService { layer, inner }
    }
}

impl<S, B, ResBody> Service<Request<B>> for HealthService<S>
where
    S: Service<Request<B>, Response = Response<ResBody>> + Clone,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = HealthFuture<S, Request<B>, S::Future>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let HealthLayer { health, paths, details } = &*self.layer;
        let Some(probe) = paths.find(request.uri().path()) else {
            return HealthFuture::pass(self.inner.clone(), request);
        };
        let method = request.method().clone();
        let details = *details;
        if !probe::is_allowed(&method) {
            return HealthFuture::respond(response::not_allowed(&method));
        }
        let health = health.clone();
        match probe {
            Probe::Live => HealthFuture::respond(response::alive(&method)),
            Probe::Ready => HealthFuture::run_checks(async move {
                response::of_report(&method, &health.ready().await, details)
            }),
            Probe::Startup => HealthFuture::run_checks(async move {
                response::of_report(&method, &health.startup().await, details)
            }),
        }
    }
}

/// A service that responds 404 to every request: the inner service of
/// [`HealthLayer::into_service`].
#[derive(Debug, Clone)]
pub struct NoRoute(());

impl NoRoute {
    pub(super) fn new() -> NoRoute {
        NoRoute(())
    }
}

impl<B> Service<Request<B>> for NoRoute {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(response::not_found(request.method())))
    }
}
