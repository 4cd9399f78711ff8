//! The bulkhead in a Tower stack.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use tower_layer::Layer;

use super::acquire::Acquire;
use super::{Bulkhead, BulkheadPermit};
use crate::admission::{Admission, Admit};
use crate::clock;
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::rejection::Rejection;
use crate::select::{One, Owner, PerKey, Select};

/// Says how many permits a call needs. Closures `Fn(&Req) -> u32` do.
pub trait Weigh<Req> {
    /// How many this one needs. 0 is admitted always, and counts for nothing.
    fn weigh(&self, request: &Req) -> u32;
}

/// The default: every call needs one permit.
#[derive(Debug, Clone, Copy, Default)]
pub struct EachOne;

impl<Req> Weigh<Req> for EachOne {
    #[inline]
    fn weigh(&self, _: &Req) -> u32 {
        1
    }
}

impl<F, Req> Weigh<Req> for F
where
    F: Fn(&Req) -> u32,
{
    fn weigh(&self, request: &Req) -> u32 {
        self(request)
    }
}

/// Limits how many calls of the services it is applied to are under way at once. See the
/// [module](super).
///
/// Every service made by one layer value, and by its clones, shares the permits.
#[derive(Debug, Clone)]
pub struct BulkheadLayer<Sel = One<Bulkhead>, W = EachOne> {
    admit: BulkheadAdmit<Sel, W>,
}

/// Admits calls to a bulkhead. What [`BulkheadLayer`] makes an [`Admission`] of.
#[derive(Debug, Clone)]
pub struct BulkheadAdmit<Sel, W = EachOne> {
    select: Sel,
    weigh: W,
}

impl BulkheadLayer {
    /// One bulkhead for all calls.
    #[must_use]
    pub fn new(bulkhead: Bulkhead) -> BulkheadLayer {
        BulkheadLayer::select(One::new(bulkhead))
    }

    /// A bulkhead for each key that `key` reads off a request: as many permits for each. They are made
    /// [`fresh`](Bulkhead::fresh) from `bulkhead`, which changes the configuration of all.
    #[must_use]
    pub fn per_key<K, F, Req>(
        bulkhead: Bulkhead,
        limits: KeyedLimits,
        key: F,
    ) -> BulkheadLayer<PerKey<K, Bulkhead, F>>
    where
        K: Key,
        F: Fn(&Req) -> K,
    {
        let store = Keyed::new(limits, move |_: &K| bulkhead.fresh());
        BulkheadLayer::select(PerKey::new(store, key))
    }
}

impl<Sel> BulkheadLayer<Sel> {
    /// The bulkhead that `select` selects.
    #[must_use]
    pub fn select(select: Sel) -> BulkheadLayer<Sel> {
        BulkheadLayer { admit: BulkheadAdmit { select, weigh: EachOne } }
    }
}

impl<Sel, W> BulkheadLayer<Sel, W> {
    /// Calls need as many permits as this says, instead of one each.
    #[must_use]
    pub fn weigh<F, Req>(self, weigh: F) -> BulkheadLayer<Sel, F>
    where
        F: Fn(&Req) -> u32,
    {
        let BulkheadAdmit { select, .. } = self.admit;
        BulkheadLayer { admit: BulkheadAdmit { select, weigh } }
    }

    pub(super) const fn weigher(&self) -> &W {
        &self.admit.weigh
    }

    /// What selects the bulkhead: the store of them, where there is one for each key.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.admit.select
    }
}

impl<S, Sel: Clone, W: Clone> Layer<S> for BulkheadLayer<Sel, W> {
    type Service = Admission<S, BulkheadAdmit<Sel, W>>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission::new(inner, self.admit.clone())
    }
}

impl<Req, Sel, W> Admit<Req> for BulkheadAdmit<Sel, W>
where
    Sel: Select<Req, Handle = Bulkhead> + Clone,
    W: Weigh<Req> + Clone,
{
    type Waiting = Admitting<Sel::Key>;
    type Permit = BulkheadPermit;

    #[inline]
    fn admit(&self, request: &Req) -> Admitting<Sel::Key> {
        let (bulkhead, key) = self.select.select_lazily(request, clock::now);
        Admitting { acquire: Acquire::new(bulkhead, self.weigh.weigh(request)), key }
    }
}

/// A call on its way into a bulkhead. As [`Acquire`], and its rejection says whose bulkhead it was.
pub struct Admitting<K> {
    acquire: Acquire,
    key: K,
}

/// Nothing in it is pinned.
impl<K> Unpin for Admitting<K> {}

impl<K: Owner> Future for Admitting<K> {
    type Output = Result<BulkheadPermit, Rejection>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        this.acquire.poll_for(cx, || this.key.name())
    }
}

impl<K> fmt::Debug for Admitting<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admitting").field("acquire", &self.acquire).finish_non_exhaustive()
    }
}
