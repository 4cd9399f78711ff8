//! Around what reqwest opens connections with.

use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::connector::Until;
use super::scope::current_call_ends;
use crate::classify::BoxError;

/// Gives up connections that nobody waits for any more. reqwest's connections cannot carry a permit, so
/// nothing is counted here.
#[derive(Debug, Clone, Copy)]
pub(super) struct GateLayer;

/// See [`GateLayer`].
#[derive(Debug, Clone)]
pub(super) struct Gate<C>(C);

impl<C> Layer<C> for GateLayer {
    type Service = Gate<C>;

    fn layer(&self, inner: C) -> Gate<C> {
        Gate(inner)
    }
}

impl<C, Req> Service<Req> for Gate<C>
where
    C: Service<Req, Error = BoxError> + Clone + Send + 'static,
    C::Future: Send,
    C::Response: Send,
    Req: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let open = self.0.call(request);
        Box::pin(async move {
            let nobody_waits = current_call_ends();
            Until { open, nobody_waits }.await
        })
    }
}
