use std::time::Instant;

use tower_layer::Layer;

use super::handle::CircuitBreaker;
use crate::call::{Absent, CallService, OnlyCircuitBreaker};
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::outcome::{Outcome, Standard};
use crate::select::{One, PerKey};

/// Breaks the circuit of the services it is applied to. See the [module](super).
///
/// Every service made by one layer value, and by its clones, shares its circuits.
#[derive(Debug, Clone)]
pub struct CircuitBreakerLayer<C = Standard, Sel = One<CircuitBreaker>> {
    pub(super) selector: Sel,
    pub(super) classifier: C,
}

/// A service with a circuit in front of it.
pub type CircuitBreakerService<S, C = Standard, Sel = One<CircuitBreaker>> =
    CallService<S, OnlyCircuitBreaker<CircuitBreakerLayer<C, Sel>>>;

impl CircuitBreakerLayer {
    /// Makes a layer with a circuit for all calls.
    #[must_use]
    pub const fn new(breaker: CircuitBreaker) -> CircuitBreakerLayer {
        CircuitBreakerLayer { selector: One::new(breaker), classifier: Standard }
    }
}

impl<K: Key, F> CircuitBreakerLayer<Standard, PerKey<K, CircuitBreaker, F>> {
    /// Makes a layer with a circuit for each key that `key` reads off a request, configured as `breaker` and
    /// bounded by the limits. No call passes `breaker` itself: watch the [`store`](Self::store).
    #[must_use]
    pub fn per_key<Req>(breaker: CircuitBreaker, limits: KeyedLimits, key: F) -> Self
    where
        F: Fn(&Req) -> K,
    {
        let store = Keyed::new(limits, move |_: &K| breaker.fresh());
        CircuitBreakerLayer { selector: PerKey::new(store, key), classifier: Standard }
    }

    /// Returns the store of the circuits.
    pub fn store(&self) -> &Keyed<K, CircuitBreaker> {
        self.selector.store()
    }

    /// Returns the circuit of this key, made if it is new.
    pub fn circuit(&self, key: &K, now: Instant) -> CircuitBreaker {
        self.store().get(key, now)
    }
}

impl<C, Sel> CircuitBreakerLayer<C, Sel> {
    /// Sets the classifier to a closure. It does not see the rejections of inner layers.
    #[must_use]
    pub fn classify<T, E, F>(self, classifier: F) -> CircuitBreakerLayer<F, Sel>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.classifier(classifier)
    }

    /// Sets the classifier to a [`Classify`](crate::Classify) type.
    #[must_use]
    pub fn classifier<D>(self, classifier: D) -> CircuitBreakerLayer<D, Sel> {
        CircuitBreakerLayer { selector: self.selector, classifier }
    }
}

impl<S, C: Clone, Sel: Clone> Layer<S> for CircuitBreakerLayer<C, Sel> {
    type Service = CircuitBreakerService<S, C, Sel>;

    fn layer(&self, inner: S) -> CircuitBreakerService<S, C, Sel> {
        OnlyCircuitBreaker::around(inner, Absent, Absent, Absent, self.clone())
    }
}
