use std::sync::Arc;

use tower_layer::Layer;
use tower_service::Service;

use super::builder::{StackBuilder, StandardBuilder};
use super::handles::{Handles, StackSnapshot};
use super::plan::Plan;
use crate::breaker::{CircuitBreaker, CircuitBreakerLayer};
use crate::bulkhead::{Bulkhead, BulkheadLayer};
use crate::call::{Absent, CallService, PartSet, Parts, ResponseFuture};
use crate::name::Name;
use crate::observe::Gauges;
use crate::rate::RateLimiter;
use crate::retry::{RetryBudget, RetryLayer, RetryPolicy};
use crate::timeout::{DeadlineLayer, TimeoutLayer};

/// All policies between a caller and an unreliable service, in the one order that works. See the
/// [module](super).
///
/// An ordinary layer: every service made by one value, and by its clones, shares permits, budget,
/// tokens and circuit. The parameters are the layers of the deadline, the bulkhead, the retry, the
/// rate limit, the circuit breaker and the attempt timeout; [`Absent`] costs nothing.
#[derive(Debug, Clone)]
pub struct Stack<D = Absent, B = Absent, R = Absent, L = Absent, C = Absent, T = Absent> {
    pub(super) parts: Arc<Parts<D, B, R, L, C, T>>,
    pub(super) handles: Handles,
    pub(super) plan: Plan,
}

/// A [`Stack`] as [`Stack::standard`] builds it, if no part is added or changed in kind.
pub type StandardStack =
    Stack<DeadlineLayer, BulkheadLayer, RetryLayer, Absent, CircuitBreakerLayer, TimeoutLayer>;

/// The service `S` under a [`StandardStack`].
pub type StandardService<S> = <StandardStack as Layer<S>>::Service;

impl Stack {
    /// Returns a builder without parts.
    pub fn builder() -> StackBuilder {
        StackBuilder::new()
    }

    /// Returns a builder with the parts that have a default for every service: a deadline of 30 s,
    /// a bulkhead, a retry and a circuit breaker with their defaults, and an attempt timeout of 8
    /// s, which leaves time for all three attempts. Parts that are set later replace these.
    ///
    /// Without a rate limit, which depends on the service.
    pub fn standard(name: impl Into<Name>) -> StandardBuilder {
        StackBuilder::standard(name.into())
    }
}

impl<D, B, R, L, C, T> Stack<D, B, R, L, C, T> {
    /// Returns the worst case of the stack.
    #[must_use]
    pub const fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Returns the bulkhead that all calls use. `None` without one, or where there is one for each
    /// key: [`bulkhead_layer`](Self::bulkhead_layer) has their store, and a change of configuration
    /// through any of them reaches all.
    #[must_use]
    pub const fn bulkhead(&self) -> Option<&Bulkhead> {
        self.handles.bulkhead.as_ref()
    }

    /// Returns the retry policy. `None` without retries.
    #[must_use]
    pub const fn retry(&self) -> Option<&RetryPolicy> {
        self.handles.retry.as_ref()
    }

    /// Returns the budget that pays for retries. Give it to everything else that calls the same
    /// service.
    pub fn budget(&self) -> Option<&RetryBudget> {
        self.retry().and_then(RetryPolicy::budget)
    }

    /// Returns the rate limiter that all calls use. `None` without one, or where there is one for
    /// each key: [`rate_limit_layer`](Self::rate_limit_layer) has their store, and a change of
    /// configuration through any of them reaches all.
    #[must_use]
    pub const fn rate_limit(&self) -> Option<&RateLimiter> {
        self.handles.rate_limit.as_ref()
    }

    /// Returns the circuit breaker that all calls use. `None` without one, or where there is one
    /// for each key: [`circuit_breaker_layer`](Self::circuit_breaker_layer) has their store, and a
    /// change of configuration through any of them reaches all.
    #[must_use]
    pub const fn circuit_breaker(&self) -> Option<&CircuitBreaker> {
        self.handles.circuit_breaker.as_ref()
    }

    /// Returns the layer of the bulkhead, with the store where there is a bulkhead for each key.
    #[must_use]
    pub fn bulkhead_layer(&self) -> &B {
        &self.parts.bulkhead
    }

    /// Returns the layer of the rate limit, with the store where there is a limiter for each key.
    #[must_use]
    pub fn rate_limit_layer(&self) -> &L {
        &self.parts.rate_limit
    }

    /// Returns the layer of the breaker, with the store where there is a circuit for each key.
    #[must_use]
    pub fn circuit_breaker_layer(&self) -> &C {
        &self.parts.circuit_breaker
    }

    /// Returns the state of every part now, except parts with a state for each key.
    #[must_use]
    pub fn snapshot(&self) -> StackSnapshot {
        self.handles.snapshot()
    }

    /// Returns the bytes of a call of `S` through this stack, with the future of `S` and the
    /// request.
    #[must_use]
    pub const fn bytes_per_call<S, Req>(&self) -> usize
    where
        S: Service<Req>,
        Parts<D, B, R, L, C, T>: PartSet<Req, S::Response, S::Error>,
    {
        size_of::<ResponseFuture<S, Parts<D, B, R, L, C, T>, Req>>()
    }
}

/// Visits the gauges of its [`Bulkhead`], [`RetryBudget`], [`RateLimiter`] and [`CircuitBreaker`].
/// Parts with a state for each key are left out: record their stores.
impl<D, B, R, L, C, T> Gauges for Stack<D, B, R, L, C, T> {
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        self.handles.gauges(self.budget(), visit);
    }
}

impl<S, D, B, R, L, C, T> Layer<S> for Stack<D, B, R, L, C, T> {
    type Service = CallService<S, Parts<D, B, R, L, C, T>>;

    fn layer(&self, inner: S) -> Self::Service {
        // See docs/decisions/0013-a-stack-is-one-future.md.
        CallService::new(inner, self.parts.clone())
    }
}
