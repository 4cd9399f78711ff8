//! A profile as a layer. Its services follow the reloads of the profile.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tower_layer::Layer;
use tower_service::Service;

use super::parts::Parts;
use super::profile::State;
use crate::breaker::{CircuitBreaker, CircuitBreakerLayer};
use crate::bulkhead::{Bulkhead, BulkheadLayer};
use crate::call::{Absent, CallService, PartSet, Parts as CallParts, ResponseFuture};
use crate::error::CarriesRejection;
use crate::inherent::inherent_service_methods;
use crate::keyed::allocation_size;
use crate::live::Versioned;
use crate::outcome::Standard;
use crate::rate::{RateLimitLayer, RateLimiter};
use crate::retry::{CloneRequest, OwnBudget, RetryLayer};
use crate::select::One;
use crate::stack::Carrying;
use crate::timeout::{DeadlineLayer, TimeoutLayer};

/// The whole stack of a [`Profile`](super::Profile) as one layer. All services of the layer share
/// the profile's state and follow its reloads.
#[derive(Clone)]
pub struct ProfileLayer<K = Standard, R = CloneRequest, L = Absent> {
    state: Arc<State>,
    classifier: K,
    replay: R,
    until: L,
}

impl<K> ProfileLayer<K> {
    pub(super) fn new(state: Arc<State>, classifier: K) -> ProfileLayer<K> {
        state.called();
        ProfileLayer { state, classifier, replay: CloneRequest, until: Absent }
    }
}

impl<K, R, L> ProfileLayer<K, R, L> {
    /// Sets the copy of a request for a retry: a closure from `&Req` to `Option<Req>`. A request
    /// with `None` is sent once. Requests are cloned by default.
    #[must_use]
    pub fn replay<F, Req>(self, replay: F) -> ProfileLayer<K, F, L>
    where
        F: Fn(&Req) -> Option<Req>,
    {
        self.replayed_by(replay)
    }

    /// Sets the copy of a request for a retry with a [`Replay`](crate::retry::Replay) type.
    #[must_use]
    pub fn replayed_by<F>(self, replay: F) -> ProfileLayer<K, F, L> {
        let ProfileLayer { state, classifier, until, .. } = self;
        ProfileLayer { state, classifier, replay, until }
    }

    /// Extends calls beyond their result, as far as `until` returns: the bulkhead's permits and the
    /// circuit's admission move to the [`CarriedPermits`](crate::stack::CarriedPermits) of the
    /// call. A failure counts at once; deadlines, retries and tokens end with the result.
    #[must_use]
    pub fn lasting<U>(self, until: U) -> ProfileLayer<K, R, U> {
        let ProfileLayer { state, classifier, replay, .. } = self;
        ProfileLayer { state, classifier, replay, until }
    }
}

impl<K: Clone, R: Clone, L: Clone> ProfileLayer<K, R, L> {
    fn build(&self, parts: &Parts) -> Arc<Built<K, R, L>> {
        let handles = &parts.handles;
        let key = || parts.key.clone();
        let classifier = || self.classifier.clone();
        let until = || self.until.clone();
        let limit = |it: &RateLimiter| {
            RateLimitLayer::with_selector(One::of_key(it.clone(), key())).classifier(classifier())
        };
        let calls = |it: Bulkhead| {
            Carrying::new(BulkheadLayer::with_selector(One::of_key(it, key())), until())
        };
        let circuit = |it: &CircuitBreaker| {
            Carrying::new(CircuitBreakerLayer::new(it.clone()).classifier(classifier()), until())
        };
        Arc::new(CallParts {
            deadline: parts.deadline.clone(),
            bulkhead: handles.bulkhead.clone().map(calls),
            retry: RetryLayer::new(parts.retry.with_classifier(classifier()))
                .replayed_by(self.replay.clone())
                .paid_from(OwnBudget::new(parts.own_budget.clone(), key())),
            rate_limit: handles.rate_limit.as_ref().map(limit),
            circuit_breaker: handles.circuit_breaker.as_ref().map(circuit),
            attempt_timeout: parts.attempt_timeout.clone(),
        })
    }
}

impl<K: Clone, R: Clone, L: Clone> ProfileLayer<K, R, L> {
    /// Converts the layer for services that are made for each call.
    #[must_use]
    pub fn calls(self) -> ProfileCalls<K, R, L> {
        let current = Mutex::new(self.current());
        ProfileCalls { layer: self, current }
    }

    fn current(&self) -> Current<K, R, L> {
        let parts = self.state.parts();
        Current { version: parts.version(), built: self.build(&parts) }
    }
}

/// The parts of a profile; `Option` for those that the text may leave out.
type Built<K, R, L> = CallParts<
    DeadlineLayer,
    Option<Carrying<BulkheadLayer, L>>,
    RetryLayer<K, R, OwnBudget>,
    Option<RateLimitLayer<K>>,
    Option<Carrying<CircuitBreakerLayer<K>, L>>,
    Option<TimeoutLayer>,
>;

impl<S, K: Clone, R: Clone, L: Clone> Layer<S> for ProfileLayer<K, R, L> {
    type Service = ProfileService<S, K, R, L>;

    fn layer(&self, inner: S) -> ProfileService<S, K, R, L> {
        let parts = self.state.parts();
        let built = CallService::new(inner, self.build(&parts));
        ProfileService { layer: self.clone(), parts, built }
    }
}

/// A service under a profile. Made by [`ProfileLayer`].
///
/// Each call compares one number to detect a change of the profile.
#[derive(Clone)]
pub struct ProfileService<S, K = Standard, R = CloneRequest, L = Absent> {
    layer: ProfileLayer<K, R, L>,
    parts: Versioned<Parts>,
    built: CallService<S, Built<K, R, L>>,
}

impl<S, K, R, L> ProfileService<S, K, R, L> {
    /// Returns the service below.
    pub fn get_ref(&self) -> &S {
        self.built.get_ref()
    }
}

inherent_service_methods!(always ready: ProfileService<S, K, R, L>);

/// The whole stack of a [`Profile`](super::Profile), for a service that is made for each call. Made
/// by [`ProfileLayer::calls`].
///
/// A layer builds its parts for each service. Here they are built once and after a reload, as if
/// one service took all calls.
#[doc(hidden)]
pub struct ProfileCalls<K = Standard, R = CloneRequest, L = Absent> {
    layer: ProfileLayer<K, R, L>,
    current: Mutex<Current<K, R, L>>,
}

/// The parts that were in force at the last call.
struct Current<K, R, L> {
    version: u32,
    built: Arc<Built<K, R, L>>,
}

impl<K: Clone, R: Clone, L: Clone> ProfileCalls<K, R, L> {
    /// Calls `service` under the profile, as a [`ProfileService`] does: nothing is done, and no
    /// time counted, before the first poll.
    pub fn call<S, Req>(&self, service: S, request: Req) -> ResponseFuture<S, Built<K, R, L>, Req>
    where
        S: Service<Req> + Clone,
        S::Error: CarriesRejection,
        Built<K, R, L>: PartSet<Req, S::Response, S::Error>,
    {
        ResponseFuture::new(service, self.built(), request)
    }

    /// Returns the bytes on the heap, which a [`Keyed`](crate::keyed::Keyed) store counts.
    #[must_use]
    pub fn heap_bytes(&self) -> usize {
        allocation_size(2 * size_of::<usize>() + size_of::<Built<K, R, L>>())
    }

    /// Returns the parts in force. They are built outside of the lock, since that clones the user's
    /// values.
    fn built(&self) -> Arc<Built<K, R, L>> {
        let live = self.layer.state.live();
        let known = {
            let current = self.current.lock();
            live.is_at(current.version).then(|| current.built.clone())
        };
        known.unwrap_or_else(|| self.rebuilt())
    }

    #[cold]
    fn rebuilt(&self) -> Arc<Built<K, R, L>> {
        let current = self.layer.current();
        let built = current.built.clone();
        let former = std::mem::replace(&mut *self.current.lock(), current);
        drop(former);
        built
    }
}

impl<K, R, L> fmt::Debug for ProfileCalls<K, R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileCalls").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl<S, K, R, L, Req> Service<Req> for ProfileService<S, K, R, L>
where
    S: Service<Req> + Clone,
    K: Clone,
    R: Clone,
    L: Clone,
    S::Error: CarriesRejection,
    Built<K, R, L>: PartSet<Req, S::Response, S::Error>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = ResponseFuture<S, Built<K, R, L>, Req>;

    /// Always ready, as the retry in every profile is. Nothing is reserved while a reload changes
    /// the parts.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Req) -> Self::Future {
        if let Some(newer) = self.layer.state.live().newer(&self.parts) {
            // Parts before version: a clone of the user's values may panic, and the next call must
            // try again.
            self.built.set_parts(self.layer.build(&newer));
            self.parts = newer;
        }
        Service::call(&mut self.built, request)
    }
}

impl<K, R, L> fmt::Debug for ProfileLayer<K, R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileLayer").field("profile", &self.state).finish_non_exhaustive()
    }
}

impl<S, K, R, L> fmt::Debug for ProfileService<S, K, R, L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ProfileService").field("layer", &self.layer).finish_non_exhaustive()
    }
}
