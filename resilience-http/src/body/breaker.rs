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

/// Breaks the circuit of the services it is applied to, and judges a call when the body of its response has
/// ended.
///
/// A head that is not a success settles the call at once, whatever its body has to say. With one that is, the
/// call goes well if the body ends well. A body that breaks off is a failure: a server that dies over its answers has
/// sent as many good heads as one that is well. A body that is dropped midway was abandoned, which the circuit's
/// [`AbandonedPolicy`](resilience_core::breaker::AbandonedPolicy) judges.
///
/// How long a call took, for a circuit that counts slow ones, is until the end of the body. So a
/// circuit that opens on slow calls wants bodies of limited length.
///
/// Every service made by one layer value, and by its clones, shares the circuits.
#[derive(Debug, Clone)]
pub struct BodyBreakerLayer<C = StatusClassifier, D = AnyError, Sel = One<CircuitBreaker>> {
    select: Sel,
    head: C,
    body: D,
}

impl BodyBreakerLayer {
    /// One circuit for all calls. Heads are read by [`StatusClassifier`]; every error of a body is a transient
    /// failure.
    #[must_use]
    pub const fn new(breaker: CircuitBreaker) -> BodyBreakerLayer {
        BodyBreakerLayer::select(One::new(breaker))
    }
}

impl<Sel> BodyBreakerLayer<StatusClassifier, AnyError, Sel> {
    /// The circuit that `select` selects: with [`PerKey`](resilience_core::select::PerKey), one for each host.
    #[must_use]
    pub const fn select(select: Sel) -> Self {
        BodyBreakerLayer { select, head: StatusClassifier, body: AnyError }
    }
}

impl<C, D, Sel> BodyBreakerLayer<C, D, Sel> {
    /// Reads outcomes off heads, and the errors that come instead of them, with this [`Classify`] type. It is not asked about the
    /// rejections of inner layers.
    #[must_use]
    pub fn classifier<T>(self, head: T) -> BodyBreakerLayer<T, D, Sel> {
        BodyBreakerLayer { select: self.select, head, body: self.body }
    }

    /// Reads outcomes off the ends of bodies: off their trailers, where gRPC says how a call ended, and off their
    /// errors.
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
    type Waiting = Ready<Result<Option<Admitted>, Rejection>>;
    type Held = Option<Admitted>;
    type Guard = BreakerGuard<D>;

    fn ask(&self, request: &Req) -> Self::Waiting {
        let mut selected = Sel::Selected::default();
        self.select.select(&mut selected, request, &mut Now::unread());
        let admitted = self.select.handle(&selected).map(CircuitBreaker::try_admit_owned);
        ready(admitted.transpose().map_err(|rejection| match self.select.whose(&selected) {
            Some(key) => rejection.with_key(key),
            None => rejection,
        }))
    }

    /// The circuit may change before the service is ready, and be asked then: an admission that is kept would
    /// be an old one, and a probe's place.
    fn not_ready(&self, held: Self::Held) -> Option<Self::Held> {
        if let Some(admitted) = held {
            admitted.outcome(Outcome::NotReady(RetryHint::None));
        }
        None
    }

    fn answered(
        &self,
        held: Self::Held,
        result: Result<&Response<B>, &E>,
    ) -> Option<BreakerGuard<D>> {
        let admitted = held?;
        match (admitted.outcome_of(&self.head, result), result) {
            (Outcome::Success, Ok(_)) => Some(BreakerGuard { admitted, body: self.body.clone() }),
            (outcome, _) => {
                admitted.outcome(outcome);
                None
            }
        }
    }
}

/// A call whose head went well. Dropped before its body has ended, it was abandoned.
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
