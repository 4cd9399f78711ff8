//! Choice of the budget that pays for a request's retries.

use std::time::Instant;

use super::budget::RetryBudget;
use crate::clock::Now;
use crate::keyed::{Entry, Key, allocation_size};
use crate::name::Name;
use crate::select::PerKey;

/// Chooses the budget that pays for a request.
pub trait BudgetSelector<Req> {
    /// Returns the budget for this request, or `None` for that of the policy.
    fn budget(&self, request: &Req, now: &mut Now) -> Option<RetryBudget>;

    /// Returns the key of all calls, if there is one.
    fn key(&self) -> Option<Name> {
        None
    }
}

/// The default: the budget of the policy.
#[derive(Debug, Clone, Copy, Default)]
#[doc(hidden)]
pub struct PolicyBudget;

impl<Req> BudgetSelector<Req> for PolicyBudget {
    #[inline(always)]
    fn budget(&self, _: &Req, _: &mut Now) -> Option<RetryBudget> {
        None
    }
}

/// The budget of one key of a profile.
#[cfg(feature = "profiles")]
#[derive(Debug, Clone, Default)]
#[doc(hidden)]
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
impl<Req> BudgetSelector<Req> for OwnBudget {
    #[inline]
    fn budget(&self, _: &Req, _: &mut Now) -> Option<RetryBudget> {
        self.budget.clone()
    }

    fn key(&self) -> Option<Name> {
        self.key.clone()
    }
}

impl<Req, K, F> BudgetSelector<Req> for PerKey<K, RetryBudget, F>
where
    K: Key,
    F: Fn(&Req) -> K,
{
    fn budget(&self, request: &Req, now: &mut Now) -> Option<RetryBudget> {
        Some(self.get(request, now.get()).0)
    }
}

/// Pinned while a call holds it. Remembers deposits until they expire, and a spent reserve or
/// bucket until calls have refilled it: idle time does not grant a second reserve.
impl Entry for RetryBudget {
    fn is_pinned(&self, _: Instant) -> bool {
        self.is_shared()
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.remembers_until(now)
    }

    fn heap_bytes(&self) -> usize {
        allocation_size(RetryBudget::BYTES)
    }
}
