//! A profile as a layer, whose services follow its reloads.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use tower_layer::Layer;
use tower_service::Service;

use super::parts::Parts;
use super::profile::State;
use crate::admission::Admission;
use crate::breaker::{CircuitBreaker, CircuitBreakerLayer, CircuitBreakerService};
use crate::bulkhead::{Bulkhead, BulkheadAdmit, BulkheadLayer};
use crate::inherent::inherent_service_methods;
use crate::live::Seen;
use crate::outcome::Standard;
use crate::rate::{Each, RateAdmit, RateLimitLayer, RateLimiter};
use crate::retry::{CloneRequest, Retry, RetryLayer};
use crate::select::One;
use crate::stack::{Layers, Maybe, Optional};
use crate::timeout::{DeadlineLayer, DeadlineService, Timeout, TimeoutLayer};

/// The whole stack of a [`Profile`](super::Profile) as one layer. Every service it makes shares the
/// profile's state, and follows its reloads.
#[derive(Clone)]
pub struct ProfileLayer<K = Standard, R = CloneRequest> {
    state: Arc<State>,
    classifier: K,
    replay: R,
}

impl<K> ProfileLayer<K> {
    pub(super) const fn new(state: Arc<State>, classifier: K) -> ProfileLayer<K> {
        ProfileLayer { state, classifier, replay: CloneRequest }
    }
}

impl<K, R> ProfileLayer<K, R> {
    /// How requests are copied for a retry: a closure from `&Req` to `Option<Req>`, where `None` says
    /// that this one is sent only once. By default they are cloned.
    #[must_use]
    pub fn replay<F, Req>(self, replay: F) -> ProfileLayer<K, F>
    where
        F: Fn(&Req) -> Option<Req>,
    {
        ProfileLayer { state: self.state, classifier: self.classifier, replay }
    }
}

impl<K: Clone, R: Clone> ProfileLayer<K, R> {
    fn build<S>(&self, parts: &Parts, inner: S) -> Built<S, K, R> {
        let handles = &parts.handles;
        let classifier = || self.classifier.clone();
        let limit = |it: &RateLimiter| RateLimitLayer::new(it.clone()).classifier(classifier());
        let circuit =
            |it: &CircuitBreaker| CircuitBreakerLayer::new(it.clone()).classifier(classifier());
        let layers: Stacked<K, R> = Layers {
            deadline: parts.deadline.clone(),
            bulkhead: Optional::new(handles.bulkhead.clone().map(BulkheadLayer::new)),
            retry: RetryLayer::new(parts.retry.with_classifier(classifier()))
                .replayed_by(self.replay.clone()),
            rate_limit: Optional::new(handles.rate_limiter.as_ref().map(limit)),
            circuit_breaker: Optional::new(handles.breaker.as_ref().map(circuit)),
            attempt_timeout: Optional::new(parts.attempt_timeout.clone()),
        };
        layers.layer(inner)
    }
}

type Stacked<K, R> = Layers<
    DeadlineLayer,
    Optional<BulkheadLayer>,
    RetryLayer<K, R>,
    Optional<RateLimitLayer<K>>,
    Optional<CircuitBreakerLayer<K>>,
    Optional<TimeoutLayer>,
>;

// What `Stacked` makes of a service, spelt out: a struct's field asks for no bounds then.
type Timed<S> = Maybe<Timeout<S>, S>;
type Guarded<S, K> = Maybe<CircuitBreakerService<Timed<S>, K>, Timed<S>>;
type Limited<S, K> =
    Maybe<Admission<Guarded<S, K>, RateAdmit<K, One<RateLimiter>, Each>>, Guarded<S, K>>;
type Retried<S, K, R> = Retry<Limited<S, K>, K, R>;
type Held<S, K, R> =
    Maybe<Admission<Retried<S, K, R>, BulkheadAdmit<One<Bulkhead>>>, Retried<S, K, R>>;
type Built<S, K, R> = DeadlineService<Held<S, K, R>>;

impl<S: Clone, K: Clone, R: Clone> Layer<S> for ProfileLayer<K, R> {
    type Service = ProfileService<S, K, R>;

    fn layer(&self, inner: S) -> ProfileService<S, K, R> {
        let parts = self.state.parts();
        let built = self.build(&parts, inner.clone());
        ProfileService { layer: self.clone(), inner, parts, built }
    }
}

/// A service under a profile. Made by [`ProfileLayer`].
///
/// Each call looks at one number to know whether the profile has changed since the last.
#[derive(Clone)]
pub struct ProfileService<S, K = Standard, R = CloneRequest> {
    layer: ProfileLayer<K, R>,
    inner: S,
    parts: Seen<Parts>,
    built: Built<S, K, R>,
}

impl<S, K, R> ProfileService<S, K, R> {
    /// The service below.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }
}

inherent_service_methods!(ProfileService<S, K, R>);

impl<S, K, R, Req> Service<Req> for ProfileService<S, K, R>
where
    S: Service<Req> + Clone,
    K: Clone,
    R: Clone,
    Built<S, K, R>: Service<Req, Response = S::Response, Error = S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = <Built<S, K, R> as Service<Req>>::Future;

    /// Always ready, as the retry in every profile is: there is nothing to hold while a reload changes
    /// what is below.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if self.parts.refresh(self.layer.state.live()).is_some() {
            self.built = self.layer.build(&self.parts, self.inner.clone());
        }
        Service::call(&mut self.built, request)
    }
}

impl<K, R> fmt::Debug for ProfileLayer<K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileLayer").field("profile", &self.state).finish_non_exhaustive()
    }
}

impl<S, K, R> fmt::Debug for ProfileService<S, K, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileService").field("layer", &self.layer).finish_non_exhaustive()
    }
}
