//! The limits of a server in one layer.

use std::marker::PhantomData;
use std::time::Duration;

use http::Request;
use resilience_core::bulkhead::{Bulkhead, BulkheadBuilder};
use resilience_core::keyed::{Key, KeyedLimits};
use resilience_core::rate::{Quota, RateLimiter, RateLimiterBuilder};
use resilience_core::{InvalidConfig, Name, OrInvalid};
use tower_layer::{Identity, Layer};

use super::limits::{ForAll, ForEach, Limit, LimitHandles, LimitSettings, Limits};
use super::map_service_error::MapServiceError;
use super::rejection_format::RejectionFormat;
use super::rejection_response::{RejectionResponse, RejectionResponseLayer};
use super::uploads::Uploads;
use crate::propagate::{ExtractContext, ExtractContextLayer};

/// The admission control of a server: [extracts](ExtractContextLayer) the context of requests,
/// applies the layer `L`, and [turns](RejectionResponseLayer) its rejections into responses. See
/// the [module](super).
///
/// The error type of the service is unchanged, so that the layer can be used in
/// `axum::Router::layer`. Services made by one value, and by its clones, share the state of `L`.
#[derive(Debug, Clone)]
pub struct AdmissionControlLayer<L> {
    extract: ExtractContextLayer,
    rejections: RejectionFormat,
    inner: L,
}

/// A service with admission control. Made by [`AdmissionControlLayer`].
pub type AdmissionControl<S> = ExtractContext<RejectionResponse<S>>;

impl<L> AdmissionControlLayer<L> {
    /// Creates admission control by your own layer or stack, whose rejections become responses.
    pub const fn new(inner: L) -> AdmissionControlLayer<L> {
        AdmissionControlLayer {
            extract: ExtractContextLayer::new(),
            rejections: RejectionFormat::new(),
            inner,
        }
    }

    /// Sets the layer that extracts the context of requests and limits how long they may take.
    #[must_use]
    pub fn extract(mut self, extract: ExtractContextLayer) -> AdmissionControlLayer<L> {
        self.extract = extract;
        self
    }

    /// Sets the format of rejections, those of requests after their deadline included.
    #[must_use]
    pub fn rejections(mut self, rejections: RejectionFormat) -> AdmissionControlLayer<L> {
        self.rejections = rejections;
        self
    }

    /// Returns the layer `L`, which has the handles of the limits.
    #[must_use]
    pub const fn get_ref(&self) -> &L {
        &self.inner
    }
}

impl AdmissionControlLayer<Limits> {
    /// Starts a builder without limits.
    pub fn builder() -> AdmissionControlBuilder {
        AdmissionControlBuilder {
            name: Name::from_static("server"),
            longest: None,
            longest_head: None,
            distrusts_headers: false,
            rejections: RejectionFormat::new(),
            limits: (Identity::new(), Identity::new(), Identity::new()),
        }
    }
}

impl<S, L: Layer<MapServiceError<S>>> Layer<S> for AdmissionControlLayer<L> {
    type Service = AdmissionControl<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = self.inner.layer(MapServiceError::new(inner));
        let responding = RejectionResponseLayer::new(self.rejections).layer(inner);
        self.extract.rejections(self.rejections).layer(responding)
    }
}

/// A builder of an [`AdmissionControlLayer`].
///
/// None of its limits has a queue: a request over a limit is rejected at once, with the time to
/// wait. For a queue, pass a stack that has one to [`AdmissionControlLayer::new`].
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct AdmissionControlBuilder<L = Identity, B = Identity, U = Identity> {
    name: Name,
    longest: Option<Duration>,
    longest_head: Option<Duration>,
    distrusts_headers: bool,
    rejections: RejectionFormat,
    /// Rate, concurrency and uploads: outermost first.
    limits: (L, B, U),
}

impl<L, B, U> AdmissionControlBuilder<L, B, U> {
    /// Sets the prefix of the layer names, which callers see too: `name.rate_limit`,
    /// `name.bulkhead`, `name.uploads`. `server` unless set.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets the longest time of a request, the body of its response included. A deadline in the
    /// request can only shorten it. See [`ExtractContextLayer::longest`].
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Sets the longest time until the head of a response. See
    /// [`ExtractContextLayer::longest_head`].
    pub fn longest_head(mut self, longest: Duration) -> Self {
        self.longest_head = Some(longest);
        self
    }

    /// Ignores the context in request headers. See [`ExtractContextLayer::distrust_headers`].
    pub fn distrust_headers(mut self) -> Self {
        self.distrusts_headers = true;
        self
    }

    /// Sets the format of rejections.
    pub fn rejections(mut self, rejections: RejectionFormat) -> Self {
        self.rejections = rejections;
        self
    }

    /// Sets the most requests at once. A request counts until the body of its response is written
    /// or dropped.
    pub fn concurrency(
        self,
        max_concurrent: u32,
    ) -> AdmissionControlBuilder<L, ForAll<BulkheadBuilder>, U> {
        self.map(|(rate, _, uploads)| (rate, ForAll(bulkhead(max_concurrent)), uploads))
    }

    /// Sets the most requests at once for each key that `key` returns for a request, such as its
    /// route or tenant.
    pub fn concurrency_per_key<K: Key, F, Req>(
        self,
        max_concurrent: u32,
        keys: KeyedLimits,
        key: F,
    ) -> AdmissionControlBuilder<L, ForEach<BulkheadBuilder, K, F, Req>, U>
    where
        F: Fn(&Request<Req>) -> K,
    {
        let each = ForEach { limit: bulkhead(max_concurrent), keys, key, of: PhantomData };
        self.map(|(rate, _, uploads)| (rate, each, uploads))
    }

    /// Sets a rate limit for all requests together, which is reported to callers. See
    /// [`HttpRateLimitLayer`](super::HttpRateLimitLayer).
    pub fn rate(
        self,
        quota: impl OrInvalid<Quota>,
    ) -> AdmissionControlBuilder<ForAll<RateLimiterBuilder>, B, U> {
        self.map(|(_, concurrency, uploads)| (ForAll(rate_limiter(quota)), concurrency, uploads))
    }

    /// Sets a rate limit for each key that `key` returns for a request.
    pub fn rate_per_key<K: Key, F, Req>(
        self,
        quota: impl OrInvalid<Quota>,
        keys: KeyedLimits,
        key: F,
    ) -> AdmissionControlBuilder<ForEach<RateLimiterBuilder, K, F, Req>, B, U>
    where
        F: Fn(&Request<Req>) -> K,
    {
        let each = ForEach { limit: rate_limiter(quota), keys, key, of: PhantomData };
        self.map(|(_, concurrency, uploads)| (each, concurrency, uploads))
    }

    /// Sets limits on the size and the slowness of request bodies. The service receives them as
    /// [`UploadBody`](super::UploadBody), and must be generic over the body type, as a router is.
    pub fn uploads(self, uploads: Uploads) -> AdmissionControlBuilder<L, B, ForAll<Uploads>> {
        self.map(|(rate, concurrency, _)| (rate, concurrency, ForAll(uploads)))
    }

    fn map<M, C, V>(
        self,
        change: impl FnOnce((L, B, U)) -> (M, C, V),
    ) -> AdmissionControlBuilder<M, C, V> {
        AdmissionControlBuilder {
            name: self.name,
            longest: self.longest,
            longest_head: self.longest_head,
            distrusts_headers: self.distrusts_headers,
            rejections: self.rejections,
            limits: change(self.limits),
        }
    }

    /// Builds the layer.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    #[expect(clippy::type_complexity, reason = "a layer for each limit")]
    pub fn build(
        self,
    ) -> Result<AdmissionControlLayer<Limits<L::Layer, B::Layer, U::Layer>>, InvalidConfig>
    where
        L: Limit,
        B: Limit,
        U: Limit,
    {
        // See docs/decisions/0017-a-server-checks-rates-first.md.
        let mut extract = ExtractContextLayer::new();
        if let Some(longest) = self.longest {
            extract = extract.longest(longest)?;
        }
        if let Some(longest) = self.longest_head {
            extract = extract.longest_head(longest)?;
        }
        if self.distrusts_headers {
            extract = extract.distrust_headers();
        }
        let settings = LimitSettings { name: &self.name, rejections: self.rejections };
        let mut handles = LimitHandles::default();
        let (rate, concurrency, uploads) = self.limits;
        let rate = rate.build(&settings, &mut handles)?;
        let concurrency = concurrency.build(&settings, &mut handles)?;
        let uploads = uploads.build(&settings, &mut handles)?;
        let inner = Limits { rate, concurrency, uploads, handles };
        Ok(AdmissionControlLayer { extract, rejections: self.rejections, inner })
    }
}

fn bulkhead(max_concurrent: u32) -> BulkheadBuilder {
    Bulkhead::builder().max_concurrent(max_concurrent).reject()
}

fn rate_limiter(quota: impl OrInvalid<Quota>) -> RateLimiterBuilder {
    RateLimiter::builder().quota(quota).reject()
}
