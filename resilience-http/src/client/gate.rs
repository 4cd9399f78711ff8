//! Around what opens connections, where they cannot be wrapped.

use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::connector::Until;
use super::scope::{self, Asking};
use crate::classify::BoxError;

/// A layer for reqwest's [`connector_layer`](https://docs.rs/reqwest/0.13/reqwest/struct.ClientBuilder.html#method.connector_layer):
/// opens no more connections than the limits of the [client](super) above allow, and gives up those that wait for
/// room and that nobody waits for any more.
///
/// [`ResilientClient`](super::ResilientClientBuilder) puts it there by itself. What is opened outside of a call
/// of such a client passes as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionGate;

/// A connector behind a [`ConnectionGate`].
#[derive(Debug, Clone)]
pub struct Gated<C>(C);

impl<C> Layer<C> for ConnectionGate {
    type Service = Gated<C>;

    fn layer(&self, inner: C) -> Gated<C> {
        Gated(inner)
    }
}

impl<C, Req> Service<Req> for Gated<C>
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
        // The readied one, which is this one's; a clone is not ready.
        let fresh = self.0.clone();
        let mut ready = std::mem::replace(&mut self.0, fresh);
        Box::pin(async move {
            let call = scope::current();
            let returns = call.as_ref().map(Asking::returns);
            let Some(returns) = returns else { return ready.call(request).await };
            let room = async move { Ok(returns.room().await) };
            let opening = Until { open: room, nobody_waits: scope::ends(call) }.await?;
            // What is begun is not given up: the other side may have it by now.
            let connection = ready.call(request).await?;
            opening.opened();
            Ok(connection)
        })
    }
}
