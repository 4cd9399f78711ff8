//! Around what opens connections, where they cannot be wrapped.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
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
pub struct ConnectionLimitLayer;

/// A connector behind a [`ConnectionLimitLayer`].
pub struct ConnectionLimited<C>(
    // hyper-util's client is cloned six times for a call, connector and all, and opens a connection for few of them.
    Arc<C>,
);

impl<C> Layer<C> for ConnectionLimitLayer {
    type Service = ConnectionLimited<C>;

    fn layer(&self, inner: C) -> ConnectionLimited<C> {
        ConnectionLimited(Arc::new(inner))
    }
}

impl<C> Clone for ConnectionLimited<C> {
    fn clone(&self) -> ConnectionLimited<C> {
        ConnectionLimited(self.0.clone())
    }
}

impl<C, Req> Service<Req> for ConnectionLimited<C>
where
    C: Service<Req, Error = BoxError> + Clone + Send + 'static,
    C::Future: Send,
    C::Response: Send,
    Req: Send + 'static,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    /// Always ready: a connection waits in its own future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        // See docs/decisions/0022-connections-are-counted-where-they-are-held.md.
        let mut inner = C::clone(&self.0);
        Box::pin(async move {
            let connect = async move {
                poll_fn(|cx| inner.poll_ready(cx)).await?;
                inner.call(request).await
            };
            let call = scope::current();
            let returns = call.as_ref().map(Asking::returns);
            let Some(returns) = returns else { return connect.await };
            let room = async move { Ok(returns.room().await) };
            let mut waiting = pin!(Until { open: room, nobody_waits: scope::ends(call) });
            // First of all: a call that has another connection must not be counted as one without.
            let opening = poll_fn(|cx| match scope::is_outside() {
                true => Poll::Ready(Err("the call has another connection".into())),
                false => waiting.as_mut().poll(cx),
            });
            let opening = opening.await?;
            // What is begun is not given up: the other side may have it by now.
            let connection = connect.await?;
            opening.opened();
            Ok(connection)
        })
    }
}

impl<C: fmt::Debug> fmt::Debug for ConnectionLimited<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ConnectionLimited").field(&self.0).finish()
    }
}

#[cfg(test)]
mod tests {
    use resilience_core::bulkhead::Bulkhead;
    use tower::service_fn;

    use super::super::returns::Returns;
    use super::super::scope::{Scope, within};
    use super::*;

    /// hyper-util goes on with it in a task of its own. However long that response takes, it must not become a
    /// connection more than the limit.
    #[tokio::test(start_paused = true)]
    async fn a_connect_whose_call_has_another_connection_is_given_up() {
        let requests = Bulkhead::builder().max_concurrent(1).build().unwrap();
        let returns = Returns::new(1, requests);
        returns.clone().room().await.opened();
        returns.comes_back();
        let connect = service_fn(async |()| Ok::<_, BoxError>(()));
        let mut connect = ConnectionLimitLayer.layer(connect).call(());
        let mut scope = Some(Scope::new(returns));
        let polled = poll_fn(|cx| Poll::Ready(within(&mut scope, || connect.as_mut().poll(cx))));
        assert!(polled.await.is_pending(), "one is on its way back");
        connect.await.unwrap_err();
    }
}
