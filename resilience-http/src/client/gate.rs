//! Around what reqwest opens connections with.

use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::connector::Until;
use super::scope::{self, Asking};
use crate::classify::BoxError;

/// Opens no more than there may be, and gives up what nobody waits for any more. reqwest's connections cannot
/// carry a permit: what is known of their ends is in `returns`.
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
        // The readied one, which is this one's; a clone is not ready.
        let fresh = self.0.clone();
        let mut ready = std::mem::replace(&mut self.0, fresh);
        Box::pin(async move {
            let call = scope::current();
            let returns = call.as_ref().map(Asking::returns);
            let open = async move {
                let Some(returns) = returns else { return ready.call(request).await };
                let opening = returns.room().await;
                let connection = ready.call(request).await?;
                opening.opened();
                Ok(connection)
            };
            Until { open, nobody_waits: scope::ends(call) }.await
        })
    }
}
