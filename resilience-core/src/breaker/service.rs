use std::task::{Context, Poll};

use tower_service::Service;

use super::future::ResponseFuture;
use super::handle::CircuitBreaker;
use crate::clock;
use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;
use crate::outcome::{Classify, Standard};
use crate::select::{One, Select};

/// A service whose calls pass a circuit. Made by [`CircuitBreakerLayer`](super::CircuitBreakerLayer).
#[derive(Debug, Clone)]
pub struct CircuitBreakerService<S, C = Standard, Sel = One<CircuitBreaker>> {
    inner: S,
    classifier: C,
    selector: Sel,
}

impl<S, C, Sel> CircuitBreakerService<S, C, Sel> {
    pub(super) const fn new(inner: S, classifier: C, selector: Sel) -> Self {
        CircuitBreakerService { inner, classifier, selector }
    }

    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

inherent_service_methods!(CircuitBreakerService<S, C, Sel>);

impl<S, C, Sel, Req> Service<Req> for CircuitBreakerService<S, C, Sel>
where
    S: Service<Req> + Clone,
    S::Error: CarriesRejection,
    C: Classify<S::Response, S::Error> + Clone,
    Sel: Select<Req, Handle = CircuitBreaker>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, C, Sel::Key, Req>;

    /// Always ready: which circuit a call belongs to is known when there is a call.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        let (breaker, owner) = self.selector.select_lazily(&request, clock::now);
        let inner = self.inner.clone();
        ResponseFuture::new(inner, self.classifier.clone(), breaker, owner, request)
    }
}
