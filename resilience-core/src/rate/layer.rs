use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tower_layer::Layer;

use super::acquire::{Wait, Waiting};
use super::limiter::RateLimiter;
use super::permit::RatePermit;
use crate::admission::{Admission, Admit, Permit};
use crate::clock;
use crate::error::CarriesRejection;
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::outcome::{Classify, Outcome, RetryHint};
use crate::rejection::{Rejection, RejectionKind};
use crate::select::{One, Owner, PerKey, Select};

/// Lets so many calls in any time through. See the [module](super).
///
/// The token is taken in the call, as late as can be, and given back if the call is dropped before it is
/// sent or a layer below keeps it in the house: an open circuit does not drain the bucket that its probe
/// will need. Every service made by one layer value, and by its clones, shares the limiter.
#[derive(Clone)]
pub struct RateLimitLayer<C = HintsUnread, Sel = One<RateLimiter>, W = Each>(
    pub(super) RateAdmit<C, Sel, W>,
);

/// The [`Admit`] of a [`RateLimitLayer`].
#[derive(Clone)]
pub struct RateAdmit<C, Sel, W> {
    pub(super) classifier: C,
    pub(super) select: Sel,
    pub(super) weigh: W,
}

/// Reads nothing off results: the other side's hints are not followed.
#[derive(Debug, Clone, Copy, Default)]
pub struct HintsUnread;

impl<T, E> Classify<T, E> for HintsUnread {
    fn classify(&self, _: Result<&T, &E>) -> Outcome {
        Outcome::Success
    }
}

/// Says how many tokens a request costs. Closures from `&Req` to `u32` do.
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
    /// One limit for all calls.
    #[must_use]
    pub const fn new(limiter: RateLimiter) -> RateLimitLayer {
        let select = One::new(limiter);
        RateLimitLayer(RateAdmit { classifier: HintsUnread, select, weigh: Each })
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
        RateLimitLayer(RateAdmit { classifier: HintsUnread, select, weigh: Each })
    }
}

impl<C, Sel, W> RateLimitLayer<C, Sel, W> {
    /// What selects the limiter: the store of them, where there is one for each key.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.0.select
    }

    /// Reads outcomes off results with a closure: after one that is
    /// [throttled](Outcome::Throttled) and names a time, nobody is let through for so long, up to
    /// [`longest_hint`](super::RateLimiterBuilder::longest_hint).
    ///
    /// It is not asked about the refusals of inner layers.
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
        let RateAdmit { select, weigh, .. } = self.0;
        RateLimitLayer(RateAdmit { classifier, select, weigh })
    }

    /// Reads a request's cost off it. One token each without.
    #[must_use]
    pub fn weigh<Req, F>(self, weigh: F) -> RateLimitLayer<C, Sel, F>
    where
        F: Fn(&Req) -> u32,
    {
        let RateAdmit { classifier, select, .. } = self.0;
        RateLimitLayer(RateAdmit { classifier, select, weigh })
    }
}

impl<C, Sel, W> fmt::Debug for RateLimitLayer<C, Sel, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimitLayer").finish_non_exhaustive()
    }
}

impl<C, Sel, W> fmt::Debug for RateAdmit<C, Sel, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateAdmit").finish_non_exhaustive()
    }
}

impl<S, C: Clone, Sel: Clone, W: Clone> Layer<S> for RateLimitLayer<C, Sel, W> {
    type Service = Admission<S, RateAdmit<C, Sel, W>>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission::new(inner, self.0.clone())
    }
}

impl<Req, C, Sel, W> Admit<Req> for RateAdmit<C, Sel, W>
where
    C: Clone,
    Sel: Select<Req, Handle = RateLimiter> + Clone,
    W: Weigh<Req> + Clone,
{
    type Waiting = WaitForCall<C, Sel::Key>;
    type Permit = CallPermit<C, Sel::Key>;

    fn admit(&self, request: &Req) -> Self::Waiting {
        let (limiter, key) = self.select.select_lazily(request, clock::now);
        let wait = Waiting::new(limiter, Wait::new(self.weigh.weigh(request)));
        WaitForCall { wait, call: Some((self.classifier.clone(), key)) }
    }
}

/// A call that waits for its tokens. Dropping it gives up the place.
pub struct WaitForCall<C, K> {
    wait: Waiting,
    call: Option<(C, K)>,
}

// Nothing in it is pinned.
impl<C, K> Unpin for WaitForCall<C, K> {}

impl<C, K: Owner> Future for WaitForCall<C, K> {
    type Output = Result<CallPermit<C, K>, Rejection>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let (limiter, waited) = ready!(self.wait.poll(cx));
        let Some((classifier, key)) = self.call.take() else { return Poll::Pending };
        let grant = waited.or_else(|refused| refused.told(key.name()))?;
        let permit = RatePermit::new(limiter, grant);
        Poll::Ready(Ok(CallPermit { permit, sent: false, classifier, key }))
    }
}

impl<C, K> fmt::Debug for WaitForCall<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.wait.fmt(f)
    }
}

/// What a call holds from its admission to its end. Dropped before it was sent, it gives its tokens back.
pub struct CallPermit<C, K> {
    permit: RatePermit,
    sent: bool,
    classifier: C,
    key: K,
}

impl<T, E, C, K> Permit<T, E> for CallPermit<C, K>
where
    E: CarriesRejection,
    C: Classify<T, E>,
    K: Owner,
{
    fn sent(&mut self) {
        self.sent = true;
    }

    fn settle(mut self, result: Result<&T, &E>) {
        match lesson(&self.classifier, result) {
            Lesson::NeverMade => self.permit.give_back(),
            Lesson::Hint(hint) => self.permit.limiter().follow_hint(hint, self.key.name()),
            Lesson::None => {}
        }
    }
}

/// What the end of a call says about its token.
pub(super) enum Lesson {
    /// It is not needed: something below refused the call.
    NeverMade,
    /// Nobody should use one for so long.
    Hint(Duration),
    None,
}

#[inline]
pub(super) fn lesson<T, E: CarriesRejection, C: Classify<T, E>>(
    classifier: &C,
    result: Result<&T, &E>,
) -> Lesson {
    match result.err().and_then(CarriesRejection::rejection) {
        Some(rejection) if stayed_in_the_house(rejection.kind()) => Lesson::NeverMade,
        Some(_) => Lesson::None,
        None => match classifier.classify(result) {
            Outcome::Throttled(RetryHint::After(hint)) => Lesson::Hint(hint),
            _ => Lesson::None,
        },
    }
}

const fn stayed_in_the_house(kind: RejectionKind) -> bool {
    matches!(
        kind,
        RejectionKind::CircuitOpen
            | RejectionKind::BulkheadFull
            | RejectionKind::RateLimited
            | RejectionKind::Shed
            | RejectionKind::ShuttingDown
    )
}

impl<C, K> Drop for CallPermit<C, K> {
    fn drop(&mut self) {
        if !self.sent {
            self.permit.give_back();
        }
    }
}

impl<C, K> fmt::Debug for CallPermit<C, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallPermit").field("sent", &self.sent).finish_non_exhaustive()
    }
}
