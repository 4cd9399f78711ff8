//! The builder of a stack.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::Duration;

use super::handles::Handles;
use super::layer::Stack;
use super::part::{Assembly, KeyedPart, PartSlot, PartSource, RetryWith, SharedPart};
use crate::breaker::CircuitBreaker;
use crate::bulkhead::Bulkhead;
use crate::call::{Absent, Parts};
use crate::config::InvalidConfig;
use crate::keyed::{Key, KeyedLimits};
use crate::name::Name;
use crate::observe::{Listen, Listener};
use crate::outcome::{Outcome, Standard};
use crate::rate::RateLimiter;
use crate::retry::{CloneRequest, RetryPolicy};
use crate::timeout::{DeadlineLayer, TimeoutLayer};

/// A builder of a [`Stack`]. Parts are set by name, in any order.
///
/// A part is a builder, a handle (which other stacks may have too), or the result of making one,
/// whose error [`build`](StackBuilder::build) returns. Builders get the stack's name and listener,
/// if they have none of their own.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct StackBuilder<
    K = Standard,
    D = Absent,
    B = Absent,
    R = Absent,
    L = Absent,
    C = Absent,
    T = Absent,
> {
    classifier: K,
    common: Common,
    /// Outermost first.
    slots: (D, B, R, L, C, T),
}

/// The builder that [`Stack::standard`] returns.
pub type StandardBuilder = StackBuilder<
    Standard,
    SharedPart<DeadlineLayer>,
    SharedPart<Bulkhead>,
    RetryWith,
    Absent,
    SharedPart<CircuitBreaker>,
    SharedPart<TimeoutLayer>,
>;

#[derive(Debug, Default)]
struct Common {
    name: Option<Name>,
    listener: Listener,
}

impl StackBuilder {
    pub(super) fn new() -> StackBuilder {
        let slots = (Absent, Absent, Absent, Absent, Absent, Absent);
        StackBuilder { classifier: Standard, common: Common::default(), slots }
    }

    pub(super) fn standard(name: Name) -> StandardBuilder {
        // See docs/decisions/0010-the-stack-has-one-order.md.
        StackBuilder::new()
            .name(name)
            .deadline(Duration::from_secs(30))
            .bulkhead(Bulkhead::builder())
            .retry(RetryPolicy::builder())
            .circuit_breaker(CircuitBreaker::builder())
            .attempt_timeout(Duration::from_secs(8))
    }
}

impl<K, D, B, R, L, C, T> StackBuilder<K, D, B, R, L, C, T> {
    /// Sets the name. Parts have these layer names in rejections and events: `name.bulkhead`,
    /// `name.retry`, `name.rate_limit`, `name.circuit_breaker`, `name.deadline`,
    /// `name.attempt_timeout`.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.common.name = Some(name.into());
        self
    }

    /// Notifies this listener of the events of all parts.
    pub fn listen(mut self, listener: impl Listen) -> Self {
        self.common.listener = Listener::new(listener);
        self
    }

    /// Sets the classifier of retry, rate limit and breaker to a closure.
    ///
    /// Rejections of inner layers are not passed to the closure.
    pub fn classify<X, E, F>(self, classifier: F) -> StackBuilder<F, D, B, R, L, C, T>
    where
        F: Fn(Result<&X, &E>) -> Outcome,
    {
        self.classifier(classifier)
    }

    /// Sets the classifier of retry, rate limit and breaker to a [`Classify`](crate::Classify)
    /// type.
    pub fn classifier<J>(self, classifier: J) -> StackBuilder<J, D, B, R, L, C, T> {
        StackBuilder { classifier, common: self.common, slots: self.slots }
    }

    /// Limits the time of a call, with all waits and attempts. Takes a duration or a layer.
    pub fn deadline(
        self,
        deadline: impl Into<PartSource<DeadlineLayer>>,
    ) -> StackBuilder<K, SharedPart<DeadlineLayer>, B, R, L, C, T> {
        let (_, b, r, l, c, t) = self.slots;
        let slots = (SharedPart(deadline.into()), b, r, l, c, t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Limits the concurrent calls. A call keeps its permit while it backs off.
    pub fn bulkhead(
        self,
        bulkhead: impl Into<PartSource<Bulkhead>>,
    ) -> StackBuilder<K, D, SharedPart<Bulkhead>, R, L, C, T> {
        let (d, _, r, l, c, t) = self.slots;
        let slots = (d, SharedPart(bulkhead.into()), r, l, c, t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Limits the concurrent calls for each key that `key` reads off a request.
    pub fn bulkhead_per_key<Q: Key, F, Req>(
        self,
        bulkhead: impl Into<PartSource<Bulkhead>>,
        limits: KeyedLimits,
        key: F,
    ) -> StackBuilder<K, D, KeyedPart<Bulkhead, F, Req>, R, L, C, T>
    where
        F: Fn(&Req) -> Q,
    {
        let (d, _, r, l, c, t) = self.slots;
        let slots = (d, KeyedPart::new(bulkhead, limits, key), r, l, c, t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Sets the retry policy: attempts, backoff and budget.
    ///
    /// The stack's classifier takes the place of the policy's.
    pub fn retry(
        self,
        policy: impl Into<PartSource<RetryPolicy>>,
    ) -> StackBuilder<K, D, B, RetryWith, L, C, T> {
        let (d, b, _, l, c, t) = self.slots;
        let slots = (d, b, RetryWith { given: policy.into(), replay: CloneRequest }, l, c, t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Limits the rate of attempts. An attempt that the breaker rejects does not count.
    pub fn rate_limit(
        self,
        limiter: impl Into<PartSource<RateLimiter>>,
    ) -> StackBuilder<K, D, B, R, SharedPart<RateLimiter>, C, T> {
        let (d, b, r, _, c, t) = self.slots;
        let slots = (d, b, r, SharedPart(limiter.into()), c, t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Limits the rate of attempts for each key that `key` reads off a request.
    pub fn rate_limit_per_key<Q: Key, F, Req>(
        self,
        limiter: impl Into<PartSource<RateLimiter>>,
        limits: KeyedLimits,
        key: F,
    ) -> StackBuilder<K, D, B, R, KeyedPart<RateLimiter, F, Req>, C, T>
    where
        F: Fn(&Req) -> Q,
    {
        let (d, b, r, _, c, t) = self.slots;
        let slots = (d, b, r, KeyedPart::new(limiter, limits, key), c, t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Sets the circuit breaker.
    pub fn circuit_breaker(
        self,
        breaker: impl Into<PartSource<CircuitBreaker>>,
    ) -> StackBuilder<K, D, B, R, L, SharedPart<CircuitBreaker>, T> {
        let (d, b, r, l, _, t) = self.slots;
        let slots = (d, b, r, l, SharedPart(breaker.into()), t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Sets a circuit for each key that `key` reads off a request.
    pub fn circuit_breaker_per_key<Q: Key, F, Req>(
        self,
        breaker: impl Into<PartSource<CircuitBreaker>>,
        limits: KeyedLimits,
        key: F,
    ) -> StackBuilder<K, D, B, R, L, KeyedPart<CircuitBreaker, F, Req>, T>
    where
        F: Fn(&Req) -> Q,
    {
        let (d, b, r, l, _, t) = self.slots;
        let slots = (d, b, r, l, KeyedPart::new(breaker, limits, key), t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Limits the time of an attempt. Takes a duration or a layer.
    pub fn attempt_timeout(
        self,
        timeout: impl Into<PartSource<TimeoutLayer>>,
    ) -> StackBuilder<K, D, B, R, L, C, SharedPart<TimeoutLayer>> {
        let (d, b, r, l, c, _) = self.slots;
        let slots = (d, b, r, l, c, SharedPart(timeout.into()));
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }

    /// Builds the stack.
    ///
    /// # Errors
    /// If a value is out of its bounds, or two parts contradict each other; the [module](super)
    /// lists the checks. Settings that work, but hardly as intended, are in
    /// [`Plan::warnings`](super::Plan).
    #[expect(clippy::type_complexity, reason = "a layer for each parameter")]
    pub fn build(
        self,
    ) -> Result<Stack<D::Layer, B::Layer, R::Layer, L::Layer, C::Layer, T::Layer>, InvalidConfig>
    where
        D: PartSlot<K>,
        B: PartSlot<K>,
        R: PartSlot<K>,
        L: PartSlot<K>,
        C: PartSlot<K>,
        T: PartSlot<K>,
    {
        let mut handles = Handles::default();
        let mut models = Handles::default();
        let assembly = &mut Assembly {
            name: self.common.name.as_ref(),
            listener: &self.common.listener,
            classifier: &self.classifier,
            handles: &mut handles,
            models: &mut models,
        };
        let (d, b, r, l, c, t) = self.slots;
        let parts = Parts {
            deadline: d.fill(assembly)?,
            bulkhead: b.fill(assembly)?,
            retry: r.fill(assembly)?,
            rate_limit: l.fill(assembly)?,
            circuit_breaker: c.fill(assembly)?,
            attempt_timeout: t.fill(assembly)?,
        };
        let all = handles.with_models(&models);
        let plan = all.plan_input().plan(all.heap_bytes())?;
        Ok(Stack { parts: Arc::new(parts), handles, plan })
    }
}

impl<K, D, B, R, L, C, T> StackBuilder<K, D, B, RetryWith<R>, L, C, T> {
    /// Sets the copy of a request for a retry: a closure from `&Req` to `Option<Req>`. A request
    /// with `None` is sent once. Requests are cloned by default.
    pub fn replay<F, Req>(self, replay: F) -> StackBuilder<K, D, B, RetryWith<F>, L, C, T>
    where
        F: Fn(&Req) -> Option<Req>,
    {
        self.replayed_by(replay)
    }

    /// Sets the copy of a request for a retry with a [`Replay`](crate::retry::Replay) type.
    pub fn replayed_by<F>(self, replay: F) -> StackBuilder<K, D, B, RetryWith<F>, L, C, T> {
        let (d, b, r, l, c, t) = self.slots;
        let slots = (d, b, RetryWith { given: r.given, replay }, l, c, t);
        StackBuilder { classifier: self.classifier, common: self.common, slots }
    }
}

impl<P: super::part::BuiltPart, F, Req> KeyedPart<P, F, Req> {
    fn new(given: impl Into<PartSource<P>>, limits: KeyedLimits, key: F) -> KeyedPart<P, F, Req> {
        KeyedPart { given: given.into(), limits, key, request: PhantomData }
    }
}
