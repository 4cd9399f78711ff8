//! The bulkheads that share a configuration: one, or one for each key.
//!
//! A change is applied to all of them when it is made. A waiting call is served as soon as the
//! limit is raised, even if no other call comes, and calls do not look for changes.

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

/// The shared state of a bulkhead and its [`fresh`](super::Bulkhead::fresh) bulkheads.
#[derive(Debug)]
pub(crate) struct Group {
    pub(super) name: Name,
    pub(super) listener: Listener,
    config: LiveConfig<BulkheadConfig>,
    register: Mutex<Register>,
}

#[derive(Debug, Default)]
struct Register {
    next_id: u64,
    // A tree gives back the memory of members that are gone, and never moves all that are left.
    members: BTreeMap<u64, Weak<Member>>,
}

/// A bulkhead of a group.
#[derive(Debug)]
pub(crate) struct Member {
    pub(super) admission_queue: AdmissionQueue,
    pub(super) group: Arc<Group>,
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
        // Read under the lock: `change` finds this member in the register, or this finds its
        // change.
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
        // Woken last: a waker may panic, and all members are to have the same configuration even
        // so.
        let mut wakes = Wakes::default();
        for member in members {
            member.admission_queue.apply(*config, config.version(), clock::now, &mut wakes);
        }
        wakes.wake();
    }

    pub(crate) fn config(&self) -> BulkheadConfig {
        *self.config.get()
    }
}

impl Member {
    /// The heap bytes of a member: the member with the two counts of its `Arc`, its place in the
    /// register (the nodes of a tree are at least five elevenths full), and the allocator's
    /// rounding.
    pub(crate) const HEAP_BYTES: usize = {
        let counts = 2 * size_of::<usize>();
        let place = 3 * size_of::<(u64, Weak<Member>)>();
        crate::keyed::allocation_size(size_of::<Member>() + counts) + place
    };
}

impl Drop for Member {
    fn drop(&mut self) {
        self.group.register.lock().members.remove(&self.id);
    }
}
