use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use super::future::ResponseFuture;
use super::gate::Parts;
use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;

/// A service under a [`Stack`](super::Stack), whose parts are `P`.
///
/// Each call takes one handle on all the parts and one copy of the service below.
pub struct StackService<S, P> {
    inner: S,
    parts: Arc<P>,
}

impl<S, P> StackService<S, P> {
    pub(crate) const fn new(inner: S, parts: Arc<P>) -> StackService<S, P> {
        StackService { inner, parts }
    }

    /// Later calls go through these.
    #[cfg(feature = "profiles")]
    pub(crate) fn set_parts(&mut self, parts: Arc<P>) {
        self.parts = parts;
    }

    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

inherent_service_methods!(always ready: StackService<S, P>);

impl<S, P, Req> Service<Req> for StackService<S, P>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    P: Parts<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, P, Req>;

    /// Always ready: a call waits in its own future, on a handle of its own.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    /// Nothing is done, and no time counted, before the first poll.
    #[inline]
    fn call(&mut self, request: Req) -> Self::Future {
        ResponseFuture::new(self.inner.clone(), self.parts.clone(), request)
    }
}

impl<S: Clone, P> Clone for StackService<S, P> {
    fn clone(&self) -> StackService<S, P> {
        StackService { inner: self.inner.clone(), parts: self.parts.clone() }
    }
}

impl<S: fmt::Debug, P> fmt::Debug for StackService<S, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StackService").field("inner", &self.inner).finish_non_exhaustive()
    }
}
