//! What is kept of an authority.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use resilience_core::keyed::{Entry, Key, allocated};
use resilience_core::profiles::Profile;

use super::authority::Authority;
use super::returns::Returns;
use super::settings::Settings;
use super::slots::Slots;

/// The state of an authority. Held by every call, however far it has come: what a call holds is not
/// forgotten.
#[derive(Debug, Clone)]
pub(super) struct Site(Arc<State>);

/// The whole profile, and the slots.
#[derive(Debug)]
pub(super) struct State {
    pub(super) profile: Profile,
    pub(super) slots: Slots,
    pub(super) settings: Arc<Settings>,
}

impl Site {
    /// With the rules of these.
    pub(super) fn fresh(
        authority: &Authority,
        profile: &Profile,
        slots: &Slots,
        settings: &Arc<Settings>,
    ) -> Site {
        let (profile, slots) = (profile.fresh_for(Key::name(authority)), slots.fresh());
        Site(Arc::new(State { profile, slots, settings: settings.clone() }))
    }
}

impl Deref for Site {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl Entry for Site {
    fn is_pinned(&self, now: Instant) -> bool {
        Arc::strong_count(&self.0) > 1
            || self.slots.own.snapshot().in_use > 0
            || self.profile.is_pinned(now)
    }

    fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let own = allocated(counts + size_of::<State>());
        let returns = allocated(counts + size_of::<Returns>());
        own + returns + Entry::heap_bytes(&self.profile) + Entry::heap_bytes(&self.slots.own)
    }
}
