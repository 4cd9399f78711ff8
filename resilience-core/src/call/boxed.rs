//! A service of any stack, as one type.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_service::Service;

use crate::inherent::inherent_service_methods;

/// The future of a [`BoxedService`].
pub type BoxedFuture<Response, Error> =
    Pin<Box<dyn Future<Output = Result<Response, Error>> + Send>>;

type Call<Request, Response, Error> = dyn Fn(Request) -> BoxedFuture<Response, Error> + Send + Sync;

/// A service of any stack, for a field of a struct. Made by
/// [`CallService::boxed`](super::CallService::boxed). Clones share the stack; each call allocates
/// its future.
pub struct BoxedService<Request, Response, Error>(Arc<Call<Request, Response, Error>>);

impl<Request, Response, Error> BoxedService<Request, Response, Error> {
    /// Boxes a service that is always ready.
    pub(super) fn new<S>(service: S) -> Self
    where
        S: Service<Request, Response = Response, Error = Error, Future: Send + 'static>,
        S: Clone + Send + Sync + 'static,
    {
        BoxedService(Arc::new(move |request| Box::pin(service.clone().call(request))))
    }
}

inherent_service_methods!(BoxedService<Request, Response, Error>);

impl<Request, Response, Error> Service<Request> for BoxedService<Request, Response, Error> {
    type Response = Response;
    type Error = Error;
    type Future = BoxedFuture<Response, Error>;

    /// Always ready: a call waits in its own future.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        (self.0)(request)
    }
}

impl<Request, Response, Error> Clone for BoxedService<Request, Response, Error> {
    fn clone(&self) -> Self {
        BoxedService(self.0.clone())
    }
}

impl<Request, Response, Error> fmt::Debug for BoxedService<Request, Response, Error> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BoxedService").finish_non_exhaustive()
    }
}
