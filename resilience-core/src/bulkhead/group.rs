//! The bulkheads that share a configuration: one, or one for each key.
//!
//! A change is applied to each of them when it is made. So a waiting call is served as soon as the limit is
//! raised, though no other call comes, and the usual call does not look for a change.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use super::admission_queue::AdmissionQueue;
use super::builder::BulkheadConfig;
use crate::clock;
use crate::live::LiveConfig;
use crate::name::Name;
use crate::observe::Listener;
use crate::wakes::Wakes;

/// Everything that a bulkhead and its [`fresh`](super::Bulkhead::fresh) ones have in common.
#[derive(Debug)]
pub(crate) struct Group {
    name: Name,
    listener: Listener,
    config: LiveConfig<BulkheadConfig>,
    register: Mutex<Register>,
}

#[derive(Debug, Default)]
struct Register {
    next_id: u64,
    // A tree gives back the memory of members that are gone, and never moves all that are left.
    members: BTreeMap<u64, Weak<Member>>,
}

/// One bulkhead of a group.
#[derive(Debug)]
pub(crate) struct Member {
    admission_queue: AdmissionQueue,
    group: Arc<Group>,
    id: u64,
}

impl Group {
    /// Makes a group with its first bulkhead.
    pub(crate) fn found(name: Name, listener: Listener, config: BulkheadConfig) -> Arc<Member> {
        let config = LiveConfig::new(config);
        Group::join(&Arc::new(Group { name, listener, config, register: Mutex::default() }))
    }

    /// Makes another bulkhead of the group.
    pub(crate) fn join(group: &Arc<Group>) -> Arc<Member> {
        let mut register = group.register.lock();
        let id = register.next_id;
        register.next_id += 1;
        // Read under the lock: `change` finds this member in the register, or this finds its change.
        let config = group.config.get();
        let admission_queue = AdmissionQueue::new(*config, config.version());
        let member = Arc::new(Member { admission_queue, group: group.clone(), id });
        register.members.insert(id, Arc::downgrade(&member));
        member
    }

    /// Changes the configuration of all members, and wakes the calls that it admits or rejects.
    pub(crate) fn change(&self, change: impl FnOnce(&BulkheadConfig) -> BulkheadConfig) {
        let config = self.config.update(change);
        let register = self.register.lock();
        let members: Vec<_> = register.members.values().filter_map(Weak::upgrade).collect();
        // The drop of the last handle on a member takes the register.
        drop(register);
        // Woken last: a waker may panic, and all members are to have the same configuration even so.
        let mut wakes = Wakes::default();
        for member in members {
            member.admission_queue.apply(*config, config.version(), clock::now, &mut wakes);
        }
        wakes.wake();
    }

    /// Returns the configuration in force.
    pub(crate) fn config(&self) -> BulkheadConfig {
        *self.config.get()
    }

    pub(crate) const fn name(&self) -> &Name {
        &self.name
    }

    pub(crate) const fn listener(&self) -> &Listener {
        &self.listener
    }
}

impl Member {
    /// Bytes of a member: itself with an `Arc`'s two counts, its place in the register (a tree's nodes are at least
    /// five elevenths full), and the allocator's rounding.
    pub(crate) const HEAP_BYTES: usize = {
        let counts = 2 * size_of::<usize>();
        let place = 3 * size_of::<(u64, Weak<Member>)>();
        crate::keyed::allocation_size(size_of::<Member>() + counts) + place
    };

    pub(crate) const fn admission_queue(&self) -> &AdmissionQueue {
        &self.admission_queue
    }

    pub(crate) const fn group(&self) -> &Arc<Group> {
        &self.group
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.group.register.lock().members.remove(&self.id);
    }
}
