//! A shard of the store: an index, entries, and a clock hand for evictions.
//!
//! The **clock hand** (CLOCK with frequency counts) chooses the entry to evict: the first of
//! [`STEPS`] that loses nothing (a state as good as new, accessed once), or else
//! the one with the least [`Loss`]. If that one was accessed repeatedly, all entries that the hand
//! passed lose one access. So a flood of keys that come once evicts itself, at no cost to the
//! others, and keys without accesses are evicted before active ones. A new key takes the freed
//! slot, right behind the hand, and has a whole round to be accessed again.
//!
//! Idle keys with a state as good as new are evicted by a sweep, a few at a time.
//!
//! Every step is bounded: the hand by [`STEPS`], the copy of a growing or shrinking [`BlockVec`] by
//! a block, a rebuild of the index by [`MAX_SLOTS`]. The engine calls no code but
//! [`StoredKey::matches`] and [`Entry`], and returns evicted entries, to be dropped outside of any
//! lock.

use std::time::Instant;

use super::block_vec::{BlockVec, MAX_CAPACITY};
use super::bounds::Bounds;
use super::index::{Index, MAX_SLOTS};
use super::meta::{AtomicMeta, Meta, SizeClass};
use super::ticks::At;
use super::{Entry, EvictionReason, StoredKey, allocation_size};

/// Maximum number of entries that the hand examines in one call.
pub(super) const STEPS: usize = 8;
/// The first of these, which are adjacent.
const IN_ORDER: usize = 4;
// Every slot of the index fits into the entries.
const _: () = assert!(MAX_SLOTS <= MAX_CAPACITY);

// What a lookup reads first is in the first cache line.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Shard<Q, T> {
    index: Index,
    slots: BlockVec<StoredEntry<Q, T>>,
    clock: u8,
}

#[derive(Debug)]
struct StoredEntry<Q, T> {
    meta: AtomicMeta,
    key: Q,
    value: T,
}

impl<Q, T: Entry> StoredEntry<Q, T> {
    #[inline]
    fn is_idle(&self, meta: Meta, at: At) -> bool {
        meta.used() < at.idle_before && self.is_as_new(at)
    }

    fn is_as_new(&self, at: At) -> bool {
        !self.value.is_pinned(at.now) && self.value.remembers_until(at.now).is_none()
    }

    /// Returns the loss of an eviction, or `None` if the entry is pinned.
    fn loss(&self, at: At) -> Option<Loss> {
        if self.value.is_pinned(at.now) {
            return None;
        }
        let meta = self.meta.get();
        let is_idle = meta.used() < at.idle_before;
        Some(Loss {
            until: self.value.remembers_until(at.now),
            frequency: if is_idle { 0 } else { meta.frequency() },
            used: meta.used(),
        })
    }
}

/// The loss by an eviction. Compares first the time for which the state differs from a new one,
/// then the number of accesses, then the last access.
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

/// An evicted entry.
#[derive(Debug)]
pub(super) struct Evicted<Q, T> {
    pub(super) key: Q,
    pub(super) value: T,
    pub(super) reason: EvictionReason,
}

/// A new key with its state.
#[derive(Debug)]
pub(super) struct NewEntry<Q, T> {
    pub(super) hash: u64,
    pub(super) key: Q,
    pub(super) value: T,
    pub(super) size: SizeClass,
}

/// Result of inserting a [`NewEntry`].
#[derive(Debug)]
pub(super) enum Insertion<Q, T> {
    /// The key is in `slot`. `spare` is the new entry, if the key was present.
    Stored { slot: usize, spare: Option<NewEntry<Q, T>>, evicted: Option<Evicted<Q, T>> },
    /// There was no room. If an entry was evicted, a second try may succeed.
    Rejected { new_entry: NewEntry<Q, T>, evicted: Option<Evicted<Q, T>> },
}

impl<Q, T> Default for Shard<Q, T> {
    fn default() -> Shard<Q, T> {
        Shard { index: Index::default(), slots: BlockVec::default(), clock: 0 }
    }
}

impl<Q, T: Entry> Shard<Q, T> {
    /// Returns the state of a key that is present and not idle, and counts an access.
    #[inline]
    pub(super) fn hit<K>(&self, hash: u64, key: &K, at: At) -> Option<&T>
    where
        Q: StoredKey<K>,
    {
        let (_, slot) = self.find(hash, key)?;
        let meta = slot.meta.get();
        if slot.is_idle(meta, at) {
            return None;
        }
        slot.meta.access(meta, at.tick);
        Some(&slot.value)
    }

    /// Returns the state as [`hit`](Shard::hit) does, without counting an access.
    pub(super) fn peek<K>(&self, hash: u64, key: &K, at: At) -> Option<&T>
    where
        Q: StoredKey<K>,
    {
        let (_, slot) = self.find(hash, key)?;
        (!slot.is_idle(slot.meta.get(), at)).then_some(&slot.value)
    }

    /// Counts the states for which `is` returns `true`.
    pub(super) fn count(&self, is: impl Fn(&T) -> bool) -> usize {
        self.slots.iter().filter(|slot| is(&slot.value)).count()
    }

    pub(super) fn value(&self, slot: usize) -> &T {
        &self.slots[slot].value
    }

    /// Inserts a new entry if the key is absent or idle. Evicts an entry if there is no room.
    pub(super) fn insert_if_absent<K>(
        &mut self,
        key: &K,
        new_entry: NewEntry<Q, T>,
        at: At,
        bounds: &Bounds,
    ) -> Insertion<Q, T>
    where
        Q: StoredKey<K>,
    {
        if let Some((found, slot)) = self.find(new_entry.hash, key) {
            let meta = slot.meta.get();
            if slot.is_idle(meta, at) {
                return self.replace(found, EvictionReason::Idle, new_entry, at, bounds);
            }
            slot.meta.access(meta, at.tick);
            return Insertion::Stored { slot: found, spare: Some(new_entry), evicted: None };
        }
        if self.reserve_slot(new_entry.size, bounds) {
            let slot = self.push(new_entry, at);
            return Insertion::Stored { slot, spare: None, evicted: None };
        }
        if bounds.is_too_large(new_entry.size) {
            return Insertion::Rejected { new_entry, evicted: None };
        }
        match self.choose(at) {
            Some((slot, reason)) => self.replace(slot, reason, new_entry, at, bounds),
            None => Insertion::Rejected { new_entry, evicted: None },
        }
    }

    /// Returns `true` if the shard has no free slot, whatever other shards evict.
    pub(super) fn is_full(&self) -> bool {
        self.slots.len() == MAX_SLOTS
    }

    /// Evicts an entry so that a new key fits into another shard. Returns `None` if all candidates
    /// are pinned.
    pub(super) fn evict_one(&mut self, at: At, bounds: &Bounds) -> Option<Evicted<Q, T>> {
        // See docs/decisions/0009-the-keyed-store-is-many-small-shards.md.
        let (slot, reason) = self.choose(at)?;
        self.evict(slot, reason, bounds)
    }

    /// Returns the first idle slot among the [`STEPS`] slots scanned on sweep `turn`.
    pub(super) fn idle(&self, turn: usize, at: At) -> Option<usize> {
        let len = self.slots.len();
        let first = turn * STEPS % len.max(1);
        (first..len.min(first + STEPS)).find(|slot| {
            let slot = &self.slots[*slot];
            slot.is_idle(slot.meta.get(), at)
        })
    }

    /// Evicts the slot that [`idle`](Shard::idle) returns.
    pub(super) fn sweep(&mut self, turn: usize, at: At, bounds: &Bounds) -> Option<Evicted<Q, T>> {
        let slot = self.idle(turn, at)?;
        self.evict(slot, EvictionReason::Idle, bounds)
    }

    /// Removes a key, pinned or not.
    pub(super) fn remove<K>(&mut self, hash: u64, key: &K, bounds: &Bounds) -> Option<(Q, T)>
    where
        Q: StoredKey<K>,
    {
        let (found, _) = self.find(hash, key)?;
        self.take(found, bounds)
    }

    #[inline]
    fn find<K>(&self, hash: u64, key: &K) -> Option<(usize, &StoredEntry<Q, T>)>
    where
        Q: StoredKey<K>,
    {
        let part = Meta::part_of(hash);
        self.index.find(part, |at| {
            let slot = &self.slots[at];
            (slot.meta.get().hash() == part && slot.key.matches(key)).then_some((at, slot))
        })
    }

    /// Returns the slot to evict and the reason; see the module. `None` if all candidates are
    /// pinned.
    fn choose(&mut self, at: At) -> Option<(usize, EvictionReason)> {
        let first = usize::from(self.clock);
        let steps = STEPS.min(self.slots.len());
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
                self.slots[slot].meta.cool();
            }
        }
        // Past the adjacent entries that lost an access, or past the chosen one.
        let passed = chosen.unwrap_or(IN_ORDER).min(IN_ORDER - 1).min(steps.checked_sub(1)?);
        self.clock = self.ahead(first, passed) as u8 + 1;
        least.map(|(loss, step)| (self.ahead(first, step), loss.reason(at)))
    }

    /// Returns the slot that the hand examines in `step`: first adjacent ones, then some spread
    /// over the shard, since keys that were inserted together may all be active. All of them, if
    /// there are few.
    fn ahead(&self, first: usize, step: usize) -> usize {
        let len = self.slots.len();
        let leap = if step < IN_ORDER || len <= STEPS {
            step
        } else {
            len * (step - IN_ORDER + 1) / (STEPS - IN_ORDER + 1)
        };
        (first + leap) % len
    }

    /// Replaces the entry in this slot. If there are no bytes for the difference, evicts it only.
    fn replace(
        &mut self,
        slot: usize,
        reason: EvictionReason,
        new_entry: NewEntry<Q, T>,
        at: At,
        bounds: &Bounds,
    ) -> Insertion<Q, T> {
        let old = self.slots[slot].meta.get();
        if !bounds.bytes.try_replace(old.size().bytes(), new_entry.size.bytes()) {
            let evicted = self.evict(slot, reason, bounds);
            return Insertion::Rejected { new_entry, evicted };
        }
        self.unlink(slot);
        let NewEntry { hash, key, value, size } = new_entry;
        let new = Meta::new(hash, size, at.tick);
        let meta = AtomicMeta::new(new);
        let StoredEntry { key, value, .. } =
            std::mem::replace(&mut self.slots[slot], StoredEntry { meta, key, value });
        self.index.insert(new.hash(), slot);
        bounds.count_eviction(reason);
        Insertion::Stored { slot, spare: None, evicted: Some(Evicted { key, value, reason }) }
    }

    fn evict(
        &mut self,
        slot: usize,
        reason: EvictionReason,
        bounds: &Bounds,
    ) -> Option<Evicted<Q, T>> {
        bounds.count_eviction(reason);
        self.take(slot, bounds).map(|(key, value)| Evicted { key, value, reason })
    }

    fn push(&mut self, new_entry: NewEntry<Q, T>, at: At) -> usize {
        let NewEntry { hash, key, value, size } = new_entry;
        let meta = Meta::new(hash, size, at.tick);
        let slot = self.slots.push(StoredEntry { meta: AtomicMeta::new(meta), key, value });
        self.index.insert(meta.hash(), slot);
        slot
    }

    /// Removes the entry in this slot. The last entry moves there.
    fn take(&mut self, slot: usize, bounds: &Bounds) -> Option<(Q, T)> {
        self.unlink(slot);
        let last = self.slots.len() - 1;
        if slot != last {
            self.index.renumber(self.slots[last].meta.get().hash(), last, slot);
        }
        let StoredEntry { meta, key, value } = self.slots.swap_remove(slot)?;
        self.shrink(bounds);
        bounds.keys.release(1);
        bounds.bytes.release(meta.get().size().bytes());
        Some((key, value))
    }

    fn unlink(&mut self, slot: usize) {
        let slots = &self.slots;
        self.index
            .remove(slots[slot].meta.get().hash(), slot, |slot| slots[slot].meta.get().hash());
    }

    /// Counts one more key of this size against the bounds, and grows if there is no free slot.
    fn reserve_slot(&mut self, size: SizeClass, bounds: &Bounds) -> bool {
        // The index is full before the entries are: it has fewer numbers than they have slots.
        if self.is_full() || !bounds.keys.try_add(1) {
            return false;
        }
        if bounds.bytes.try_add(size.bytes()) {
            if self.slots.len() < self.slots.capacity() || self.grow(bounds) {
                return true;
            }
            bounds.bytes.release(size.bytes());
        }
        bounds.keys.release(1);
        false
    }

    fn grow(&mut self, bounds: &Bounds) -> bool {
        let before = self.slots.capacity();
        let capacity = BlockVec::<StoredEntry<Q, T>>::grown(before);
        if !bounds.bytes.try_replace(Self::heap_bytes(before), Self::heap_bytes(capacity)) {
            return false;
        }
        self.resize(capacity);
        true
    }

    fn shrink(&mut self, bounds: &Bounds) {
        let before = self.slots.capacity();
        if let Some(capacity) = self.slots.shrunk() {
            self.resize(capacity);
            bounds.bytes.release(Self::heap_bytes(before) - Self::heap_bytes(capacity));
        }
    }

    fn resize(&mut self, capacity: usize) {
        let before = self.slots.capacity();
        self.slots.resize(capacity);
        if Index::cells_for(capacity) != Index::cells_for(before) {
            self.index =
                Index::with_hashes(capacity, self.slots.iter().map(|slot| slot.meta.get().hash()));
        }
    }

    /// Returns the heap bytes of this number of slots and their index.
    pub(super) const fn heap_bytes(capacity: usize) -> u64 {
        let slots = BlockVec::<StoredEntry<Q, T>>::heap_bytes(capacity);
        (slots + allocation_size(Index::cells_for(capacity) * size_of::<u16>())) as u64
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
#[path = "shard_tests.rs"]
mod tests;
