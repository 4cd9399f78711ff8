//! The limits of a server, and how they are built.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use http::Request;
use resilience_core::bulkhead::{Bulkhead, BulkheadBuilder};
use resilience_core::keyed::{Key, Keyed, KeyedLimits};
use resilience_core::rate::{RateLimiter, RateLimiterBuilder};
use resilience_core::select::{One, PerKey};
use resilience_core::{InvalidConfig, Name};
use tower_layer::{Identity, Layer};

use super::rate_limit::HttpRateLimitLayer;
use super::rejection_format::RejectionFormat;
use super::uploads::{Uploads, UploadsLayer};
use crate::body::BodyBulkheadLayer;

/// The limits of a server, outermost first. Made by
/// [`AdmissionControlBuilder`](super::AdmissionControlBuilder); a limit that is not set is
/// [`Identity`].
#[derive(Debug, Clone)]
pub struct Limits<L = Identity, B = Identity, U = Identity> {
    pub(super) rate: L,
    pub(super) concurrency: B,
    pub(super) uploads: U,
    pub(super) handles: LimitHandles,
}

/// Handles of the limits that all requests share. Clones share the limits.
#[derive(Debug, Clone, Default)]
pub struct LimitHandles {
    bulkhead: Option<Bulkhead>,
    limiter: Option<RateLimiter>,
}

impl<L, B, U> Limits<L, B, U> {
    /// Returns the bulkhead that all requests use. `None` without one, or where there is one for
    /// each key: the selector of [`concurrency_layer`](Self::concurrency_layer) has their store,
    /// and a change of configuration through any of them reaches all.
    #[must_use]
    pub const fn bulkhead(&self) -> Option<&Bulkhead> {
        self.handles.bulkhead.as_ref()
    }

    /// Returns the rate limiter that all requests use. `None` without one, or where there is one
    /// for each key: the selector of [`rate_layer`](Self::rate_layer) has their store, and a change
    /// of configuration through any of them reaches all.
    #[must_use]
    pub const fn rate_limiter(&self) -> Option<&RateLimiter> {
        self.handles.limiter.as_ref()
    }

    /// Returns the layer of the rate limit. With one limiter for each key, its selector has their
    /// store.
    #[must_use]
    pub const fn rate_layer(&self) -> &L {
        &self.rate
    }

    /// Returns the layer of the concurrency limit. With one bulkhead for each key, its selector has
    /// their store.
    #[must_use]
    pub const fn concurrency_layer(&self) -> &B {
        &self.concurrency
    }
}

impl<S, L, B, U> Layer<S> for Limits<L, B, U>
where
    U: Layer<S>,
    B: Layer<U::Service>,
    L: Layer<B::Service>,
{
    type Service = L::Service;

    fn layer(&self, inner: S) -> Self::Service {
        self.rate.layer(self.concurrency.layer(self.uploads.layer(inner)))
    }
}

/// A configured limit that can be built. Implemented by the types of this module only; it is public
/// because [`AdmissionControlBuilder::build`](super::AdmissionControlBuilder::build) names it.
pub trait Limit {
    /// Layer that enforces the limit.
    type Layer;

    /// Builds the layer, and puts a handle of a limit that all requests share into `handles`.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    fn build(
        self,
        settings: &LimitSettings<'_>,
        handles: &mut LimitHandles,
    ) -> Result<Self::Layer, InvalidConfig>;
}

/// Settings that the limits of a server share.
#[derive(Debug)]
pub struct LimitSettings<'a> {
    pub(super) name: &'a Name,
    pub(super) rejections: RejectionFormat,
}

impl LimitSettings<'_> {
    fn name_of(&self, part: &str) -> Name {
        format!("{}.{part}", self.name).into()
    }
}

/// Builds no limit.
impl Limit for Identity {
    type Layer = Identity;

    fn build(self, _: &LimitSettings<'_>, _: &mut LimitHandles) -> Result<Identity, InvalidConfig> {
        Ok(self)
    }
}

/// A configured limit that all requests share.
#[derive(Debug)]
pub struct ForAll<T>(pub(super) T);

/// A configured limit for each key of the requests.
pub struct ForEach<T, K, F, Req> {
    pub(super) limit: T,
    pub(super) keys: KeyedLimits,
    pub(super) key: F,
    pub(super) of: PhantomData<fn(&Request<Req>) -> K>,
}

impl<T: fmt::Debug, K, F, Req> fmt::Debug for ForEach<T, K, F, Req> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ForEach").field("limit", &self.limit).finish_non_exhaustive()
    }
}

impl Limit for ForAll<BulkheadBuilder> {
    type Layer = BodyBulkheadLayer;

    fn build(
        self,
        settings: &LimitSettings<'_>,
        handles: &mut LimitHandles,
    ) -> Result<Self::Layer, InvalidConfig> {
        let bulkhead = self.0.name(settings.name_of("bulkhead")).build()?;
        handles.bulkhead = Some(bulkhead.clone());
        Ok(BodyBulkheadLayer::new(bulkhead).until_written())
    }
}

impl<K: Key, F, Req> Limit for ForEach<BulkheadBuilder, K, F, Req>
where
    F: Fn(&Request<Req>) -> K,
{
    type Layer = BodyBulkheadLayer<Arc<PerKey<K, Bulkhead, F>>>;

    fn build(
        self,
        settings: &LimitSettings<'_>,
        _: &mut LimitHandles,
    ) -> Result<Self::Layer, InvalidConfig> {
        let bulkhead = self.limit.name(settings.name_of("bulkhead")).build()?;
        let store = Keyed::new(self.keys, move |_: &K| bulkhead.fresh());
        Ok(BodyBulkheadLayer::select(Arc::new(PerKey::new(store, self.key))).until_written())
    }
}

impl Limit for ForAll<RateLimiterBuilder> {
    type Layer = HttpRateLimitLayer;

    fn build(
        self,
        settings: &LimitSettings<'_>,
        handles: &mut LimitHandles,
    ) -> Result<Self::Layer, InvalidConfig> {
        let name = settings.name_of("rate_limit");
        let limiter = self.0.name(name.clone()).build()?;
        handles.limiter = Some(limiter.clone());
        Ok(HttpRateLimitLayer::new(name, One::new(limiter)).rejections(settings.rejections))
    }
}

impl<K: Key, F, Req> Limit for ForEach<RateLimiterBuilder, K, F, Req>
where
    F: Fn(&Request<Req>) -> K,
{
    type Layer = HttpRateLimitLayer<Arc<PerKey<K, RateLimiter, F>>>;

    fn build(
        self,
        settings: &LimitSettings<'_>,
        _: &mut LimitHandles,
    ) -> Result<Self::Layer, InvalidConfig> {
        let name = settings.name_of("rate_limit");
        let limiter = self.limit.name(name.clone()).build()?;
        let store = Keyed::new(self.keys, move |_: &K| limiter.fresh());
        let select = Arc::new(PerKey::new(store, self.key));
        Ok(HttpRateLimitLayer::new(name, select).rejections(settings.rejections))
    }
}

impl Limit for ForAll<Uploads> {
    type Layer = UploadsLayer;

    fn build(
        self,
        settings: &LimitSettings<'_>,
        _: &mut LimitHandles,
    ) -> Result<Self::Layer, InvalidConfig> {
        Ok(UploadsLayer::new(settings.name_of("uploads"), self.0)?.rejections(settings.rejections))
    }
}
