//! Permits in use.

use std::borrow::Borrow;
use std::fmt;

use super::Bulkhead;
use super::permits::PermitGrant;
use crate::clock;

/// Permits of a [`Bulkhead`]. Dropped, they go to the next call in the queue, or back to the
/// bulkhead.
///
/// `H` is a handle of its own, or a borrowed one, which saves two operations on a reference count.
#[must_use = "a permit is given back when it is dropped"]
pub struct BulkheadPermit<H: Borrow<Bulkhead> = Bulkhead> {
    bulkhead: H,
    grant: PermitGrant,
}

impl<H: Borrow<Bulkhead>> BulkheadPermit<H> {
    #[inline]
    pub(super) const fn new(bulkhead: H, grant: PermitGrant) -> BulkheadPermit<H> {
        BulkheadPermit { bulkhead, grant }
    }

    /// Returns the number of permits.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.grant.permits()
    }
}

impl BulkheadPermit<&Bulkhead> {
    /// Returns the permits without their guard, for a place that is guarded itself.
    #[inline]
    pub(super) fn into_grant(mut self) -> PermitGrant {
        self.grant.take()
    }

    /// Returns the permits with a handle of their own.
    #[inline]
    pub fn into_owned(mut self) -> BulkheadPermit {
        BulkheadPermit::new(self.bulkhead.clone(), self.grant.take())
    }
}

#[cfg(feature = "pool")]
impl<H: Borrow<Bulkhead>> BulkheadPermit<H> {
    /// Returns the handle on the bulkhead.
    #[inline]
    pub(crate) const fn holder(&self) -> &H {
        &self.bulkhead
    }

    /// Returns the permits with another handle on the same bulkhead.
    #[inline]
    pub(crate) fn held_by<O: Borrow<Bulkhead>>(mut self, other: O) -> BulkheadPermit<O> {
        BulkheadPermit::new(other, self.grant.take())
    }
}

impl<H: Borrow<Bulkhead>> Drop for BulkheadPermit<H> {
    #[inline]
    fn drop(&mut self) {
        if self.grant.permits() > 0 {
            self.bulkhead.borrow().admission_queue().release(self.grant.take(), clock::now);
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

    fn settle(self, _: Result<&T, &E>) {}
}
