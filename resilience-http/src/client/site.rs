//! The state of one authority in one client.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Instant;

use resilience_core::keyed::{Entry, allocation_size};
use resilience_core::profiles::{KeyProfile, Profile, ProfileCalls};

use super::authority::Authority;
use super::classifier::ClientClassifier;
use super::connection_count::ConnectionCount;
use super::connection_permit::ConnectionPermits;
use super::request::CloneCall;
use super::response::UntilBodyEnds;
use super::settings::Settings;
use crate::propagate::InjectContextLayer;

/// The state of an authority. Each call holds a clone until its end, which pins the entry in the
/// store.
#[derive(Debug, Clone)]
pub(super) struct Site(Arc<State>);

/// The profile's state for the authority, and the state that belongs to this client alone.
#[derive(Debug)]
pub(super) struct State {
    /// Shared with the other clients of the profile.
    pub(super) profile: KeyProfile,
    pub(super) permits: ConnectionPermits,
    pub(super) settings: Arc<Settings>,
    /// Headers that servers of this authority receive.
    pub(super) propagate: Option<InjectContextLayer>,
    pub(super) calls: Calls,
}

/// The profile's policies around the attempts of a call.
pub(super) type Calls = ProfileCalls<ClientClassifier, CloneCall, UntilBodyEnds>;

impl Site {
    /// Creates the state of one authority in one client.
    pub(super) fn fresh(
        authority: &Authority,
        profile: KeyProfile,
        permits: &ConnectionPermits,
        settings: &Arc<Settings>,
    ) -> Site {
        // See docs/decisions/0027-a-clients-call-is-boxed.md.
        let permits = permits.fresh();
        let propagate = settings.propagate_to(authority);
        let policies = profile.layer_with(settings.classifier.clone());
        let calls = policies.replayed_by(CloneCall).lasting(UntilBodyEnds).calls();
        Site(Arc::new(State { profile, permits, settings: settings.clone(), propagate, calls }))
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
            || self.permits.per_authority.snapshot().in_use > 0
                        // Not `KeyProfile::is_pinned`: this site's own handle would pin the profile
                        // for ever.
            || Profile::is_pinned(&self.profile, now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.profile.remembers_until(now)
    }

    fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let own = allocation_size(counts + size_of::<State>());
        let connections = allocation_size(counts + size_of::<ConnectionCount>());
        let parts = Entry::heap_bytes(&self.profile) + self.calls.heap_bytes();
        own + connections + parts + Entry::heap_bytes(&self.permits.per_authority)
    }

    const IS_OPEN: Option<fn(&Site, Instant) -> bool> = Some(|site, now| {
        <Profile as Entry>::IS_OPEN.is_some_and(|is_open| is_open(&site.profile, now))
    });
}
