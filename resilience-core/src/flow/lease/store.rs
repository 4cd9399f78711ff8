//! The trait of stores of leases.

use std::time::Duration;

use super::record::{Acquisition, LeaseRequest};
use crate::flow::fence::{Fence, FencingToken};
use crate::flow::store_error::StoreFuture;

/// A store of leases: decides as [`LeaseRecord`](super::LeaseRecord) does, atomically, by its own
/// clock.
///
/// Tokens grow over the life of the store, also when the record of a lease was removed.
/// `testing::conformance::leases` proves an implementation.
pub trait LeaseStore: Send + Sync {
    /// Takes the lease if it is free.
    fn try_acquire(&self, request: LeaseRequest) -> StoreFuture<'_, Acquisition>;

    /// Extends the lease. Returns `false` if it is lost.
    fn renew(&self, fence: Fence, term: Duration) -> StoreFuture<'_, bool>;

    /// Gives the lease back. Returns `false`, and changes nothing, if it is not the holder's any
    /// more.
    fn release(&self, fence: Fence) -> StoreFuture<'_, bool>;

    /// Returns `true` if a write under this fence would be accepted now. A write itself must check
    /// in its own transaction.
    fn admits(&self, fence: Fence) -> StoreFuture<'_, bool>;
}

impl Fence {
    /// Creates the fence of a lease that was acquired.
    #[must_use]
    pub fn new(lease: impl Into<crate::Name>, token: FencingToken) -> Fence {
        Fence { lease: lease.into(), token }
    }
}
