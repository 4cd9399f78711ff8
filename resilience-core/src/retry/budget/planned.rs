//! A budget as input of the plan, and a budget that replaces another.

use std::time::Duration;

use super::{Kind, RetryBudget, SLOTS, TOKEN};
use crate::shape::Paying;

impl RetryBudget {
    #[expect(clippy::cast_precision_loss, reason = "thousandths of at most a million")]
    pub(crate) fn planned(&self) -> Option<Paying> {
        match &self.0.kind {
            Kind::Share { deposits, deposit, slot, .. } => Some(Paying::Share {
                ratio: *deposit as f64 / TOKEN as f64,
                window: Duration::from_nanos(slot.get()) * SLOTS as u32,
                reserve: deposits.reserve() as f64 / TOKEN as f64,
            }),
            Kind::Bucket { .. } => Some(Paying::Bucket),
            Kind::Unlimited => None,
        }
    }

    pub(crate) const fn heap_bytes(&self) -> usize {
        size_of::<super::BudgetState>()
    }

    /// Reduces this new budget to what `former` has left at `now`: a change of the settings does
    /// not refill the balance.
    #[cfg(feature = "profiles")]
    pub(crate) fn succeed(&self, former: &RetryBudget, now: std::time::Instant) {
        let (Kind::Share { deposits: old, .. }, Kind::Share { deposits: new, .. }) =
            (&former.0.kind, &self.0.kind)
        else {
            return;
        };
        let left = old.available(former.0.slot(now));
        let slot = self.0.slot(now);
        let spent = new.available(slot).saturating_sub(left);
        // This budget is not shared yet: everything available can be withdrawn.
        let _ = new.withdraw(slot, spent);
    }
}
