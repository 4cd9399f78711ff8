//! What is kept of an authority.

use std::sync::Arc;
use std::time::Instant;

use resilience_core::keyed::{Entry, allocated};
use resilience_core::profiles::Profile;

use super::returns::Returns;
use super::slots::Slots;

/// The state of an authority: the whole profile, and its slots.
#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) profile: Profile,
    pub(super) slots: Slots,
    /// Held by every call: who has not come as far as to hold anything else would be forgotten with it.
    calls: Arc<()>,
}

impl Site {
    /// With the rules of these.
    pub(super) fn fresh(profile: &Profile, slots: &Slots) -> Site {
        Site { profile: profile.fresh(), slots: slots.fresh(), calls: Arc::default() }
    }
}

impl Entry for Site {
    fn is_pinned(&self, now: Instant) -> bool {
        Arc::strong_count(&self.calls) > 1
            || self.slots.own.snapshot().in_use > 0
            || self.profile.is_pinned(now)
    }

    fn heap_bytes(&self) -> usize {
        let calls = allocated(2 * size_of::<usize>());
        let returns = allocated(2 * size_of::<usize>() + size_of::<Returns>());
        calls + returns + Entry::heap_bytes(&self.profile) + Entry::heap_bytes(&self.slots.own)
    }
}
