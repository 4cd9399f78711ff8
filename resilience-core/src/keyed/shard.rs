//! A few of the keys: an index, a slab, and a hand that goes around it.
//!
//! The **clock hand** looks for the key to evict when room is needed: the first of [`STEPS`] keys that
//! loses nothing (its state is as good as new, and it was asked for only once), or else the one with the
//! least [`Loss`]. If that one was asked for again, all that the hand passed count one less. So a flood of
//! keys that come once replaces itself, at no cost to the others, and keys that are not asked for any more
//! lose their place to ones that are. A new key takes the slot that was freed, right behind the hand, and
//! has a whole turn of it to be asked for again.
//!
//! Idle keys whose state is as good as new are evicted a few at a time, when it is their turn.
//!
//! Everything is bounded: a hand's steps by [`STEPS`], what a growing or shrinking [`Slab`]
//! copies by the places in a block, and the index that is made anew by the [slots](MAX_SLOTS) there can be. The engine calls nobody but [`Kept::is_of`] and
//! [`Entry`], and hands back what is let go of, to be dropped outside of any lock.

use std::time::Instant;

use super::bounds::Bounds;
use super::index::{Index, MAX_SLOTS};
use super::meta::{Marks, Meta, SizeClass};
use super::slab::{MAX_ROOM, Slab};
use super::ticks::At;
use super::{Entry, EvictionReason, Kept, allocated};

/// The most keys that a hand looks at in one call.
pub(super) const STEPS: usize = 8;
/// Those of them that are next to each other.
const IN_ORDER: usize = 4;
/// Each slot has a place.
const _: () = assert!(MAX_SLOTS <= MAX_ROOM);

/// All that a lookup goes by is in the first cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Shard<Q, T> {
    index: Index,
    slots: Slab<Slot<Q, T>>,
    clock: u8,
}

#[derive(Debug)]
struct Slot<Q, T> {
    marks: Marks,
    key: Q,
    value: T,
}

impl<Q, T: Entry> Slot<Q, T> {
    #[inline]
    fn is_idle(&self, meta: Meta, at: At) -> bool {
        meta.used() < at.idle_before && self.is_as_new(at)
    }

    fn is_as_new(&self, at: At) -> bool {
        !self.value.is_pinned(at.now) && self.value.remembers_until(at.now).is_none()
    }

    /// Returns what evicting it loses, or `None` if it is pinned.
    fn loss(&self, at: At) -> Option<Loss> {
        if self.value.is_pinned(at.now) {
            return None;
        }
        let meta = self.marks.get();
        let is_idle = meta.used() < at.idle_before;
        Some(Loss {
            until: self.value.remembers_until(at.now),
            frequency: if is_idle { 0 } else { meta.frequency() },
            used: meta.used(),
        })
    }
}

/// What is lost with a key. In this order: for how long its state would have been remembered, how often it
/// was asked for again, and how recently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Loss {
    until: Option<Instant>,
    frequency: u64,
    used: u64,
}

impl Loss {
    const fn is_nothing(&self) -> bool {
        self.until.is_none() && self.frequency == 0
    }

    fn reason(&self, at: At) -> EvictionReason {
        let is_idle = self.until.is_none() && self.used < at.idle_before;
        if is_idle { EvictionReason::Idle } else { EvictionReason::Capacity }
    }
}

/// What was let go of, and why.
#[derive(Debug)]
pub(super) struct Evicted<Q, T> {
    pub(super) key: Q,
    pub(super) value: T,
    pub(super) reason: EvictionReason,
}

/// What is kept of a key that is new, and its state.
#[derive(Debug)]
pub(super) struct Newcomer<Q, T> {
    pub(super) hash: u64,
    pub(super) key: Q,
    pub(super) value: T,
    pub(super) size: SizeClass,
}

/// What became of a [`Newcomer`].
#[derive(Debug)]
pub(super) enum Offer<Q, T> {
    /// The key is in this slot now: the newcomer, or, if it is `spare`, one that was there first.
    Kept { slot: usize, spare: Option<Newcomer<Q, T>>, evicted: Option<Evicted<Q, T>> },
    /// There was no room; but if one was let go of, there may be some now.
    Refused { newcomer: Newcomer<Q, T>, evicted: Option<Evicted<Q, T>> },
}

impl<Q, T> Default for Shard<Q, T> {
    fn default() -> Shard<Q, T> {
        let (index, slots) = (Index::default(), Slab::default());
        Shard { index, slots, clock: 0 }
    }
}

impl<Q, T: Entry> Shard<Q, T> {
    /// The state of a key that is there and not idle.
    #[inline]
    pub(super) fn hit<K>(&self, hash: u64, key: &K, at: At) -> Option<&T>
    where
        Q: Kept<K>,
    {
        let (_, slot) = self.find(hash, key)?;
        let meta = slot.marks.get();
        if slot.is_idle(meta, at) {
            return None;
        }
        slot.marks.touch(meta, at.tick);
        Some(&slot.value)
    }

    /// The same, unnoticed.
    pub(super) fn peek<K>(&self, hash: u64, key: &K, at: At) -> Option<&T>
    where
        Q: Kept<K>,
    {
        let (_, slot) = self.find(hash, key)?;
        (!slot.is_idle(slot.marks.get(), at)).then_some(&slot.value)
    }

    /// Counts the states for which `is` returns `true`.
    pub(super) fn count(&self, is: impl Fn(&T) -> bool) -> usize {
        self.slots.iter().filter(|slot| is(&slot.value)).count()
    }

    pub(super) fn value(&self, slot: usize) -> &T {
        &self.slots[slot].value
    }

    /// A key that was not there is put there, if there is room, or was made. An idle one makes room
    /// for its own successor.
    pub(super) fn offer<K>(
        &mut self,
        key: &K,
        newcomer: Newcomer<Q, T>,
        at: At,
        bounds: &Bounds,
    ) -> Offer<Q, T>
    where
        Q: Kept<K>,
    {
        if let Some((found, slot)) = self.find(newcomer.hash, key) {
            let meta = slot.marks.get();
            if slot.is_idle(meta, at) {
                return self.succeed(found, EvictionReason::Idle, newcomer, at, bounds);
            }
            slot.marks.touch(meta, at.tick);
            return Offer::Kept { slot: found, spare: Some(newcomer), evicted: None };
        }
        if self.make_slot(newcomer.size, bounds) {
            let slot = self.push(newcomer, at);
            return Offer::Kept { slot, spare: None, evicted: None };
        }
        if bounds.is_too_large(newcomer.size) {
            return Offer::Refused { newcomer, evicted: None };
        }
        match self.choose(at) {
            Some((slot, reason)) => self.succeed(slot, reason, newcomer, at, bounds),
            None => Offer::Refused { newcomer, evicted: None },
        }
    }

    /// Whether there can be no more keys here, wherever room is made.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() == MAX_SLOTS
    }

    /// Lets go of one, for a newcomer in another shard.
    pub(super) fn make_room(&mut self, at: At, bounds: &Bounds) -> Option<Evicted<Q, T>> {
        let (slot, reason) = self.choose(at)?;
        self.evict(slot, reason, bounds)
    }

    /// The first idle one of the few that it is the `turn` of.
    pub(super) fn idle(&self, turn: usize, at: At) -> Option<usize> {
        let len = self.slots.len();
        let first = turn * STEPS % len.max(1);
        (first..len.min(first + STEPS)).find(|slot| {
            let slot = &self.slots[*slot];
            slot.is_idle(slot.marks.get(), at)
        })
    }

    /// Lets go of that one.
    pub(super) fn sweep(&mut self, turn: usize, at: At, bounds: &Bounds) -> Option<Evicted<Q, T>> {
        let slot = self.idle(turn, at)?;
        self.evict(slot, EvictionReason::Idle, bounds)
    }

    /// Lets go of a key, pinned or not.
    pub(super) fn remove<K>(&mut self, hash: u64, key: &K, bounds: &Bounds) -> Option<(Q, T)>
    where
        Q: Kept<K>,
    {
        let (found, _) = self.find(hash, key)?;
        self.take(found, bounds)
    }

    #[inline]
    fn find<K>(&self, hash: u64, key: &K) -> Option<(usize, &Slot<Q, T>)>
    where
        Q: Kept<K>,
    {
        let part = Meta::part_of(hash);
        self.index.find(part, |place| {
            let slot = &self.slots[place];
            (slot.marks.get().hash() == part && slot.key.is_of(key)).then_some((place, slot))
        })
    }

    /// Returns the key to evict, if one can be, and why: see the module.
    fn choose(&mut self, at: At) -> Option<(usize, EvictionReason)> {
        let (first, steps) = (usize::from(self.clock), STEPS.min(self.slots.len()));
        let mut least: Option<(Loss, usize)> = None;
        for step in 0..steps {
            let Some(loss) = self.slots[self.ahead(first, step)].loss(at) else { continue };
            if least.is_none_or(|(least, _)| loss < least) {
                least = Some((loss, step));
            }
            if loss.is_nothing() {
                break;
            }
        }
        let chosen = least.filter(|(loss, _)| loss.frequency == 0).map(|(_, step)| step);
        if chosen.is_none() {
            for step in 0..steps {
                let slot = self.ahead(first, step);
                self.slots[slot].marks.cool();
            }
        }
        // Past the keys in order that count one less now; or past the chosen one, so that those behind it
        // have their turn next.
        let passed = chosen.unwrap_or(IN_ORDER).min(IN_ORDER - 1).min(steps.checked_sub(1)?);
        self.clock = self.ahead(first, passed) as u8 + 1;
        least.map(|(loss, step)| (self.ahead(first, step), loss.reason(at)))
    }

    /// The slots that the clock hand looks at: the next few, oldest first; then, since keys that came
    /// together may all be asked for, some from all around. If there are few, all of them.
    fn ahead(&self, first: usize, step: usize) -> usize {
        let len = self.slots.len();
        let leap = if step < IN_ORDER || len <= STEPS {
            step
        } else {
            len * (step - IN_ORDER + 1) / (STEPS - IN_ORDER + 1)
        };
        (first + leap) % len
    }

    /// The newcomer takes this slot. If it is larger than what was there, and there are no bytes for
    /// the difference, there is at least one key less now.
    fn succeed(
        &mut self,
        slot: usize,
        reason: EvictionReason,
        newcomer: Newcomer<Q, T>,
        at: At,
        bounds: &Bounds,
    ) -> Offer<Q, T> {
        let old = self.slots[slot].marks.get();
        if !bounds.bytes.exchange(old.size().bytes(), newcomer.size.bytes()) {
            let evicted = self.evict(slot, reason, bounds);
            return Offer::Refused { newcomer, evicted };
        }
        self.unlink(slot);
        let Newcomer { hash, key, value, size } = newcomer;
        let meta = Meta::new(hash, size, at.tick);
        let marks = Marks::new(meta);
        let Slot { key, value, .. } =
            std::mem::replace(&mut self.slots[slot], Slot { marks, key, value });
        self.index.insert(meta.hash(), slot);
        bounds.evicted(reason);
        Offer::Kept { slot, spare: None, evicted: Some(Evicted { key, value, reason }) }
    }

    fn evict(
        &mut self,
        slot: usize,
        reason: EvictionReason,
        bounds: &Bounds,
    ) -> Option<Evicted<Q, T>> {
        bounds.evicted(reason);
        self.take(slot, bounds).map(|(key, value)| Evicted { key, value, reason })
    }

    fn push(&mut self, newcomer: Newcomer<Q, T>, at: At) -> usize {
        let Newcomer { hash, key, value, size } = newcomer;
        let meta = Meta::new(hash, size, at.tick);
        let slot = self.slots.push(Slot { marks: Marks::new(meta), key, value });
        self.index.insert(meta.hash(), slot);
        slot
    }

    /// The last one moves into the gap.
    fn take(&mut self, slot: usize, bounds: &Bounds) -> Option<(Q, T)> {
        self.unlink(slot);
        let last = self.slots.len() - 1;
        if slot != last {
            self.index.renumber(self.slots[last].marks.get().hash(), last, slot);
        }
        let Slot { marks, key, value } = self.slots.swap_remove(slot)?;
        self.shrink(bounds);
        bounds.keys.give(1);
        bounds.bytes.give(marks.get().size().bytes());
        Some((key, value))
    }

    fn unlink(&mut self, slot: usize) {
        let slots = &self.slots;
        self.index
            .remove(slots[slot].marks.get().hash(), slot, |slot| slots[slot].marks.get().hash());
    }

    /// Pays for one more key of this size, and for more slots if it needs them.
    fn make_slot(&mut self, size: SizeClass, bounds: &Bounds) -> bool {
        // Before the slab is: it has room for a little more than the index has numbers for.
        if self.is_full() || !bounds.keys.take(1) {
            return false;
        }
        if bounds.bytes.take(size.bytes()) {
            if self.slots.len() < self.slots.room() || self.grow(bounds) {
                return true;
            }
            bounds.bytes.give(size.bytes());
        }
        bounds.keys.give(1);
        false
    }

    fn grow(&mut self, bounds: &Bounds) -> bool {
        let before = self.slots.room();
        let room = Slab::<Slot<Q, T>>::more(before);
        if !bounds.bytes.exchange(Self::cost(before), Self::cost(room)) {
            return false;
        }
        self.resize(room);
        true
    }

    fn shrink(&mut self, bounds: &Bounds) {
        let before = self.slots.room();
        if let Some(room) = self.slots.less() {
            self.resize(room);
            bounds.bytes.give(Self::cost(before) - Self::cost(room));
        }
    }

    fn resize(&mut self, room: usize) {
        let before = self.slots.room();
        self.slots.resize(room);
        if Index::cells_for(room) != Index::cells_for(before) {
            self.index = Index::of(room, self.slots.iter().map(|slot| slot.marks.get().hash()));
        }
    }

    /// What so many slots take, and their index.
    pub(super) const fn cost(room: usize) -> u64 {
        let slots = Slab::<Slot<Q, T>>::cost(room);
        (slots + allocated(Index::cells_for(room) * size_of::<u16>())) as u64
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
#[path = "shard_tests.rs"]
mod tests;
