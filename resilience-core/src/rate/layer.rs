use std::fmt;
use std::time::Duration;

use tower_layer::Layer;

use super::limiter::RateLimiter;
use crate::call::{Absent, CallService, OnlyRateLimit};
use crate::error::CarriesRejection;
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::outcome::{Classify, Outcome, RetryHint, Standard};
use crate::select::{One, PerKey, UnitWeight};

/// Limits the rate of calls. See the [module](super).
///
/// The token is taken in the call, as late as possible, and given back if the call is dropped
/// before it is sent or a layer below rejects it: an open circuit does not spend the tokens that
/// its probes will need. Every service made by one layer value, and by its clones, shares the
/// limiter.
///
/// A server's hint pauses the limiter, unless hints are
/// [ignored](super::RateLimiterBuilder::ignore_hints).
#[derive(Clone)]
pub struct RateLimitLayer<C = Standard, Sel = One<RateLimiter>, W = UnitWeight> {
    pub(super) classifier: C,
    pub(super) select: Sel,
    pub(super) weigh: W,
}

/// A service whose calls wait for their tokens.
pub type RateLimitService<S, C = Standard, Sel = One<RateLimiter>, W = UnitWeight> =
    CallService<S, OnlyRateLimit<RateLimitLayer<C, Sel, W>>>;

impl RateLimitLayer {
    /// Limits all calls by one limiter.
    #[must_use]
    pub const fn new(limiter: RateLimiter) -> RateLimitLayer {
        RateLimitLayer::with_selector(One::new(limiter))
    }
}

impl<K: Key, F> RateLimitLayer<Standard, PerKey<K, RateLimiter, F>> {
    /// Limits the calls of each key that `key` reads off a request. The limiters are made
    /// [`fresh`](RateLimiter::fresh) from `limiter`. That handle changes the configuration of all;
    /// its own bucket is not used. A key that was evicted starts with a full bucket: let `limits`
    /// keep keys for at least the time in which an empty bucket fills.
    pub fn per_key<Req>(limiter: RateLimiter, limits: KeyedLimits, key: F) -> Self
    where
        F: Fn(&Req) -> K,
    {
        let store = Keyed::new(limits, move |_: &K| limiter.fresh());
        RateLimitLayer::with_selector(PerKey::new(store, key))
    }
}

impl<Sel> RateLimitLayer<Standard, Sel> {
    /// Limits each call by the limiter that `selector` returns for its request.
    #[must_use]
    pub const fn with_selector(selector: Sel) -> Self {
        RateLimitLayer { classifier: Standard, select: selector, weigh: UnitWeight }
    }
}

impl<C, Sel, W> RateLimitLayer<C, Sel, W> {
    /// Returns the selector, which has the store of limiters where there is one for each key.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.select
    }

    /// Reads outcomes off results with a closure. A [throttled](Outcome::Throttled) outcome with a
    /// hint pauses the limiter for that time, up to
    /// [`longest_hint`](super::RateLimiterBuilder::longest_hint).
    ///
    /// Rejections of inner layers are not passed to the closure.
    #[must_use]
    pub fn classify<T, E, F>(self, classifier: F) -> RateLimitLayer<F, Sel, W>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.classifier(classifier)
    }

    /// Reads outcomes off results with a [`Classify`] type; [`Standard`] by default. See
    /// [`classify`](Self::classify).
    #[must_use]
    pub fn classifier<D>(self, classifier: D) -> RateLimitLayer<D, Sel, W> {
        RateLimitLayer { classifier, select: self.select, weigh: self.weigh }
    }

    /// Reads the cost of a request off it with `weigh`; one token by default.
    #[must_use]
    pub fn weigh<Req, F>(self, weigh: F) -> RateLimitLayer<C, Sel, F>
    where
        F: Fn(&Req) -> u32,
    {
        RateLimitLayer { classifier: self.classifier, select: self.select, weigh }
    }
}

impl<C, Sel, W> fmt::Debug for RateLimitLayer<C, Sel, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").finish_non_exhaustive()
    }
}

impl<S, C: Clone, Sel: Clone, W: Clone> Layer<S> for RateLimitLayer<C, Sel, W> {
    type Service = RateLimitService<S, C, Sel, W>;

    fn layer(&self, inner: S) -> RateLimitService<S, C, Sel, W> {
        OnlyRateLimit::around(inner, Absent, Absent, self.clone(), Absent)
    }
}

/// The consequence of a result for the limiter.
pub(super) enum Consequence {
    /// The token goes back: a layer below rejected the call.
    Refund,
    /// The limiter pauses for this time.
    Pause(Duration),
    None,
}

#[inline]
pub(super) fn consequence<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Consequence {
    match result.err().filter(|error| error.rejection().is_some()) {
        Some(error) if error.did_not_run() => Consequence::Refund,
        Some(_) => Consequence::None,
        None => match classifier.classify(result) {
            Outcome::Throttled(RetryHint::After(hint)) => Consequence::Pause(hint),
            _ => Consequence::None,
        },
    }
}
