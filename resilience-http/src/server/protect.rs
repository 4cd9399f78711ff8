//! All of the server's side in one layer.

use std::marker::PhantomData;
use std::time::Duration;

use http::Request;
use resilience_core::bulkhead::{Bulkhead, BulkheadBuilder};
use resilience_core::keyed::{Key, KeyedLimits};
use resilience_core::rate::{Quota, RateLimiter, RateLimiterBuilder};
use resilience_core::{InvalidConfig, Name, OrInvalid};
use tower_layer::{Identity, Layer};

use super::answer::{AnswerRefusals, AnswerRefusalsLayer};
use super::carry::Carry;
use super::limits::{ForAll, ForEach, Limit, Limits, Made, Shared};
use super::refusals::Refusals;
use super::uploads::Uploads;
use crate::propagate::{Accept, AcceptLayer};

/// Protects a server: goes by what requests [bring along](AcceptLayer), lets them through the layer `L`,
/// and [answers](AnswerRefusalsLayer) what is refused there. See the [module](super).
///
/// The errors of the service it is applied to stay what they are, so that it can stand in an
/// `axum::Router::layer`. Every service made by one value, and by its clones, shares what `L` shares.
#[derive(Debug, Clone)]
pub struct ProtectLayer<L> {
    accept: AcceptLayer,
    refusals: Refusals,
    inner: L,
}

/// A service that is protected. Made by [`ProtectLayer`].
pub type Protected<S> = Accept<AnswerRefusals<S>>;

impl<L> ProtectLayer<L> {
    /// By a layer, or a stack of them, of one's own: what it refuses is answered.
    pub const fn new(inner: L) -> ProtectLayer<L> {
        ProtectLayer { accept: AcceptLayer::new(), refusals: Refusals::new(), inner }
    }

    /// What is read off requests, and how long they may take.
    #[must_use]
    pub fn accept(mut self, accept: AcceptLayer) -> ProtectLayer<L> {
        self.accept = accept;
        self
    }

    /// How refusals are answered, those of requests that are too late included.
    #[must_use]
    pub fn refusals(mut self, refusals: Refusals) -> ProtectLayer<L> {
        self.refusals = refusals;
        self
    }

    /// The layer between: its handles and counts.
    #[must_use]
    pub const fn get_ref(&self) -> &L {
        &self.inner
    }
}

impl ProtectLayer<Limits> {
    /// Starts with nothing that limits.
    pub fn builder() -> ProtectBuilder {
        ProtectBuilder {
            name: Name::from_static("server"),
            longest: None,
            longest_head: None,
            distrusts: false,
            refusals: Refusals::new(),
            limits: (Identity::new(), Identity::new(), Identity::new()),
        }
    }
}

impl<S, L: Layer<Carry<S>>> Layer<S> for ProtectLayer<L> {
    type Service = Protected<L::Service>;

    fn layer(&self, inner: S) -> Self::Service {
        let inner = self.inner.layer(Carry::new(inner));
        let answering = AnswerRefusalsLayer::new(self.refusals).layer(inner);
        self.accept.refusals(self.refusals).layer(answering)
    }
}

/// A [`ProtectLayer`] in the making. Nothing waits here: a request that does not get in is refused at once,
/// and told when to come back. To let some wait, give [`ProtectLayer::new`] a stack that does.
#[derive(Debug)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ProtectBuilder<L = Identity, B = Identity, U = Identity> {
    name: Name,
    longest: Option<Duration>,
    longest_head: Option<Duration>,
    distrusts: bool,
    refusals: Refusals,
    /// Outermost first.
    limits: (L, B, U),
}

impl<L, B, U> ProtectBuilder<L, B, U> {
    /// What the limits are called, also to callers: `name.rate_limit`, `name.bulkhead`, `name.uploads`. `server` if
    /// it is not said.
    pub fn name(mut self, name: impl Into<Name>) -> Self {
        self.name = name.into();
        self
    }

    /// Ends answers that take longer, body included, whatever their requests ask for. See [`AcceptLayer::longest`].
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
        self
    }

    /// Ends requests whose answers do not begin within this time. See [`AcceptLayer::longest_head`].
    pub fn longest_head(mut self, longest: Duration) -> Self {
        self.longest_head = Some(longest);
        self
    }

    /// Believes no header. See [`AcceptLayer::distrust_headers`].
    pub fn distrust_headers(mut self) -> Self {
        self.distrusts = true;
        self
    }

    /// How refusals are answered.
    pub fn refusals(mut self, refusals: Refusals) -> Self {
        self.refusals = refusals;
        self
    }

    /// Sets how many requests may be under way at once, until the bodies of their answers are written or given up.
    pub fn concurrency(self, most: u32) -> ProtectBuilder<L, ForAll<BulkheadBuilder>, U> {
        self.map(|(rate, _, uploads)| (rate, ForAll(at_once(most)), uploads))
    }

    /// So many at once for each key that `key` reads off a request: a route, a tenant.
    pub fn concurrency_per_key<K: Key, F, Req>(
        self,
        most: u32,
        keys: KeyedLimits,
        key: F,
    ) -> ProtectBuilder<L, ForEach<BulkheadBuilder, K, F, Req>, U>
    where
        F: Fn(&Request<Req>) -> K,
    {
        let each = ForEach { limit: at_once(most), keys, key, of: PhantomData };
        self.map(|(rate, _, uploads)| (rate, each, uploads))
    }

    /// So many requests in how long. [`RateLimit`](super::PaceLayer) tells callers.
    pub fn rate(
        self,
        quota: impl OrInvalid<Quota>,
    ) -> ProtectBuilder<ForAll<RateLimiterBuilder>, B, U> {
        self.map(|(_, concurrency, uploads)| (ForAll(in_how_long(quota)), concurrency, uploads))
    }

    /// So many in how long for each key that `key` reads off a request.
    pub fn rate_per_key<K: Key, F, Req>(
        self,
        quota: impl OrInvalid<Quota>,
        keys: KeyedLimits,
        key: F,
    ) -> ProtectBuilder<ForEach<RateLimiterBuilder, K, F, Req>, B, U>
    where
        F: Fn(&Request<Req>) -> K,
    {
        let each = ForEach { limit: in_how_long(quota), keys, key, of: PhantomData };
        self.map(|(_, concurrency, uploads)| (each, concurrency, uploads))
    }

    /// How large requests' bodies may be, and how slowly they may come. The service gets them as
    /// [`UploadBody`](super::UploadBody), and so must take any body, as a router does.
    pub fn uploads(self, uploads: Uploads) -> ProtectBuilder<L, B, ForAll<Uploads>> {
        self.map(|(rate, concurrency, _)| (rate, concurrency, ForAll(uploads)))
    }

    fn map<M, C, V>(self, change: impl FnOnce((L, B, U)) -> (M, C, V)) -> ProtectBuilder<M, C, V> {
        let ProtectBuilder { name, longest, longest_head, distrusts, refusals, limits } = self;
        let limits = change(limits);
        ProtectBuilder { name, longest, longest_head, distrusts, refusals, limits }
    }

    /// The layer.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    #[expect(clippy::type_complexity, reason = "a layer for each limit")]
    pub fn build(self) -> Result<ProtectLayer<Limits<L::Layer, B::Layer, U::Layer>>, InvalidConfig>
    where
        L: Limit,
        B: Limit,
        U: Limit,
    {
        let mut accept = AcceptLayer::new();
        if let Some(longest) = self.longest {
            accept = accept.longest(longest)?;
        }
        if let Some(longest) = self.longest_head {
            accept = accept.longest_head(longest)?;
        }
        if self.distrusts {
            accept = accept.distrust_headers();
        }
        let server = Shared { name: &self.name, refusals: self.refusals };
        let (mut made, (rate, concurrency, uploads)) = (Made::default(), self.limits);
        let rate = rate.build(&server, &mut made)?;
        let concurrency = concurrency.build(&server, &mut made)?;
        let uploads = uploads.build(&server, &mut made)?;
        let inner = Limits { rate, concurrency, uploads, handles: made.0 };
        Ok(ProtectLayer { accept, refusals: self.refusals, inner })
    }
}

fn at_once(most: u32) -> BulkheadBuilder {
    Bulkhead::builder().max_concurrent(most).reject()
}

fn in_how_long(quota: impl OrInvalid<Quota>) -> RateLimiterBuilder {
    RateLimiter::builder().quota(quota).reject()
}
