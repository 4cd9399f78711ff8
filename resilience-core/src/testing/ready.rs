//! A service without cost.

use std::convert::Infallible;
use std::fmt;
use std::future;
use std::marker::PhantomData;
use std::task::{Context, Poll};

use tower_service::Service;

/// A service that is always ready and returns each request at once. The service has no size and a
/// minimal future, so that a benchmark of a layer around it measures the layer.
///
/// ```
/// use resilience_core::testing::Ready;
/// use resilience_core::timeout::TimeoutLayer;
/// use tower::{BoxError, Layer, Service, ServiceExt};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), BoxError> {
/// let service = TimeoutLayer::new(std::time::Duration::from_secs(1))?.layer(Ready::<BoxError>::new());
/// assert_eq!(service.oneshot(7).await?, 7);
/// # Ok(())
/// # }
/// ```
pub struct Ready<E = Infallible>(PhantomData<fn() -> E>);

impl<E> Ready<E> {
    /// Creates the service. `E` is the error type, of which no value is returned.
    #[must_use]
    pub const fn new() -> Ready<E> {
        Ready(PhantomData)
    }
}

impl<Req, E> Service<Req> for Ready<E> {
    type Response = Req;
    type Error = E;
    type Future = future::Ready<Result<Req, E>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), E>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        future::ready(Ok(request))
    }
}

impl<E> Clone for Ready<E> {
    fn clone(&self) -> Ready<E> {
        *self
    }
}

impl<E> Copy for Ready<E> {}

impl<E> Default for Ready<E> {
    fn default() -> Ready<E> {
        Ready::new()
    }
}

impl<E> fmt::Debug for Ready<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Ready")
    }
}
