use std::fmt;
use std::future::{Ready, ready};

use http::{HeaderMap, Response};
use http_body::Body;
use resilience_core::breaker::{Admitted, CircuitBreaker};
use resilience_core::clock::Now;
use resilience_core::select::{One, Select};
use resilience_core::{AnyError, CarriesRejection, Classify, Outcome, Rejection, RetryHint};
use tower_layer::Layer;

use super::guarded::Guard;
use super::policy::{BodyPolicy, Guarded};
use crate::StatusClassifier;

/// A circuit breaker that records the outcome of a call when its response body ends.
///
/// A head that is not a success ends the call at once, and its body is not classified. After a
/// successful head, the end of the body decides. A body that breaks off is a failure: a server that
/// crashes during every response sends as many good heads as a healthy one. A body that is dropped
/// midway is abandoned, and the circuit's
/// [`AbandonedPolicy`](resilience_core::breaker::AbandonedPolicy) applies.
///
/// The duration of a call, for a circuit that counts slow calls, lasts until the end of the body.
/// Limit the length of bodies where such a circuit is used.
///
/// All services made by one layer value, and by its clones, share the circuits.
#[derive(Debug, Clone)]
pub struct BodyBreakerLayer<C = StatusClassifier, D = AnyError, Sel = One<CircuitBreaker>> {
    select: Sel,
    head: C,
    body: D,
}

impl BodyBreakerLayer {
    /// Creates a layer with one circuit for all calls. [`StatusClassifier`] classifies heads; every
    /// error of a body is a transient failure.
    #[must_use]
    pub const fn new(breaker: CircuitBreaker) -> BodyBreakerLayer {
        BodyBreakerLayer::select(One::new(breaker))
    }
}

impl<Sel> BodyBreakerLayer<StatusClassifier, AnyError, Sel> {
    /// Creates a layer that uses the circuit that `select` returns: with
    /// [`PerKey`](resilience_core::select::PerKey), one for each host.
    #[must_use]
    pub const fn select(select: Sel) -> Self {
        BodyBreakerLayer { select, head: StatusClassifier, body: AnyError }
    }
}

impl<C, D, Sel> BodyBreakerLayer<C, D, Sel> {
    /// Sets the [`Classify`] type for heads and for the errors that come instead of them.
    /// Rejections of inner layers are not passed to it.
    #[must_use]
    pub fn classifier<T>(self, head: T) -> BodyBreakerLayer<T, D, Sel> {
        BodyBreakerLayer { select: self.select, head, body: self.body }
    }

    /// Sets the [`Classify`] type for the ends of bodies: their trailers, which carry the status of
    /// a gRPC call, and their errors.
    #[must_use]
    pub fn body_classifier<T>(self, body: T) -> BodyBreakerLayer<C, T, Sel> {
        BodyBreakerLayer { select: self.select, head: self.head, body }
    }
}

impl<S, C: Clone, D: Clone, Sel: Clone> Layer<S> for BodyBreakerLayer<C, D, Sel> {
    type Service = Guarded<S, BodyBreakerLayer<C, D, Sel>>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded::new(inner, self.clone())
    }
}

impl<Req, B, E, C, D, Sel> BodyPolicy<Req, B, E> for BodyBreakerLayer<C, D, Sel>
where
    B: Body,
    E: CarriesRejection,
    C: Classify<Response<B>, E> + Clone,
    D: Classify<HeaderMap, B::Error> + Clone,
    Sel: Select<Req, Handle = CircuitBreaker> + Clone,
{
    type AdmitFuture = Ready<Result<Option<Admitted>, Rejection>>;
    type Admission = Option<Admitted>;
    type Guard = BreakerGuard<D>;

    fn admit(&self, request: &Req) -> Self::AdmitFuture {
        let mut selected = Sel::Selected::default();
        self.select.select(&mut selected, request, &mut Now::unread());
        let admitted = self.select.handle(&selected).map(CircuitBreaker::try_admit_owned);
        ready(admitted.transpose().map_err(|rejection| match self.select.whose(&selected) {
            Some(key) => rejection.with_key(key),
            None => rejection,
        }))
    }

    // Given up, and asked for again later: the circuit may open before the service is ready, and a
    // kept admission of a half-open circuit would block a probe.
    fn not_ready(&self, admission: Self::Admission) -> Option<Self::Admission> {
        if let Some(admitted) = admission {
            admitted.outcome(Outcome::NotReady(RetryHint::None));
        }
        None
    }

    fn on_response(
        &self,
        admission: Self::Admission,
        result: Result<&Response<B>, &E>,
    ) -> Option<BreakerGuard<D>> {
        let admitted = admission?;
        match (admitted.outcome_of(&self.head, result), result) {
            (Outcome::Success, Ok(_)) => Some(BreakerGuard { admitted, body: self.body.clone() }),
            (outcome, _) => {
                admitted.outcome(outcome);
                None
            }
        }
    }
}

/// Guard of a call with a successful head. Dropping it before the end of the body abandons the
/// call.
pub struct BreakerGuard<D> {
    admitted: Admitted,
    body: D,
}

impl<E, D: Classify<HeaderMap, E>> Guard<E> for BreakerGuard<D> {
    fn ended(self, end: Result<&HeaderMap, &E>) {
        self.admitted.outcome(self.body.classify(end));
    }
}

impl<D> fmt::Debug for BreakerGuard<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BreakerGuard").finish_non_exhaustive()
    }
}
