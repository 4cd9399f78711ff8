use tower_layer::Layer;

use super::handle::CircuitBreaker;
use crate::call::{Absent, CallService, OnlyCircuitBreaker};
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::outcome::{Outcome, Standard};
use crate::select::{One, PerKey};

/// Stops calls to a service that fails. See the [module](super).
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
    /// Admits all calls to one circuit.
    #[must_use]
    pub const fn new(breaker: CircuitBreaker) -> CircuitBreakerLayer {
        CircuitBreakerLayer::with_selector(One::new(breaker))
    }
}

impl<K: Key, F> CircuitBreakerLayer<Standard, PerKey<K, CircuitBreaker, F>> {
    /// Admits each call to the circuit of the key that `key` reads off its request. The circuits
    /// are made [`fresh`](CircuitBreaker::fresh) from `breaker`, which changes the configuration of
    /// all and admits no call itself: the [`selector`](Self::selector) has their store.
    #[must_use]
    pub fn per_key<Req>(breaker: CircuitBreaker, limits: KeyedLimits, key: F) -> Self
    where
        F: Fn(&Req) -> K,
    {
        let store = Keyed::new(limits, move |_: &K| breaker.fresh());
        CircuitBreakerLayer::with_selector(PerKey::new(store, key))
    }
}

impl<Sel> CircuitBreakerLayer<Standard, Sel> {
    /// Admits each call to the circuit that `selector` returns for its request.
    #[must_use]
    pub const fn with_selector(selector: Sel) -> Self {
        CircuitBreakerLayer { selector, classifier: Standard }
    }
}

impl<C, Sel> CircuitBreakerLayer<C, Sel> {
    /// Reads outcomes off results with a closure. Rejections of inner layers are not passed to it.
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

impl<C, Sel> CircuitBreakerLayer<C, Sel> {
    /// Returns the selector, which has the store of circuits where there is one for each key.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.selector
    }
}

impl<S, C: Clone, Sel: Clone> Layer<S> for CircuitBreakerLayer<C, Sel> {
    type Service = CircuitBreakerService<S, C, Sel>;

    fn layer(&self, inner: S) -> CircuitBreakerService<S, C, Sel> {
        OnlyCircuitBreaker::around(inner, Absent, Absent, Absent, self.clone())
    }
}
