//! The bulkhead in a Tower stack.

use tower_layer::Layer;

use super::Bulkhead;
use crate::call::{Absent, CallService, OnlyBulkhead};
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::select::{One, PerKey};

/// Says how many permits a call needs. Closures `Fn(&Req) -> u32` do.
#[diagnostic::on_unimplemented(
    message = "`{Self}` does not say how many permits a `{Req}` needs",
    note = "weigh with a closure `|request: &{Req}| -> u32 {{ .. }}`"
)]
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
    pub(super) select: Sel,
    pub(super) weigh: W,
}

/// A service with a bulkhead in front of it.
pub type BulkheadService<S, Sel = One<Bulkhead>, W = EachOne> =
    CallService<S, OnlyBulkhead<BulkheadLayer<Sel, W>>>;

impl BulkheadLayer {
    /// Makes a layer with a bulkhead for all calls.
    #[must_use]
    pub fn new(bulkhead: Bulkhead) -> BulkheadLayer {
        BulkheadLayer::select(One::new(bulkhead))
    }

    /// Makes a layer with a bulkhead for each key that `key` reads off a request. They are made
    /// [`fresh`](Bulkhead::fresh) from `bulkhead`, which changes the configuration of all. No call takes the
    /// permits of `bulkhead` itself.
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
    /// Makes a layer with the bulkheads that `select` selects.
    #[must_use]
    pub fn select(select: Sel) -> BulkheadLayer<Sel> {
        BulkheadLayer { select, weigh: EachOne }
    }
}

impl<Sel, W> BulkheadLayer<Sel, W> {
    /// Sets the number of permits that a call needs. A call needs one by default.
    #[must_use]
    pub fn weigh<F, Req>(self, weigh: F) -> BulkheadLayer<Sel, F>
    where
        F: Fn(&Req) -> u32,
    {
        BulkheadLayer { select: self.select, weigh }
    }

    /// Returns the selector; with a bulkhead for each key it has their store.
    #[must_use]
    pub const fn selector(&self) -> &Sel {
        &self.select
    }
}

impl<S, Sel: Clone, W: Clone> Layer<S> for BulkheadLayer<Sel, W> {
    type Service = BulkheadService<S, Sel, W>;

    fn layer(&self, inner: S) -> BulkheadService<S, Sel, W> {
        OnlyBulkhead::around(inner, self.clone(), Absent, Absent, Absent)
    }
}
