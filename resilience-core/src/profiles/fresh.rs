//! A profile for one key: the rules of another, and a state of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use parking_lot::Mutex;

use super::parts::{Parts, budget_in_place_of};
use super::profile::{Profile, State};
use crate::bulkhead::Bulkhead;
use crate::clock;
use crate::keyed::{Entry, allocated};
use crate::live::Live;
use crate::name::Name;
use crate::rate::RateLimiter;
use crate::retry::RetryPolicy;
use crate::stack::Handles;

/// Whose rules a profile goes by.
#[derive(Debug)]
pub(super) struct Origin {
    state: Arc<State>,
    /// The version of its text that is followed.
    seen: AtomicU32,
    following: Mutex<()>,
}

impl Origin {
    pub(super) fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Whether its text has changed.
    #[inline]
    pub(super) fn has_moved(&self) -> bool {
        !self.state.live().is_at(self.seen.load(Ordering::Acquire))
    }

    /// Brings `live` into step with it.
    #[cold]
    pub(super) fn follow(&self, live: &Live<Parts>) {
        // Declared before the lock, and so dropped after it: a listener may go with them.
        let (version, parts, former);
        let one_by_one = self.following.lock();
        (version, parts) = self.state.parts().into_parts();
        if version == self.seen.load(Ordering::Acquire) {
            return;
        }
        former = live.see();
        live.set(parts.fresh(Some(&former), former.key.clone(), clock::now()));
        // Last: nobody finds it in step before it is.
        self.seen.store(version, Ordering::Release);
        drop(one_by_one);
        // Not under the lock: a listener may be notified.
        live.see().forget_parked();
    }
}

impl State {
    pub(super) fn fresh(origin: &Arc<State>, key: Option<Name>) -> State {
        let (version, parts) = origin.parts().into_parts();
        let live = Arc::new(Live::new(parts.fresh(None, key, clock::now())));
        let seen = AtomicU32::new(version);
        let origin = Origin { state: origin.clone(), seen, following: Mutex::default() };
        State::following(origin, live)
    }
}

impl Parts {
    /// Returns the same rules with the state that `former` has, or else with a state of their own.
    fn fresh(&self, former: Option<&Parts>, key: Option<Name>, now: Instant) -> Parts {
        let Handles { bulkhead, rate_limiter, breaker, .. } = &self.handles;
        let handles = Handles {
            bulkhead: bulkhead.as_ref().map(Bulkhead::fresh),
            rate_limiter: rate_limiter.as_ref().map(RateLimiter::fresh),
            breaker: breaker.as_ref().map(|it| it.fresh_for(key.clone())),
            ..self.handles.clone()
        };
        let handles = former.map_or(handles.clone(), |former| former.keep(handles));
        let parked = former.and_then(|former| former.parked_beside(&handles));
        let terms = self.handles.retry.as_ref().and_then(RetryPolicy::budget);
        let former = former.and_then(|parts| parts.own_budget.as_ref());
        let own_budget = terms.map(|terms| budget_in_place_of(former, terms.fresh(), now));
        Parts { handles, parked, own_budget, key, ..self.clone() }
    }

    /// What would be lost with it.
    fn is_pinned(&self, now: Instant) -> bool {
        let Handles { bulkhead, rate_limiter, breaker, .. } = &self.handles;
        bulkhead.as_ref().is_some_and(|it| it.is_busy())
            || rate_limiter.as_ref().is_some_and(|it| it.is_busy(now))
            || breaker.as_ref().is_some_and(|it| it.is_busy(now))
    }

    /// Until when one of them differs from a new one.
    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        fn of<T: Entry>(part: Option<&T>, now: Instant) -> Option<Instant> {
            part.and_then(|part| part.remembers_until(now))
        }
        let Handles { bulkhead, rate_limiter, breaker, .. } = &self.handles;
        of(bulkhead.as_ref(), now)
            .max(of(rate_limiter.as_ref(), now))
            .max(of(breaker.as_ref(), now))
            .max(of(self.own_budget.as_ref(), now))
    }
}

/// What a store keeps for a key: made by [`Profile::fresh`], it stays while a circuit is open, a permit is
/// out or a call waits, and remembers for as long as the part that remembers longest. Who holds it longer than that holds on to what the store may have let go of.
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
        allocated(counts + size_of::<State>())
            + allocated(counts + size_of::<Live<Parts>>())
            + allocated(counts + size_of::<Parts>())
            + parts.handles.heap_bytes()
            + own_budget
    }

    const IS_OPEN: Option<fn(&Profile, Instant) -> bool> = Some(|profile, now| {
        profile.state().peek().handles.breaker.as_ref().is_some_and(|it| it.is_open(now))
    });
}
