use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::boxed::BoxedService;
use super::future::ResponseFuture;
use super::parts::PartSet;
use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;

/// A service with the parts `P` around each call: those of a `Stack`, or one that stands alone as a
/// layer. Clones share the parts.
///
/// Each call takes one handle on all parts and one clone of the service below.
pub struct CallService<S, P> {
    inner: S,
    parts: Arc<P>,
}

impl<S, P> CallService<S, P> {
    pub(crate) const fn new(inner: S, parts: Arc<P>) -> CallService<S, P> {
        CallService { inner, parts }
    }

    /// Replaces the parts for later calls.
    #[cfg(feature = "profiles")]
    pub(crate) fn set_parts(&mut self, parts: Arc<P>) {
        self.parts = parts;
    }

    /// Returns the service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns the service behind one small type, for a field of a struct. Each call of it
    /// allocates its future.
    pub fn boxed<Req>(self) -> BoxedService<Req, S::Response, S::Error>
    where
        S: Service<Req>,
        Self: Service<Req, Response = S::Response, Error = S::Error, Future: Send + 'static>
            + Clone
            + Send
            + Sync
            + 'static,
    {
        BoxedService::new(self)
    }
}

inherent_service_methods!(always ready: CallService<S, P>);

impl<S, P, Req> Service<Req> for CallService<S, P>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: PartSet<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, P, Req>;

    /// Always ready: a call waits in its own future, on its own clone of the service below.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Takes nothing, and counts no time, before the first poll.
    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture::new(self.inner.clone(), self.parts.clone(), request)
    }
}

impl<S: Clone, P> Clone for CallService<S, P> {
    fn clone(&self) -> CallService<S, P> {
        CallService { inner: self.inner.clone(), parts: self.parts.clone() }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for CallService<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
