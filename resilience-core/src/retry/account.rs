//! Whose budget a request's retries are paid from.

use std::time::Instant;

use super::budget::RetryBudget;
use crate::clock::Now;
use crate::keyed::{Entry, Key, allocated};
use crate::name::Name;
use crate::select::PerKey;

/// Chooses the budget that pays for a request.
pub trait Account<Req> {
    /// The budget, or `None` for the policy's own.
    fn budget(&self, request: &Req, now: &mut Now) -> Option<RetryBudget>;

    /// Whose calls they are, if all are one's.
    fn key(&self) -> Option<Name> {
        None
    }
}

/// The default: everybody's retries are paid from the policy's budget.
#[derive(Debug, Clone, Copy, Default)]
pub struct PolicyBudget;

impl<Req> Account<Req> for PolicyBudget {
    #[inline(always)]
    fn budget(&self, _: &Req, _: &mut Now) -> Option<RetryBudget> {
        None
    }
}

/// This budget, if there is one, for the calls of this key, if they are of one.
#[cfg(feature = "profiles")]
#[derive(Debug, Clone, Default)]
pub struct OwnBudget {
    budget: Option<RetryBudget>,
    key: Option<Name>,
}

#[cfg(feature = "profiles")]
impl OwnBudget {
    pub(crate) const fn new(budget: Option<RetryBudget>, key: Option<Name>) -> OwnBudget {
        OwnBudget { budget, key }
    }
}

#[cfg(feature = "profiles")]
impl<Req> Account<Req> for OwnBudget {
    #[inline]
    fn budget(&self, _: &Req, _: &mut Now) -> Option<RetryBudget> {
        self.budget.clone()
    }

    fn key(&self) -> Option<Name> {
        self.key.clone()
    }
}

impl<Req, K, F> Account<Req> for PerKey<K, RetryBudget, F>
where
    K: Key,
    F: Fn(&Req) -> K,
{
    fn budget(&self, request: &Req, now: &mut Now) -> Option<RetryBudget> {
        Some(self.get(request, now.get()).0)
    }
}

/// Pinned while a call holds it. Remembers deposits until they expire, and a reserve or a bucket that was spent
/// until calls have filled it again: idle time gives no key a second reserve.
impl Entry for RetryBudget {
    fn is_pinned(&self, _: Instant) -> bool {
        self.is_shared()
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.remembers_until(now)
    }

    fn heap_bytes(&self) -> usize {
        allocated(RetryBudget::BYTES)
    }
}
