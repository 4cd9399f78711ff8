//! The bulkheads that share a configuration: one, or one for each key.
//!
//! A change is carried to each of them when it is made. So a call that waits is served at once when
//! the limit is raised, though nobody else calls, and the usual call does not ask whether anything
//! has changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::config::Rules;
use super::turnstile::Turnstile;
use crate::clock;
use crate::name::Name;
use crate::observe::Listener;
use crate::wakes::Wakes;

#[derive(Debug)]
pub(crate) struct Family {
    name: Name,
    listener: Listener,
    register: Mutex<Register>,
}

#[derive(Debug)]
struct Register {
    rules: Rules,
    version: u64,
    next_id: u64,
    // A tree gives back the memory of members that are gone, and never moves all that are left.
    members: BTreeMap<u64, Weak<Member>>,
}

/// One bulkhead.
#[derive(Debug)]
pub(crate) struct Member {
    turnstile: Turnstile,
    family: Arc<Family>,
    id: u64,
}

impl Family {
    /// The first bulkhead of a family.
    pub(crate) fn found(name: Name, listener: Listener, rules: Rules) -> Arc<Member> {
        let register = Register { rules, version: 0, next_id: 0, members: BTreeMap::new() };
        Family::join(&Arc::new(Family { name, listener, register: Mutex::new(register) }))
    }

    /// Another one.
    pub(crate) fn join(family: &Arc<Family>) -> Arc<Member> {
        let mut register = family.register.lock();
        let id = register.next_id;
        register.next_id += 1;
        let turnstile = Turnstile::new(register.rules, register.version);
        let member = Arc::new(Member { turnstile, family: family.clone(), id });
        register.members.insert(id, Arc::downgrade(&member));
        member
    }

    /// Changes the rules of all.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Rules)) {
        let mut register = self.register.lock();
        change(&mut register.rules);
        register.version += 1;
        let (rules, version) = (register.rules, register.version);
        let members: Vec<_> = register.members.values().filter_map(Weak::upgrade).collect();
        // The last handle on a member takes the register when it goes.
        drop(register);
        // Woken last: a waker may panic, and all of them are to have the same rules even so.
        let mut wakes = Wakes::default();
        for member in members {
            member.turnstile.apply(rules, version, clock::now, &mut wakes);
        }
        wakes.wake();
    }

    /// What is in force.
    #[cfg(feature = "tower")]
    pub(crate) fn rules(&self) -> Rules {
        self.register.lock().rules
    }

    pub(crate) const fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) const fn listener(&self) -> &Listener {
        &self.listener
    }
}

impl Member {
    /// Itself with an `Arc`'s two counts, its place in the register (a tree's nodes are at least five
    /// elevenths full), and the allocator's rounding.
    pub(crate) const HEAP_BYTES: usize = {
        let counts = 2 * size_of::<usize>();
        let place = 3 * size_of::<(u64, Weak<Member>)>();
        crate::keyed::allocation_size(size_of::<Member>() + counts) + place
    };

    #[inline]
    pub(crate) const fn turnstile(&self) -> &Turnstile {
        &self.turnstile
    }

    pub(crate) const fn family(&self) -> &Arc<Family> {
        &self.family
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.family.register.lock().members.remove(&self.id);
    }
}
