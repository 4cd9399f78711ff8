//! Asynchronous calls to measure: tower's services, and types with their own interface.

use std::future::Future;
use std::hint::black_box;

use tower::{BoxError, Service, ServiceExt};

/// An asynchronous call that can be repeated. Clones share the state that is measured.
pub(crate) trait Call: Send + 'static {
    fn call(&mut self, request: u64) -> impl Future<Output = Result<u64, BoxError>> + Send;
}

/// A tower service as a [`Call`]: waits until the service is ready, then calls it.
#[derive(Debug, Clone)]
pub(crate) struct Tower<S>(pub(crate) S);

impl<S> Call for Tower<S>
where
    S: Service<u64, Response = u64, Error = BoxError> + Send + 'static,
    S::Future: Send,
{
    async fn call(&mut self, request: u64) -> Result<u64, BoxError> {
        self.0.ready().await?.call(request).await
    }
}

/// Makes `calls` calls, one after the other. Stops at the first error and returns it.
pub(super) async fn drive(call: &mut impl Call, calls: u64) -> Result<(), BoxError> {
    for request in 0..calls {
        black_box(call.call(black_box(request)).await?);
    }
    Ok(())
}
