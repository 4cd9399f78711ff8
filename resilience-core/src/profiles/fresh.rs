//! Profiles with the settings of another profile and a state of their own, such as those for one
//! key.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::parts::{Parts, budget_in_place_of};
use super::profile::{Profile, State};
use crate::bulkhead::Bulkhead;
use crate::clock;
use crate::config::InvalidConfig;
use crate::keyed::{Entry, Key, Keyed, KeyedLimits, allocation_size};
use crate::live::{LiveConfig, Versioned};
use crate::name::Name;
use crate::rate::RateLimiter;
use crate::retry::RetryPolicy;
use crate::stack::Handles;

/// The profile from which another one takes its settings.
#[derive(Debug)]
pub(super) struct Origin {
    live: Arc<LiveConfig<Parts>>,
    /// Keeps a reload from removing the profile. `None` in the profile's own store, which would
    /// keep itself alive.
    holds: Option<Arc<State>>,
    /// The version of the settings that the other profile follows.
    seen: AtomicU32,
    following: Mutex<()>,
}

impl Origin {
    /// Returns `true` if the settings have changed since they were last followed.
    pub(super) fn has_moved(&self) -> bool {
        !self.live.is_at(self.seen.load(Ordering::Acquire))
    }

    /// Applies the current settings to `live`.
    #[cold]
    pub(super) fn follow(&self, live: &LiveConfig<Parts>) {
        // Declared before the lock, and so dropped after it: dropping a listener may run any code.
        let parts;
        let former;
        let one_by_one = self.following.lock();
        parts = self.live.get();
        if parts.version() == self.seen.load(Ordering::Acquire) {
            return;
        }
        former = live.get();
        live.set(parts.fresh(Some(&former), former.key.clone(), clock::now()));
        // Last, so that a thread that reads this version also reads the settings of it.
        self.seen.store(parts.version(), Ordering::Release);
        drop(one_by_one);
        // Not under the lock: this may notify a listener.
        live.get().forget_parked();
    }
}

impl State {
    /// Creates a profile with the settings of `of` and a state of its own. Keeps `of`, or the
    /// profile that `of` keeps, from being removed by a reload.
    pub(super) fn fresh(of: &Arc<State>, key: Option<Name>) -> State {
        // See docs/decisions/0025-a-key-is-read-when-an-event-needs-it.md.
        let holds = of.origin().map_or_else(|| Some(of.clone()), |origin| origin.holds.clone());
        State::fresh_of(of, key, holds)
    }

    /// Creates a profile as [`fresh`](State::fresh) does, but keeps no other.
    fn fresh_unheld(of: &Arc<State>, key: Option<Name>) -> State {
        State::fresh_of(of, key, None)
    }

    fn fresh_of(of: &State, key: Option<Name>, holds: Option<Arc<State>>) -> State {
        let rules = of.origin().map_or_else(|| of.live(), |origin| &origin.live);
        let parts = rules.get();
        let live = Arc::new(LiveConfig::new(parts.fresh(None, key, clock::now())));
        let seen = AtomicU32::new(parts.version());
        let origin = Origin { live: rules.clone(), holds, seen, following: Mutex::default() };
        State::following(of.name().to_owned(), origin, live)
    }
}

/// The state of a profile for one key, shared by all users of the profile's own store. See
/// [`Profile::per_key`].
///
/// The store keeps the state while a clone of this value exists, and after that under the same
/// rules as any other [`Profile`].
#[derive(Debug, Clone)]
#[doc(hidden)]
pub struct KeyProfile(Arc<Profile>);

impl Deref for KeyProfile {
    type Target = Profile;

    fn deref(&self) -> &Profile {
        &self.0
    }
}

impl Entry for KeyProfile {
    fn is_pinned(&self, now: Instant) -> bool {
        Arc::strong_count(&self.0) > 1 || self.0.is_pinned(now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.0.remembers_until(now)
    }

    fn heap_bytes(&self) -> usize {
        allocation_size(2 * size_of::<usize>() + size_of::<Profile>()) + Entry::heap_bytes(&*self.0)
    }

    const IS_OPEN: Option<fn(&KeyProfile, Instant) -> bool> =
        Some(|profile, now| is_open(&profile.0, now));
}

/// The store of a profile's keys, and the limits that it was made with.
pub(super) struct Keys<K: Key> {
    limits: KeyedLimits,
    store: Keyed<K, KeyProfile>,
}

impl<K: Key> Keys<K> {
    fn new(of: &Arc<State>, limits: KeyedLimits) -> Keys<K> {
        let model = Profile::new(Arc::new(State::fresh_unheld(of, None)));
        let make = move |key: &K| {
            let fresh = State::fresh_unheld(model.shared_state(), Some(key.name()));
            // All users of the key call through this state, so its handles exist at once.
            fresh.called();
            KeyProfile(Arc::new(Profile::new(Arc::new(fresh))))
        };
        Keys { limits, store: Keyed::new(limits.twice(), make) }
    }
}

impl Profile {
    /// Returns the store of this profile's states by key. All clones of the profile share the
    /// store, so a key has one circuit, bulkhead, rate limit and retry budget for all users.
    ///
    /// The states follow the reloads of the profile. The store lives as long as the profile, and
    /// does not keep a reload from removing the profile. A [`fresh`](Profile::fresh) profile has a
    /// store of its own. `limits` are those of one user: the store holds twice as many keys and
    /// bytes, so that states in use leave room for new ones.
    ///
    /// # Errors
    /// If the profile already has a store for keys of this type with other limits. The error names
    /// `authorities`.
    pub fn per_key<K: Key>(
        &self,
        limits: KeyedLimits,
    ) -> Result<Keyed<K, KeyProfile>, InvalidConfig> {
        // See docs/decisions/0032-a-key-of-a-profile-has-one-state.md.
        let mut stores = self.state().keys().lock();
        let found = stores.iter().find_map(|keys| keys.downcast_ref::<Keys<K>>());
        if let Some(Keys { limits: first, store }) = found {
            if *first != limits {
                let bound =
                    format!("{first}, the limits that profile `{}` has already", self.name());
                return Err(InvalidConfig::new("authorities", limits, bound));
            }
            return Ok(store.clone());
        }
        let keys = Keys::<K>::new(self.shared_state(), limits);
        let store = keys.store.clone();
        stores.push(Box::new(keys));
        Ok(store)
    }
}

impl Parts {
    /// Returns the same settings with the state of `former`, or else with a state of their own.
    fn fresh(&self, former: Option<&Parts>, key: Option<Name>, now: Instant) -> Parts {
        let Handles { bulkhead, rate_limit, circuit_breaker, .. } = &self.handles;
        let handles = Handles {
            bulkhead: bulkhead.as_ref().map(Bulkhead::fresh),
            rate_limit: rate_limit.as_ref().map(RateLimiter::fresh),
            circuit_breaker: circuit_breaker.as_ref().map(|it| it.fresh_for(key.clone())),
            ..self.handles.clone()
        };
        let handles = former.map_or(handles.clone(), |former| former.keep(handles));
        let parked = former.and_then(|former| former.parked_beside(&handles));
        let terms = self.handles.retry.as_ref().and_then(RetryPolicy::budget);
        let former = former.and_then(|parts| parts.own_budget.as_ref());
        let own_budget = terms.map(|terms| budget_in_place_of(former, terms.fresh(), now));
        Parts { handles, parked, own_budget, key, ..self.clone() }
    }

    /// Returns `true` if a part is in use, so that its state must not be dropped.
    fn is_pinned(&self, now: Instant) -> bool {
        let Handles { bulkhead, rate_limit, circuit_breaker, .. } = &self.handles;
        bulkhead.as_ref().is_some_and(|it| it.is_busy())
            || rate_limit.as_ref().is_some_and(|it| it.is_busy(now))
            || circuit_breaker.as_ref().is_some_and(|it| it.is_busy(now))
    }

    /// Returns the time until which a part differs from a new one.
    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        fn of<T: Entry>(part: Option<&T>, now: Instant) -> Option<Instant> {
            part.and_then(|part| part.remembers_until(now))
        }
        let Handles { bulkhead, rate_limit, circuit_breaker, .. } = &self.handles;
        of(bulkhead.as_ref(), now)
            .max(of(rate_limit.as_ref(), now))
            .max(of(circuit_breaker.as_ref(), now))
            .max(of(self.own_budget.as_ref(), now))
    }
}

/// An entry of a store for keys, made by [`Profile::fresh`]. The store keeps the entry while a
/// circuit is open, a permit is in use or a call waits, and as long as one of its parts differs
/// from a new one. A clone that is kept longer may be of a state that the store has evicted.
impl Entry for Profile {
    fn is_pinned(&self, now: Instant) -> bool {
        self.state().peek().is_pinned(now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        // Under the store's lock: following a reload would notify listeners.
        self.state().peek().remembers_until(now)
    }

    fn heap_bytes(&self) -> usize {
        let counts = 2 * size_of::<usize>();
        let parts = self.state().peek();
        let own_budget = parts.own_budget.as_ref().map_or(0, Entry::heap_bytes);
        allocation_size(counts + size_of::<State>())
            + allocation_size(counts + size_of::<LiveConfig<Parts>>())
            + allocation_size(Versioned::<Parts>::BYTES)
            + parts.handles.heap_bytes()
            + own_budget
    }

    const IS_OPEN: Option<fn(&Profile, Instant) -> bool> = Some(is_open);
}

fn is_open(profile: &Profile, now: Instant) -> bool {
    profile.state().peek().handles.circuit_breaker.as_ref().is_some_and(|it| it.is_open(now))
}
