//! A limit around a connector that does not let its connections be wrapped.

use std::fmt;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::call_scope::{self, ConnectingCall};
use super::connector::UntilCallEnds;
use crate::classify::BoxError;

/// A layer for reqwest's
/// [`connector_layer`](https://docs.rs/reqwest/0.13/reqwest/struct.ClientBuilder.html#method.connector_layer).
/// It opens no more connections than the limits of the [client](super) above allow, and gives up a
/// waiting connect that its call no longer needs.
///
/// [`ResilientClient`](super::ResilientClientBuilder) adds the layer itself. A connect outside of a
/// call of such a client is not limited.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectionLimitLayer;

/// A connector with a limit. Made by [`ConnectionLimitLayer`].
pub struct ConnectionLimited<C>(
    // Shared: hyper-util clones its connector six times in each call, and connects in few of them.
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

    /// Always ready: a connect waits in its own future.
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
            let call = call_scope::current();
            let connections = call.as_ref().map(ConnectingCall::connections);
            let Some(connections) = connections else { return connect.await };
            let reserve = async move { Ok(connections.reserve().await) };
            let call_ended = call_scope::call_ended(call);
            let mut reserving = pin!(UntilCallEnds { inner: reserve, call_ended });
            // Checked before `reserve` is polled: a connect whose call has another connection must
            // not be counted as one without.
            let opening = poll_fn(|cx| match call_scope::is_outside_call() {
                true => Poll::Ready(Err("the call has another connection".into())),
                false => reserving.as_mut().poll(cx),
            });
            let opening = opening.await?;
            // From here on the connect is not given up: the peer may have accepted it already.
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

    use super::super::call_scope::{CallScope, within};
    use super::super::connection_count::ConnectionCount;
    use super::*;

    /// hyper-util continues the connect in a task of its own. Until the response arrives, the
    /// connect must not add a connection above the limit.
    #[tokio::test(start_paused = true)]
    async fn a_connect_whose_call_has_another_connection_is_given_up() {
        let requests = Bulkhead::builder().max_concurrent(1).build().unwrap();
        let connections = ConnectionCount::new(1, requests);
        connections.clone().reserve().await.opened();
        connections.returned();
        let connect = service_fn(async |()| Ok::<_, BoxError>(()));
        let mut connect = ConnectionLimitLayer.layer(connect).call(());
        let mut scope = Some(CallScope::new(connections));
        let polled = poll_fn(|cx| Poll::Ready(within(&mut scope, || connect.as_mut().poll(cx))));
        assert!(polled.await.is_pending(), "a connection is returning to the pool");
        connect.await.unwrap_err();
    }
}
