//! What can be called: tower's services, and what has a shape of its own.

use std::future::Future;
use std::hint::black_box;

use tower::{BoxError, Service, ServiceExt};

/// Something to call, again and again. Clones share what is measured.
pub(crate) trait Call: Send + 'static {
    fn call(&mut self, request: u64) -> impl Future<Output = Result<u64, BoxError>> + Send;
}

/// A tower service: made ready, then called.
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

/// So many calls, one after the other.
pub(super) async fn drive(call: &mut impl Call, calls: u64) -> Result<(), BoxError> {
    for request in 0..calls {
        black_box(call.call(black_box(request)).await?);
    }
    Ok(())
}
