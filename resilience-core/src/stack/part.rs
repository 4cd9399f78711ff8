//! The parts that a stack is built from.

use std::fmt;
use std::time::Duration;

use crate::breaker::{CircuitBreaker, CircuitBreakerBuilder, CircuitBreakerLayer};
use crate::bulkhead::{Bulkhead, BulkheadBuilder, BulkheadLayer};
use crate::call::Absent;
use crate::config::InvalidConfig;
use crate::keyed::{Key, KeyedLimits};
use crate::name::Name;
use crate::observe::{Event, Listen, Listener};
use crate::rate::{RateLimitLayer, RateLimiter, RateLimiterBuilder};
use crate::retry::{CloneRequest, RetryLayer, RetryPolicy, RetryPolicyBuilder};
use crate::select::PerKey;
use crate::timeout::{DeadlineLayer, TimeoutLayer};

use super::handles::Handles;

/// The stack's name, listener and classifier, for its parts.
#[doc(hidden)]
#[derive(Debug)]
pub struct Assembly<'a, K> {
    pub(super) name: Option<&'a Name>,
    pub(super) listener: &'a Listener,
    pub(super) classifier: &'a K,
    pub(super) handles: &'a mut Handles,
    /// The models that the states of keys are made from. No call uses them.
    pub(super) models: &'a mut Handles,
}

impl<K> Assembly<'_, K> {
    /// Gives the stack's name to a part without a name, and its listener to a part without a
    /// listener.
    fn adopt(&self, part: &str, unnamed: &Name, name: &mut Name, listener: &mut Listener) {
        if let Some(stack) = self.name
            && name == unnamed
        {
            *name = format!("{stack}.{part}").into();
        }
        if listener.is_none() {
            *listener = self.listener.clone();
        }
    }
}

/// Notifies the listener in this place: several parts share it.
impl Listen for Listener {
    fn event(&self, event: &Event<'_>) {
        self.notify(|| *event);
    }
}

/// A part that a stack can build.
pub trait BuiltPart: Sized {
    /// The builder of the part.
    type Builder;

    /// Builds the part, with the stack's name and listener where it has none of its own.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    fn finish<K>(builder: Self::Builder, assembly: &Assembly<'_, K>)
    -> Result<Self, InvalidConfig>;
}

/// A part of a stack, as a handle, as the result of a builder, or as a builder, which gets the
/// stack's name and listener where it has none.
#[doc(hidden)]
pub struct PartSource<P: BuiltPart>(Source<P>);

enum Source<P: BuiltPart> {
    Ready(Result<P, InvalidConfig>),
    Builder(P::Builder),
}

impl<P: BuiltPart> PartSource<P> {
    fn finish<K>(self, assembly: &Assembly<'_, K>) -> Result<P, InvalidConfig> {
        match self.0 {
            Source::Ready(part) => part,
            Source::Builder(builder) => P::finish(builder, assembly),
        }
    }
}

impl<P: BuiltPart> From<P> for PartSource<P> {
    fn from(part: P) -> PartSource<P> {
        PartSource(Source::Ready(Ok(part)))
    }
}

impl<P: BuiltPart> From<Result<P, InvalidConfig>> for PartSource<P> {
    fn from(part: Result<P, InvalidConfig>) -> PartSource<P> {
        PartSource(Source::Ready(part))
    }
}

impl<P: BuiltPart> fmt::Debug for PartSource<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Source::Ready(Ok(_)) => "ready",
            Source::Ready(Err(_)) => "invalid",
            Source::Builder(_) => "builder",
        })
    }
}

macro_rules! parts_with_builders {
    ($($part:ident from $builder:ty, called $name:literal $(in its $draft:ident)?;)+) => {$(
        impl BuiltPart for $part {
            type Builder = $builder;

            fn finish<K>(
                mut builder: $builder,
                assembly: &Assembly<'_, K>,
            ) -> Result<$part, InvalidConfig> {
                let unnamed = $part::builder()$(.$draft)?.name;
                let named = &mut builder$(.$draft)?;
                assembly.adopt($name, &unnamed, &mut named.name, &mut named.listener);
                builder.build()
            }
        }

        impl From<$builder> for PartSource<$part> {
            fn from(builder: $builder) -> PartSource<$part> {
                PartSource(Source::Builder(builder))
            }
        }
    )+};
}
parts_with_builders! {
    Bulkhead from BulkheadBuilder, called "bulkhead";
    RetryPolicy from RetryPolicyBuilder, called "retry" in its draft;
    RateLimiter from RateLimiterBuilder, called "rate_limit";
    CircuitBreaker from CircuitBreakerBuilder, called "circuit_breaker";
}

macro_rules! parts_of_a_duration {
    ($($part:ident called $name:literal;)+) => {$(
        impl BuiltPart for $part {
            type Builder = Duration;

            fn finish<K>(
                limit: Duration,
                assembly: &Assembly<'_, K>,
            ) -> Result<$part, InvalidConfig> {
                let field = |error: InvalidConfig| InvalidConfig::new($name, error.value(), error.bound());
                let layer = $part::new(limit).map_err(field)?.listen(assembly.listener.clone());
                Ok(match assembly.name {
                    Some(stack) => layer.name(format!(concat!("{}.", $name), stack)),
                    None => layer,
                })
            }
        }

        impl From<Duration> for PartSource<$part> {
            fn from(limit: Duration) -> PartSource<$part> {
                PartSource(Source::Builder(limit))
            }
        }
    )+};
}
parts_of_a_duration! {
    DeadlineLayer called "deadline";
    TimeoutLayer called "attempt_timeout";
}

/// A place in a stack, and the part in it.
pub trait PartSlot<K> {
    /// The layer in this place.
    type Layer;

    /// Builds the layer.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<Self::Layer, InvalidConfig>;
}

impl<K> PartSlot<K> for Absent {
    type Layer = Absent;

    fn fill(self, _: &mut Assembly<'_, K>) -> Result<Absent, InvalidConfig> {
        Ok(Absent)
    }
}

/// A part for all calls.
#[doc(hidden)]
#[derive(Debug)]
pub struct SharedPart<P: BuiltPart>(pub(super) PartSource<P>);

/// A part of its own for each key, all with the same configuration.
#[doc(hidden)]
#[derive(Debug)]
pub struct KeyedPart<P: BuiltPart, F, Req> {
    pub(super) given: PartSource<P>,
    pub(super) limits: KeyedLimits,
    pub(super) key: F,
    pub(super) request: std::marker::PhantomData<fn(&Req)>,
}

/// A retry policy, and the replay that copies requests.
#[doc(hidden)]
#[derive(Debug)]
pub struct RetryWith<R = CloneRequest> {
    pub(super) given: PartSource<RetryPolicy>,
    pub(super) replay: R,
}

impl<K> PartSlot<K> for SharedPart<DeadlineLayer> {
    type Layer = DeadlineLayer;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<DeadlineLayer, InvalidConfig> {
        let layer = self.0.finish(assembly)?;
        assembly.handles.deadline = Some(layer.limit());
        Ok(layer)
    }
}

impl<K> PartSlot<K> for SharedPart<TimeoutLayer> {
    type Layer = TimeoutLayer;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<TimeoutLayer, InvalidConfig> {
        let layer = self.0.finish(assembly)?;
        assembly.handles.attempt_timeout = Some(layer.limit());
        Ok(layer)
    }
}

impl<K> PartSlot<K> for SharedPart<Bulkhead> {
    type Layer = BulkheadLayer;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<BulkheadLayer, InvalidConfig> {
        let bulkhead = self.0.finish(assembly)?;
        assembly.handles.bulkhead = Some(bulkhead.clone());
        Ok(BulkheadLayer::new(bulkhead))
    }
}

impl<K: Clone, R> PartSlot<K> for RetryWith<R> {
    type Layer = RetryLayer<K, R>;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<RetryLayer<K, R>, InvalidConfig> {
        let policy = self.given.finish(assembly)?;
        let layer = RetryLayer::new(policy.with_classifier(assembly.classifier.clone()));
        assembly.handles.retry = Some(policy);
        Ok(layer.replayed_by(self.replay))
    }
}

impl<K: Clone> PartSlot<K> for SharedPart<RateLimiter> {
    type Layer = RateLimitLayer<K>;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<RateLimitLayer<K>, InvalidConfig> {
        let limiter = self.0.finish(assembly)?;
        assembly.handles.rate_limit = Some(limiter.clone());
        Ok(RateLimitLayer::new(limiter).classifier(assembly.classifier.clone()))
    }
}

impl<K: Clone> PartSlot<K> for SharedPart<CircuitBreaker> {
    type Layer = CircuitBreakerLayer<K>;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<CircuitBreakerLayer<K>, InvalidConfig> {
        let breaker = self.0.finish(assembly)?;
        assembly.handles.circuit_breaker = Some(breaker.clone());
        Ok(CircuitBreakerLayer::new(breaker).classifier(assembly.classifier.clone()))
    }
}

impl<K, Q: Key, F: Fn(&Req) -> Q, Req> PartSlot<K> for KeyedPart<Bulkhead, F, Req> {
    type Layer = BulkheadLayer<PerKey<Q, Bulkhead, F>>;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<Self::Layer, InvalidConfig> {
        let bulkhead = self.given.finish(assembly)?;
        assembly.models.bulkhead = Some(bulkhead.clone());
        Ok(BulkheadLayer::per_key(bulkhead, self.limits, self.key))
    }
}

impl<K: Clone, Q: Key, F: Fn(&Req) -> Q, Req> PartSlot<K> for KeyedPart<RateLimiter, F, Req> {
    type Layer = RateLimitLayer<K, PerKey<Q, RateLimiter, F>>;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<Self::Layer, InvalidConfig> {
        let limiter = self.given.finish(assembly)?;
        assembly.models.rate_limit = Some(limiter.clone());
        let layer = RateLimitLayer::per_key(limiter, self.limits, self.key);
        Ok(layer.classifier(assembly.classifier.clone()))
    }
}

impl<K: Clone, Q: Key, F: Fn(&Req) -> Q, Req> PartSlot<K> for KeyedPart<CircuitBreaker, F, Req> {
    type Layer = CircuitBreakerLayer<K, PerKey<Q, CircuitBreaker, F>>;

    fn fill(self, assembly: &mut Assembly<'_, K>) -> Result<Self::Layer, InvalidConfig> {
        let breaker = self.given.finish(assembly)?;
        assembly.models.circuit_breaker = Some(breaker.clone());
        let layer = CircuitBreakerLayer::per_key(breaker, self.limits, self.key);
        Ok(layer.classifier(assembly.classifier.clone()))
    }
}
