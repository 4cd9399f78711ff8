//! All of the server's side in one layer.

use std::time::Duration;

use http::Request;
use resilience_core::bulkhead::Bulkhead;
use resilience_core::keyed::{Key, KeyedLimits};
use resilience_core::rate::{HintsUnread, Quota, RateLimiter, RateLimiterBuilder};
use resilience_core::stack::{Absent, Separate, Shared, Slot, Stack, StackBuilder};
use resilience_core::{InvalidConfig, Name, OrInvalid};
use tower_layer::Layer;

use super::answer::{AnswerRefusals, AnswerRefusalsLayer};
use super::carry::Carry;
use super::refusals::Refusals;
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

impl ProtectLayer<Absent> {
    /// Starts with nothing that limits.
    pub fn builder() -> ProtectBuilder {
        let stack = Stack::builder().name("server").classifier(HintsUnread);
        ProtectBuilder { longest: None, distrusts: false, refusals: Refusals::new(), stack }
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
pub struct ProtectBuilder<B = Absent, L = Absent> {
    longest: Option<Duration>,
    distrusts: bool,
    refusals: Refusals,
    stack: StackBuilder<HintsUnread, Absent, B, Absent, L, Absent, Absent>,
}

impl<B, L> ProtectBuilder<B, L> {
    /// What the limits are called, also to callers: `name.bulkhead`, `name.rate_limit`. `server` if it is
    /// not said.
    pub fn name(self, name: impl Into<Name>) -> Self {
        self.map(|stack| stack.name(name))
    }

    /// No request may take longer, whatever it asks for.
    pub fn longest(mut self, longest: Duration) -> Self {
        self.longest = Some(longest);
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

    /// So many requests at once, until their answers' heads are there.
    pub fn concurrency(self, most: u32) -> ProtectBuilder<Shared<Bulkhead>, L> {
        self.map(|stack| stack.bulkhead(Bulkhead::builder().max_concurrent(most).reject()))
    }

    /// So many at once for each key that `key` reads off a request: a route, a tenant.
    pub fn concurrency_per_key<K: Key, F, Req>(
        self,
        most: u32,
        limits: KeyedLimits,
        key: F,
    ) -> ProtectBuilder<Separate<Bulkhead, F, Request<Req>>, L>
    where
        F: Fn(&Request<Req>) -> K,
    {
        let bulkhead = Bulkhead::builder().max_concurrent(most).reject();
        self.map(|stack| stack.bulkhead_per_key(bulkhead, limits, key))
    }

    /// So many requests in how long.
    pub fn rate(self, quota: impl OrInvalid<Quota>) -> ProtectBuilder<B, Shared<RateLimiter>> {
        self.map(|stack| stack.rate_limit(rejecting(quota)))
    }

    /// So many in how long for each key that `key` reads off a request.
    pub fn rate_per_key<K: Key, F, Req>(
        self,
        quota: impl OrInvalid<Quota>,
        limits: KeyedLimits,
        key: F,
    ) -> ProtectBuilder<B, Separate<RateLimiter, F, Request<Req>>>
    where
        F: Fn(&Request<Req>) -> K,
    {
        self.map(|stack| stack.rate_limit_per_key(rejecting(quota), limits, key))
    }

    fn map<C, M>(
        self,
        change: impl FnOnce(
            StackBuilder<HintsUnread, Absent, B, Absent, L, Absent, Absent>,
        ) -> StackBuilder<HintsUnread, Absent, C, Absent, M, Absent, Absent>,
    ) -> ProtectBuilder<C, M> {
        let ProtectBuilder { longest, distrusts, refusals, stack } = self;
        ProtectBuilder { longest, distrusts, refusals, stack: change(stack) }
    }

    /// The layer.
    ///
    /// # Errors
    /// If a value is out of its bounds.
    #[expect(clippy::type_complexity, reason = "a layer for each part of a stack")]
    pub fn build(
        self,
    ) -> Result<ProtectLayer<Stack<Absent, B::Layer, Absent, L::Layer>>, InvalidConfig>
    where
        B: Slot<HintsUnread>,
        L: Slot<HintsUnread>,
    {
        let mut accept = AcceptLayer::new();
        if let Some(longest) = self.longest {
            accept = accept.longest(longest)?;
        }
        if self.distrusts {
            accept = accept.distrust_headers();
        }
        Ok(ProtectLayer { accept, refusals: self.refusals, inner: self.stack.build()? })
    }
}

fn rejecting(quota: impl OrInvalid<Quota>) -> RateLimiterBuilder {
    RateLimiter::builder().quota(quota).reject()
}
