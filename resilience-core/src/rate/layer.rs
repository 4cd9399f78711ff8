use std::fmt;
use std::time::Duration;

use tower_layer::Layer;

use super::limiter::RateLimiter;
use crate::call::{Absent, CallService, OnlyRateLimit};
use crate::error::CarriesRejection;
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::outcome::{Classify, Outcome, RetryHint};
use crate::select::{One, PerKey};

/// Lets so many calls in any time through. See the [module](super).
///
/// The token is taken in the call, as late as can be, and given back if the call is dropped before it is
/// sent or a layer below keeps it in the house: an open circuit does not drain the bucket that its probe
/// will need. Every service made by one layer value, and by its clones, shares the limiter.
#[derive(Clone)]
pub struct RateLimitLayer<C = HintsUnread, Sel = One<RateLimiter>, W = Each> {
    pub(super) classifier: C,
    pub(super) select: Sel,
    pub(super) weigh: W,
}

/// A service with a rate limit in front of it.
pub type RateLimitService<S, C = HintsUnread, Sel = One<RateLimiter>, W = Each> =
    CallService<S, OnlyRateLimit<RateLimitLayer<C, Sel, W>>>;

/// Reads nothing off results: the other side's hints are not followed.
#[derive(Debug, Clone, Copy, Default)]
pub struct HintsUnread;

impl<T, E> Classify<T, E> for HintsUnread {
    fn classify(&self, _: Result<&T, &E>) -> Outcome {
        Outcome::Success
    }
}

/// Says how many tokens a request costs. Closures from `&Req` to `u32` do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how many tokens a `{Req}` costs",
    note = "weigh with a closure `|request: &{Req}| -> u32 {{ .. }}`"
)]
pub trait Weigh<Req> {
    /// Its cost. One of 0 only waits for gaps and pauses; one above the burst is refused for good.
    fn weigh(&self, request: &Req) -> u32;
}

impl<Req, F: Fn(&Req) -> u32> Weigh<Req> for F {
    fn weigh(&self, request: &Req) -> u32 {
        self(request)
    }
}

/// One token for each request.
#[derive(Debug, Clone, Copy, Default)]
pub struct Each;

impl<Req> Weigh<Req> for Each {
    fn weigh(&self, _: &Req) -> u32 {
        1
    }
}

impl RateLimitLayer {
    /// Makes a layer with a limit for all calls.
    #[must_use]
    pub const fn new(limiter: RateLimiter) -> RateLimitLayer {
        let select = One::new(limiter);
        RateLimitLayer { classifier: HintsUnread, select, weigh: Each }
    }
}

impl<K: Key, F> RateLimitLayer<HintsUnread, PerKey<K, RateLimiter, F>> {
    /// A limit for each key that `key` reads off a request, as `limiter` is configured, now and later;
    /// its own bucket is not used. A key that was let go of starts with a full bucket: let `limits` keep
    /// keys for at least as long as an empty one takes to fill.
    pub fn per_key<Req>(limiter: RateLimiter, limits: KeyedLimits, key: F) -> Self
    where
        F: Fn(&Req) -> K,
    {
        let store = Keyed::new(limits, move |_: &K| limiter.fresh());
        let select = PerKey::new(store, key);
        RateLimitLayer { classifier: HintsUnread, select, weigh: Each }
    }
}

#[cfg(feature = "profiles")]
impl<Sel> RateLimitLayer<HintsUnread, Sel> {
    pub(crate) const fn select(select: Sel) -> Self {
        RateLimitLayer { classifier: HintsUnread, select, weigh: Each }
    }
}

impl<C, Sel, W> RateLimitLayer<C, Sel, W> {
    /// Returns the selector; with a limiter for each key it has their store.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.select
    }

    /// Reads outcomes off results with a closure: after one that is
    /// [throttled](Outcome::Throttled) and names a time, nobody is let through for so long, up to
    /// [`longest_hint`](super::RateLimiterBuilder::longest_hint).
    ///
    /// It does not see the rejections of inner layers.
    #[must_use]
    pub fn classify<T, E, F>(self, classifier: F) -> RateLimitLayer<F, Sel, W>
    where
        F: Fn(Result<&T, &E>) -> Outcome,
    {
        self.classifier(classifier)
    }

    /// Reads outcomes off results with a [`Classify`] type, [`Standard`](crate::outcome::Standard) for
    /// one. See [`classify`](Self::classify).
    #[must_use]
    pub fn classifier<D>(self, classifier: D) -> RateLimitLayer<D, Sel, W> {
        RateLimitLayer { classifier, select: self.select, weigh: self.weigh }
    }

    /// Reads a request's cost off it. One token each without.
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

/// The consequence of a result for the token.
pub(super) enum Lesson {
    /// The token is not needed: a layer below rejected the call.
    NeverMade,
    /// No token should be used for this time.
    Hint(Duration),
    None,
}

#[inline]
pub(super) fn lesson<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Lesson {
    match result.err().filter(|error| error.rejection().is_some()) {
        Some(error) if error.did_not_run() => Lesson::NeverMade,
        Some(_) => Lesson::None,
        None => match classifier.classify(result) {
            Outcome::Throttled(RetryHint::After(hint)) => Lesson::Hint(hint),
            _ => Lesson::None,
        },
    }
}
