//! What the limiters of one configuration go by, and whether it is still so.
//!
//! There may be a limiter for each of a million keys, so each has one pointer to all of that, and the
//! question whether it was changed is answered beside what is read next.

use std::ops::Deref;
use std::sync::{Arc, Weak};
use std::time::Instant;

use parking_lot::Mutex;

use super::bucket::line_of;
use super::builder::RateConfig;
use crate::Deadline;
use crate::clock;
use crate::name::Name;
use crate::observe::Listener;
use crate::patience::Patience;
use crate::sync::{AtomicU8, Ordering};

/// A configuration, while it is in force or somebody has not noticed that it no longer is.
#[derive(Debug)]
pub(super) struct Terms {
    config: RateConfig,
    outdated: AtomicU8,
    in_force: Arc<InForce>,
}

/// The newest configuration, and what no configuration changes.
#[derive(Debug)]
struct InForce {
    name: Name,
    listener: Listener,
    newest: Mutex<Newest>,
}

#[derive(Debug)]
struct Newest {
    config: RateConfig,
    /// Weak, since they hold this. Made again if nobody was left who went by them.
    terms: Weak<Terms>,
}

impl Terms {
    pub(super) fn new(name: Name, listener: Listener, config: RateConfig) -> Arc<Terms> {
        let newest = Mutex::new(Newest { config, terms: Weak::new() });
        InForce::terms(&Arc::new(InForce { name, listener, newest }))
    }

    /// The name of the limiters in rejections and events.
    pub(super) fn name(&self) -> &Name {
        &self.in_force.name
    }

    /// The listener of the limiters.
    pub(super) fn listener(&self) -> &Listener {
        &self.in_force.listener
    }

    /// Those in force.
    pub(super) fn newest(&self) -> Arc<Terms> {
        InForce::terms(&self.in_force)
    }

    /// Puts `config` into force.
    pub(super) fn replace(&self, config: RateConfig) {
        let mut newest = self.in_force.newest.lock();
        let former = std::mem::replace(&mut *newest, Newest { config, terms: Weak::new() });
        let outdated = former.terms.upgrade();
        if let Some(outdated) = &outdated {
            // Under the lock: whoever reads this finds at least the new ones.
            outdated.outdated.store(1, Ordering::Release);
        }
    }

    #[inline]
    pub(super) fn are_current(&self) -> bool {
        self.outdated.load(Ordering::Acquire) == 0
    }

    /// Looks again. The former ones, if they have changed.
    #[inline]
    pub(super) fn refresh(terms: &mut Arc<Terms>) -> Option<Arc<Terms>> {
        if terms.are_current() { None } else { Some(Terms::replaced(terms)) }
    }

    /// The last instant of the line at which a call that begins now may still be served.
    pub(super) fn until(&self, now: Instant) -> Option<u64> {
        let own = match self.patience {
            Patience::None => return None,
            Patience::Endless => None,
            Patience::AtMost(wait) => Some(clock::later(now, wait)),
        };
        let ambient = Deadline::current().map(Deadline::instant);
        let until = own.into_iter().chain(ambient).min();
        Some(until.map_or(u64::MAX, line_of))
    }

    #[cold]
    fn replaced(terms: &mut Arc<Terms>) -> Arc<Terms> {
        let newest = terms.newest();
        std::mem::replace(terms, newest)
    }
}

impl InForce {
    fn terms(in_force: &Arc<InForce>) -> Arc<Terms> {
        let mut newest = in_force.newest.lock();
        if let Some(terms) = newest.terms.upgrade() {
            return terms;
        }
        let (config, outdated) = (newest.config.clone(), AtomicU8::new(0));
        let terms = Arc::new(Terms { config, outdated, in_force: in_force.clone() });
        newest.terms = Arc::downgrade(&terms);
        terms
    }
}

impl Deref for Terms {
    type Target = RateConfig;

    #[inline]
    fn deref(&self) -> &RateConfig {
        &self.config
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;
    use crate::rate::{Quota, RateLimiter};

    fn terms(config: RateConfig) -> Arc<Terms> {
        Terms::new(Name::from_static("rate"), Listener::default(), config)
    }

    fn config(count: u32) -> RateConfig {
        RateLimiter::builder().quota(Quota::per_second(count)).config().unwrap()
    }

    fn count(terms: &Terms) -> u32 {
        terms.pace().quota().count()
    }

    #[test]
    fn a_change_is_seen_once() {
        let mut here = terms(config(1));
        let mut there = here.newest();
        assert!(Arc::ptr_eq(&here, &there) && Terms::refresh(&mut here).is_none());
        here.replace(config(2));
        here.replace(config(3));
        for terms in [&mut here, &mut there] {
            assert_eq!(Terms::refresh(terms).map(|former| count(&former)), Some(1));
            assert_eq!((count(terms), Terms::refresh(terms).is_none()), (3, true));
        }
        assert!(Arc::ptr_eq(&here, &there), "they share them again");
    }

    /// Whoever makes the change may be gone before anybody sees it.
    #[test]
    fn a_change_outlives_who_made_it() {
        let maker = terms(config(1));
        let mut other = maker.newest();
        maker.replace(config(2));
        drop((maker.newest(), maker));
        assert!(Terms::refresh(&mut other).is_some());
        assert_eq!(count(&other), 2);
    }
}
