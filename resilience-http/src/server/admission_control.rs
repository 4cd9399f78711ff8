//! All of the server's side in one layer.

use std::marker::PhantomData;
use std::time::Duration;

use http::Request;
use resilience_core::bulkhead::{Bulkhead, BulkheadBuilder};
use resilience_core::keyed::{Key, KeyedLimits};
use resilience_core::rate::{Quota, RateLimiter, RateLimiterBuilder};
use resilience_core::{InvalidConfig, Name, OrInvalid};
use tower_layer::{Identity, Layer};

use super::limits::{ForAll, ForEach, Limit, Limits, Made, Shared};
use super::map_service_error::MapServiceError;
use super::rejection_format::RejectionFormat;
use super::rejection_response::{RejectionResponse, RejectionResponseLayer};
use super::uploads::Uploads;
use crate::propagate::{ExtractContext, ExtractContextLayer};

/// Protects a server: goes by what requests [bring along](ExtractContextLayer), lets them through the layer `L`,
/// and [answers](RejectionResponseLayer) what is refused there. See the [module](super).
///
/// The errors of the service it is applied to stay what they are, so that it can stand in an
/// `axum::Router::layer`. Every service made by one value, and by its clones, shares what `L` shares.
#[derive(Debug, Clone)]
pub struct AdmissionControlLayer<L> {
    accept: ExtractContextLayer,
    rejections: RejectionFormat,
    inner: L,
}

/// A service that is protected. Made by [`AdmissionControlLayer`].
pub type AdmissionControl<S> = ExtractContext<RejectionResponse<S>>;

impl<L> AdmissionControlLayer<L> {
    /// By a layer, or a stack of them, of one's own: what it refuses is answered.
    pub const fn new(inner: L) -> AdmissionControlLayer<L> {
        AdmissionControlLayer {
            accept: ExtractContextLayer::new(),
            rejections: RejectionFormat::new(),
            inner,
        }
    }

    /// What is read off requests, and how long they may take.
    #[must_use]
    pub fn accept(mut self, accept: ExtractContextLayer) -> AdmissionControlLayer<L> {
        self.accept = accept;
        self
    }

    /// How rejections are answered, those of requests that are too late included.
    #[must_use]
    pub fn rejections(mut self, rejections: RejectionFormat) -> AdmissionControlLayer<L> {
        self.rejections = rejections;
        self
    }

    /// The layer between: its handles and counts.
    #[must_use]
    pub const fn get_ref(&self) -> &L {
        &self.inner
    }
}

impl AdmissionControlLayer<Limits> {
    /// Starts with nothing that limits.
    pub fn builder() -> AdmissionControlBuilder {
        AdmissionControlBuilder {
            name: Name::from_static("server"),
            longest: None,
            longest_head: None,
            distrusts: false,
            rejections: RejectionFormat::new(),
            limits: (Identity::new(), Identity::new(), Identity::new()),
        }
    }
}

impl<S, L: Layer<MapServiceError<S>>> Layer<S> for AdmissionControlLayer<L> {
    type Service = AdmissionControl<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = self.inner.layer(MapServiceError::new(inner));
        let answering = RejectionResponseLayer::new(self.rejections).layer(inner);
        self.accept.rejections(self.rejections).layer(answering)
    }
}

/// A [`AdmissionControlLayer`] in the making. Nothing waits here: a request that does not get in is refused at once,
/// and told when to come back. To let some wait, give [`AdmissionControlLayer::new`] a stack that does.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct AdmissionControlBuilder<L = Identity, B = Identity, U = Identity> {
    name: Name,
    longest: Option<Duration>,
    longest_head: Option<Duration>,
    distrusts: bool,
    rejections: RejectionFormat,
    /// Outermost first.
    limits: (L, B, U),
}

impl<L, B, U> AdmissionControlBuilder<L, B, U> {
    /// What the limits are called, also to callers: `name.rate_limit`, `name.bulkhead`, `name.uploads`. `server` if
    /// it is not said.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Ends answers that take longer, body included, whatever their requests ask for. See [`ExtractContextLayer::longest`].
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Ends requests whose answers do not begin within this time. See [`ExtractContextLayer::longest_head`].
    pub fn longest_head(mut self, longest: Duration) -> Self {
        self.longest_head = Some(longest);
        self
    }

    /// Believes no header. See [`ExtractContextLayer::distrust_headers`].
    pub fn distrust_headers(mut self) -> Self {
        self.distrusts = true;
        self
    }

    /// How rejections are answered.
    pub fn rejections(mut self, rejections: RejectionFormat) -> Self {
        self.rejections = rejections;
        self
    }

    /// Sets how many requests may be under way at once, until the bodies of their answers are written or given up.
    pub fn concurrency(self, most: u32) -> AdmissionControlBuilder<L, ForAll<BulkheadBuilder>, U> {
        self.map(|(rate, _, uploads)| (rate, ForAll(at_once(most)), uploads))
    }

    /// So many at once for each key that `key` reads off a request: a route, a tenant.
    pub fn concurrency_per_key<K: Key, F, Req>(
        self,
        most: u32,
        keys: KeyedLimits,
        key: F,
    ) -> AdmissionControlBuilder<L, ForEach<BulkheadBuilder, K, F, Req>, U>
    where
        F: Fn(&Request<Req>) -> K,
    {
        let each = ForEach { limit: at_once(most), keys, key, of: PhantomData };
        self.map(|(rate, _, uploads)| (rate, each, uploads))
    }

    /// So many requests in how long. [`RateLimit`](super::HttpRateLimitLayer) tells callers.
    pub fn rate(
        self,
        quota: impl OrInvalid<Quota>,
    ) -> AdmissionControlBuilder<ForAll<RateLimiterBuilder>, B, U> {
        self.map(|(_, concurrency, uploads)| (ForAll(in_how_long(quota)), concurrency, uploads))
    }

    /// So many in how long for each key that `key` reads off a request.
    pub fn rate_per_key<K: Key, F, Req>(
        self,
        quota: impl OrInvalid<Quota>,
        keys: KeyedLimits,
        key: F,
    ) -> AdmissionControlBuilder<ForEach<RateLimiterBuilder, K, F, Req>, B, U>
    where
        F: Fn(&Request<Req>) -> K,
    {
        let each = ForEach { limit: in_how_long(quota), keys, key, of: PhantomData };
        self.map(|(_, concurrency, uploads)| (each, concurrency, uploads))
    }

    /// How large requests' bodies may be, and how slowly they may come. The service gets them as
    /// [`UploadBody`](super::UploadBody), and so must take any body, as a router does.
    pub fn uploads(self, uploads: Uploads) -> AdmissionControlBuilder<L, B, ForAll<Uploads>> {
        self.map(|(rate, concurrency, _)| (rate, concurrency, ForAll(uploads)))
    }

    fn map<M, C, V>(
        self,
        change: impl FnOnce((L, B, U)) -> (M, C, V),
    ) -> AdmissionControlBuilder<M, C, V> {
        let AdmissionControlBuilder { name, longest, longest_head, distrusts, rejections, limits } =
            self;
        let limits = change(limits);
        AdmissionControlBuilder { name, longest, longest_head, distrusts, rejections, limits }
    }

    /// The layer.
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
        let mut accept = ExtractContextLayer::new();
        if let Some(longest) = self.longest {
            accept = accept.longest(longest)?;
        }
        if let Some(longest) = self.longest_head {
            accept = accept.longest_head(longest)?;
        }
        if self.distrusts {
            accept = accept.distrust_headers();
        }
        let server = Shared { name: &self.name, rejections: self.rejections };
        let (mut made, (rate, concurrency, uploads)) = (Made::default(), self.limits);
        let rate = rate.build(&server, &mut made)?;
        let concurrency = concurrency.build(&server, &mut made)?;
        let uploads = uploads.build(&server, &mut made)?;
        let inner = Limits { rate, concurrency, uploads, handles: made.0 };
        Ok(AdmissionControlLayer { accept, rejections: self.rejections, inner })
    }
}

fn at_once(most: u32) -> BulkheadBuilder {
    Bulkhead::builder().max_concurrent(most).reject()
}

fn in_how_long(quota: impl OrInvalid<Quota>) -> RateLimiterBuilder {
    RateLimiter::builder().quota(quota).reject()
}
