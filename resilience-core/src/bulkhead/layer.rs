//! The bulkhead in a Tower stack.

use tower_layer::Layer;

use super::Bulkhead;
use crate::call::{Absent, CallService, OnlyBulkhead};
use crate::keyed::{Key, Keyed, KeyedLimits};
use crate::select::{One, PerKey, UnitWeight};

/// Limits the calls under way at once. See the [module](super).
///
/// Every service made by one layer value, and by its clones, shares the permits.
#[derive(Debug, Clone)]
pub struct BulkheadLayer<Sel = One<Bulkhead>, W = UnitWeight> {
    pub(super) select: Sel,
    pub(super) weigh: W,
}

/// A service whose calls wait for their permits.
pub type BulkheadService<S, Sel = One<Bulkhead>, W = UnitWeight> =
    CallService<S, OnlyBulkhead<BulkheadLayer<Sel, W>>>;

impl BulkheadLayer {
    /// Limits all calls by one bulkhead.
    #[must_use]
    pub fn new(bulkhead: Bulkhead) -> BulkheadLayer {
        BulkheadLayer::with_selector(One::new(bulkhead))
    }

    /// Limits the calls of each key that `key` reads off a request. The bulkheads are made
    /// [`fresh`](Bulkhead::fresh) from `bulkhead`. That handle changes the configuration of all;
    /// its own permits are not used.
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
        BulkheadLayer::with_selector(PerKey::new(store, key))
    }
}

impl<Sel> BulkheadLayer<Sel> {
    /// Limits each call by the bulkhead that `selector` returns for its request.
    #[must_use]
    pub const fn with_selector(selector: Sel) -> BulkheadLayer<Sel> {
        BulkheadLayer { select: selector, weigh: UnitWeight }
    }
}

impl<Sel, W> BulkheadLayer<Sel, W> {
    /// Reads the number of permits that a call needs off its request with `weigh`; one by default.
    #[must_use]
    pub fn weigh<F, Req>(self, weigh: F) -> BulkheadLayer<Sel, F>
    where
        F: Fn(&Req) -> u32,
    {
        BulkheadLayer { select: self.select, weigh }
    }

    /// Returns the selector, which has the store of bulkheads where there is one for each key.
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
