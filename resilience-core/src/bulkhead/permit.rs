use std::borrow::Borrow;
use std::fmt;

use super::Bulkhead;
use super::ledger::Charge;
use crate::clock;

/// Permits of a [`Bulkhead`], which go back when this is dropped: to the bulkhead, or to who is next
/// in its queue.
///
/// `H` is how it holds on to the bulkhead: by a handle of its own, or by a borrowed one, which spares
/// two counts of references.
#[must_use = "a permit is given back when it is dropped"]
pub struct BulkheadPermit<H: Borrow<Bulkhead> = Bulkhead> {
    bulkhead: H,
    charge: Charge,
}

impl<H: Borrow<Bulkhead>> BulkheadPermit<H> {
    #[inline]
    pub(super) const fn new(bulkhead: H, charge: Charge) -> BulkheadPermit<H> {
        BulkheadPermit { bulkhead, charge }
    }

    /// How many permits these are.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.charge.permits()
    }
}

impl BulkheadPermit<&Bulkhead> {
    /// The permits without a guard, for a place of which somebody else is one.
    #[inline]
    pub(super) fn into_charge(mut self) -> Charge {
        self.charge.take()
    }

    /// The same permits, with a handle of their own.
    #[inline]
    pub fn into_owned(mut self) -> BulkheadPermit {
        BulkheadPermit::new(self.bulkhead.clone(), self.charge.take())
    }
}

#[cfg(feature = "pool")]
impl<H: Borrow<Bulkhead>> BulkheadPermit<H> {
    /// What holds on to the bulkhead.
    #[inline]
    pub(crate) const fn holder(&self) -> &H {
        &self.bulkhead
    }

    /// The same permits, held by something else, of the same bulkhead.
    #[inline]
    pub(crate) fn held_by<O: Borrow<Bulkhead>>(mut self, other: O) -> BulkheadPermit<O> {
        BulkheadPermit::new(other, self.charge.take())
    }
}

impl<H: Borrow<Bulkhead>> Drop for BulkheadPermit<H> {
    #[inline]
    fn drop(&mut self) {
        if self.charge.permits() > 0 {
            self.bulkhead.borrow().turnstile().release(self.charge.take(), clock::now);
        }
    }
}

impl<H: Borrow<Bulkhead>> fmt::Debug for BulkheadPermit<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkheadPermit")
            .field("weight", &self.weight())
            .field("bulkhead", self.bulkhead.borrow())
            .finish()
    }
}

#[cfg(feature = "tower")]
impl<T, E, H: Borrow<Bulkhead>> crate::admission::Permit<T, E> for BulkheadPermit<H> {
    fn sent(&mut self) {}

    /// However it ended.
    fn settle(self, _: Result<&T, &E>) {}
}
