//! What is kept of an authority.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use resilience_core::keyed::{Entry, Key, allocated};
use resilience_core::profiles::{Profile, ProfileCalls};

use super::answer::UntilBodyEnds;
use super::authority::Authority;
use super::request::CopyCall;
use super::returns::Returns;
use super::settings::Settings;
use super::slots::Slots;
use crate::classify::HttpClassifier;

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
    pub(super) calls: Calls,
}

/// The profile's policies around one attempt after the other.
pub(super) type Calls = ProfileCalls<HttpClassifier, CopyCall, UntilBodyEnds>;

impl Site {
    /// With the rules of these.
    pub(super) fn fresh(
        authority: &Authority,
        profile: &Profile,
        slots: &Slots,
        settings: &Arc<Settings>,
    ) -> Site {
        let (profile, slots) = (profile.fresh_for(Key::name(authority)), slots.fresh());
        let policies = profile.layer_with(settings.classifier);
        let calls = policies.replayed_by(CopyCall).lasting(UntilBodyEnds).calls();
        Site(Arc::new(State { profile, slots, settings: settings.clone(), calls }))
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

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.profile.remembers_until(now)
    }

    fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let own = allocated(counts + size_of::<State>());
        let returns = allocated(counts + size_of::<Returns>());
        let parts = Entry::heap_bytes(&self.profile) + self.calls.heap_bytes();
        own + returns + parts + Entry::heap_bytes(&self.slots.own)
    }

    const IS_OPEN: Option<fn(&Site, Instant) -> bool> = Some(|site, now| {
        <Profile as Entry>::IS_OPEN.is_some_and(|is_open| is_open(&site.profile, now))
    });
}
