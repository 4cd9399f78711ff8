//! Fencing tokens, which show that a write comes from a former holder.

use std::fmt;

use crate::name::Name;

/// A number that a store gives with each lease and each claim, and that only grows.
///
/// A write that carries a smaller one comes from a former holder, and is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u64);

impl FencingToken {
    /// Returns the token of this number.
    #[must_use]
    pub const fn new(number: u64) -> FencingToken {
        FencingToken(number)
    }

    /// Returns the number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The lease under which a write is made: every write of a holder carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Fence {
    /// The name of the lease.
    pub lease: Name,
    /// The holder's token.
    pub token: FencingToken,
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "lease `{}`, token {}", self.lease, self.token)
    }
}
