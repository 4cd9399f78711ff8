//! The store: all shards, their locks, the overflow state and the listener.

use std::cell::OnceCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use foldhash::quality::RandomState;

use super::bounds::Bounds;
use super::builder::KeyedBuilder;
use super::limits::KeyedLimits;
use super::meta::{Meta, SizeClass};
use super::shard::{Evicted, Insertion, NewEntry, STEPS, Shard};
use super::striped_lock::StripedLock;
use super::ticks::{At, Ticks};
use super::{Entry, Key, StoredKey, allocation_size};
use crate::clock::Now;
use crate::name::Name;
use crate::observe::{Event, Gauges, Listener, names};
use crate::sync::{AtomicU64, Ordering};

/// Keys in a shard of a full store: far enough below the maximum that no shard is full before the
/// store.
const KEYS_PER_SHARD: usize = 160;
/// Shards of a group, which share a lock. An insertion looks for room in all of them, so that the
/// eviction of a store with one group is exact.
const SHARDS: usize = 4;

/// Misses per sweep step.
const MISSES_PER_STEP: u64 = 4;
/// Hits of a stripe per sweep step, after a step that found an idle key and after one that did not:
/// a step costs several lookups, and nearly always finds none.
const HITS_PER_STEP: [u64; 2] = [32, 256];

type Make<K, T> = Box<dyn Fn(&K) -> T + Send + Sync>;

/// A bounded store of state per key. Clones share it.
///
/// Idle time is measured by the instants that callers pass: a lookup at a
/// [far instant](crate::clock#far-instants) may evict a few other keys as idle, and its own key is
/// not idle before that instant.
///
/// Hashes are seeded per store, so that keys from outside cannot be chosen to collide; a collision
/// costs at most a search of one shard.
pub struct Keyed<K: Key, T>(Arc<Inner<K, T>>);

struct Inner<K: Key, T> {
    groups: usize,
    /// Shards in use in each group: one in a small store, so that evictions compare all keys.
    shards: usize,
    lock: StripedLock<ShardGroup<K::Stored, T>>,
    hasher: RandomState,
    ticks: Ticks,
    bounds: Bounds,
    make: Make<K, T>,
    /// The state shared by all keys without room.
    overflow: OnceLock<T>,
    /// Sweep steps so far, which determine the keys of the next one.
    steps: AtomicU64,
    /// Hits per sweep step. Rarely written, since all threads read it.
    hits_per_step: AtomicU64,
    name: Name,
    listener: Listener,
}

type ShardGroup<Q, T> = [Shard<Q, T>; SHARDS];

impl<K: Key, T: Entry> Keyed<K, T> {
    /// Creates a store. `make` makes the state of a new key, outside of all locks: if two calls
    /// make one for the same key at once, both get the one that is inserted first. The first key
    /// without room also calls it, for the overflow state.
    pub fn new(limits: KeyedLimits, make: impl Fn(&K) -> T + Send + Sync + 'static) -> Keyed<K, T> {
        let name = Name::from_static("keyed");
        Keyed::with_parts(limits, name, Listener::default(), Box::new(make))
    }

    pub(super) fn with_parts(
        limits: KeyedLimits,
        name: Name,
        listener: Listener,
        make: Make<K, T>,
    ) -> Keyed<K, T> {
        let keys = max_keys(&limits, Shard::<K::Stored, T>::heap_bytes(1));
        let groups = keys.div_ceil(KEYS_PER_SHARD * SHARDS).max(1);
        let shards = if keys <= KEYS_PER_SHARD { 1 } else { SHARDS };
        let lock = StripedLock::new((0..groups).map(|_| ShardGroup::default()));
        let bounds = Bounds::new(limits.max_keys(), limits.max_bytes());
        let own = lock.heap_bytes(groups) + allocation_size(size_of::<Inner<K, T>>() + 16);
        bounds.bytes.try_add(own as u64);
        Keyed(Arc::new(Inner {
            groups,
            shards,
            lock,
            hasher: RandomState::default(),
            ticks: Ticks::new(crate::clock::now(), limits.idle()),
            bounds,
            make,
            overflow: OnceLock::new(),
            steps: AtomicU64::new(0),
            hits_per_step: AtomicU64::new(HITS_PER_STEP[1]),
            name,
            listener,
        }))
    }

    /// Returns a clone of the state of this key, which is made if the key is new.
    #[inline]
    pub fn get(&self, key: &K, now: Instant) -> T {
        self.with(key, now, T::clone)
    }

    /// Calls `look` with the state of this key, which is made if the key is new. Cheaper than a
    /// clone.
    ///
    /// `look` runs under a lock of the store: it must not use the store, and should call no user
    /// code.
    #[inline]
    pub fn with<R>(&self, key: &K, now: Instant, look: impl FnOnce(&T) -> R) -> R {
        self.with_at(key, self.0.ticks.at(now), look)
    }

    /// Like [`with`](Self::with), with the shared time of a poll.
    #[inline]
    pub(crate) fn with_known<R>(&self, key: &K, now: &mut Now, look: impl FnOnce(&T) -> R) -> R {
        let instant = now.get();
        self.with_at(key, self.0.ticks.at_tick(instant, now.tick()), look)
    }

    #[inline]
    fn with_at<R>(&self, key: &K, at: At, look: impl FnOnce(&T) -> R) -> R {
        let inner = &*self.0;
        let hash = K::Stored::hash_key(key, &inner.hasher);
        let mut locked = inner.lock.read(inner.group(hash));
        if let Some((shards, hits)) = locked.parts()
            && let Some(value) = shards[inner.shard(hash)].hit(hash, key, at)
        {
            *hits += 1;
            // A power of two: a mask replaces the division.
            let sweeps = *hits & (inner.hits_per_step.load(Ordering::Relaxed) - 1) == 0;
            let result = look(value);
            drop(locked);
            if sweeps {
                inner.sweep_step(at);
            }
            return result;
        }
        drop(locked);
        inner.miss(key, hash, at, look)
    }

    /// Returns a clone of the state of this key, if it is present and not idle. Does not count as
    /// an access.
    #[must_use]
    pub fn peek(&self, key: &K, now: Instant) -> Option<T> {
        let inner = &*self.0;
        let hash = K::Stored::hash_key(key, &inner.hasher);
        let mut locked = inner.lock.read(inner.group(hash));
        let (shards, _) = locked.parts()?;
        shards[inner.shard(hash)].peek(hash, key, inner.ticks.at(now)).cloned()
    }

    /// Removes this key, pinned or not, and returns its state. Notifies no listener.
    pub fn remove(&self, key: &K) -> Option<T> {
        let inner = &*self.0;
        let hash = K::Stored::hash_key(key, &inner.hasher);
        let mut writer = inner.lock.write(inner.group(hash));
        let removed = writer.get()?[inner.shard(hash)].remove(hash, key, &inner.bounds);
        // Before `removed`, whose destructors may run user code.
        drop(writer);
        removed.map(|(_, value)| value)
    }
}

impl Keyed<u8, ()> {
    /// Starts from [`KeyedLimits::default`].
    pub fn builder() -> KeyedBuilder {
        KeyedBuilder::new(KeyedLimits::default())
    }
}

impl<K: Key, T> Keyed<K, T> {
    /// Returns the number of keys, including idle ones that are not evicted yet.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.bounds.keys.get() as usize
    }

    /// Returns `true` if there are no keys.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the bytes of keys, states and the store itself.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bounds.bytes.get() as usize
    }

    /// Returns a snapshot. Takes every lock once: for a scrape, not for a call.
    #[must_use]
    pub fn snapshot(&self) -> KeyedSnapshot {
        let Inner { lock, bounds, .. } = &*self.0;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        KeyedSnapshot {
            keys: bounds.keys.get(),
            max_keys: bounds.keys.max(),
            bytes: bounds.bytes.get(),
            max_bytes: bounds.bytes.max(),
            hits: lock.count(),
            misses: count(&bounds.misses),
            overflowed: count(&bounds.overflowed),
            evicted_idle: count(&bounds.evicted_idle),
            evicted_capacity: count(&bounds.evicted_capacity),
        }
    }
}

/// Visits [`names::KEYED_KEYS`] and [`names::KEYED_BYTES`]; for a store of circuits also
/// [`names::CIRCUITS_OPEN`], which takes time in proportion to the keys: for a scrape, not for a
/// call. It holds one lock of one stripe at a time, for at most 254 states.
impl<K: Key, T: Entry> Gauges for Keyed<K, T> {
    #[expect(clippy::cast_precision_loss, reason = "for graphs")]
    fn gauges(&self, visit: &mut dyn FnMut(&'static str, f64)) {
        visit(names::KEYED_KEYS, self.len() as f64);
        visit(names::KEYED_BYTES, self.bytes() as f64);
        if let Some(is_open) = T::IS_OPEN {
            let now = crate::clock::now();
            visit(names::CIRCUITS_OPEN, self.0.count(|state| is_open(state, now)) as f64);
        }
    }
}

impl<K: Key, T: Entry> Inner<K, T> {
    /// Counts the states for which `is` returns `true`, including the overflow state.
    fn count(&self, is: impl Fn(&T) -> bool) -> usize {
        let shards =
            (0..self.groups).flat_map(|group| (0..SHARDS).map(move |shard| (group, shard)));
        let counts = shards.map(|(group, shard)| {
            let mut locked = self.lock.read(group);
            locked.parts().map_or(0, |(shards, _)| shards[shard].count(&is))
        });
        counts.sum::<usize>() + self.overflow.get().map_or(0, |state| usize::from(is(state)))
    }

    /// Returns the group of a hash, by its upper half.
    #[inline]
    fn group(&self, hash: u64) -> usize {
        (((hash >> 32) * self.groups as u64) >> 32) as usize
    }

    /// Returns the shard of a hash in its group, by bits that choose neither the group nor the
    /// index position.
    #[inline]
    fn shard(&self, hash: u64) -> usize {
        // Powers of two: no division, and no bounds check.
        ((hash >> Meta::HASH_BITS) as usize & (self.shards - 1)) % SHARDS
    }

    /// Inserts a key that was not found, or uses the overflow state.
    #[cold]
    fn miss<R>(&self, key: &K, hash: u64, at: At, look: impl FnOnce(&T) -> R) -> R {
        let mut new_entry = self.new_entry(key, hash);
        let misses = self.bounds.misses.fetch_add(1, Ordering::Relaxed);
        for reach in 1..=SHARDS {
            // Declared before the lock and so dropped after it, also if `look` panics: destructors
            // are user code.
            let (own_evicted, other_evicted, unused);
            let mut writer = self.lock.write(self.group(hash));
            let Some(shards) = writer.get() else { break };
            let shard = self.shard(hash);
            match shards[shard].insert_if_absent(key, new_entry, at, &self.bounds) {
                Insertion::Stored { slot, spare, evicted } => {
                    (unused, own_evicted) = (spare, evicted);
                    let result = look(shards[shard].value(slot));
                    drop(writer);
                    drop(unused);
                    self.notify_evicted(own_evicted);
                    if misses.is_multiple_of(MISSES_PER_STEP) {
                        self.sweep_step(at);
                    }
                    return result;
                }
                Insertion::Rejected { new_entry: rejected, evicted } => {
                    (new_entry, own_evicted) = (rejected, evicted);
                    let other_helps =
                        !shards[shard].is_full() && !self.bounds.is_too_large(new_entry.size);
                    let other = &mut shards[(shard + reach) % self.shards];
                    other_evicted =
                        other_helps.then(|| other.evict_one(at, &self.bounds)).flatten();
                    drop(writer);
                    self.notify_evicted(own_evicted);
                    self.notify_evicted(other_evicted);
                }
            }
        }
        self.bounds.overflowed.fetch_add(1, Ordering::Relaxed);
        // `new_entry` was made outside of the lock of the `OnceLock`; the first one wins.
        let overflow = self.overflow.get();
        look(overflow.unwrap_or_else(|| self.overflow.get_or_init(|| new_entry.value)))
    }

    fn new_entry(&self, key: &K, hash: u64) -> NewEntry<K::Stored, T> {
        let stored = K::Stored::from_key(key);
        let value = (self.make)(key);
        let size = SizeClass::from_bytes(stored.heap_bytes().saturating_add(value.heap_bytes()));
        NewEntry { hash, key: stored, value, size }
    }

    /// Sweeps a few keys, and adapts the number of hits until the next step.
    #[cold]
    fn sweep_step(&self, at: At) {
        let hits = HITS_PER_STEP[usize::from(!self.sweep(at))];
        if hits != self.hits_per_step.load(Ordering::Relaxed) {
            self.hits_per_step.store(hits, Ordering::Relaxed);
        }
    }

    /// Evicts a few idle keys of the next shard. Returns `true` if there was one.
    fn sweep(&self, at: At) -> bool {
        let step = self.steps.fetch_add(1, Ordering::Relaxed) as usize;
        let group = step % self.groups;
        let round = step / self.groups;
        let shard = round % self.shards;
        let turn = round / self.shards;
        for found in 0..STEPS {
            // Searched under a read lock, since there rarely is one.
            let idle =
                self.lock.read(group).parts().and_then(|(shards, _)| shards[shard].idle(turn, at));
            if idle.is_none() {
                return found > 0;
            }
            let mut writer = self.lock.write(group);
            let Some(shards) = writer.get() else { return found > 0 };
            let evicted = shards[shard].sweep(turn, at, &self.bounds);
            drop(writer);
            self.notify_evicted(evicted);
        }
        true
    }

    /// Notifies the listener of an eviction, and drops the entry. Both may run user code.
    fn notify_evicted(&self, evicted: Option<Evicted<K::Stored, T>>) {
        let Some(Evicted { key, value, reason }) = evicted else { return };
        let name = OnceCell::new();
        self.listener.notify(|| {
            let key = name.get_or_init(|| key.name()).as_str();
            Event::KeyEvicted { store: self.name.as_str(), key, reason }
        });
        drop(value);
    }
}

/// Contents and counters of a [`Keyed`] store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyedSnapshot {
    /// Keys in the store.
    pub keys: u64,
    /// Maximum number of keys.
    pub max_keys: u64,
    /// Bytes of the keys, states and the store itself.
    pub bytes: u64,
    /// Maximum number of bytes.
    pub max_bytes: u64,
    /// Lookups that found their key.
    pub hits: u64,
    /// Lookups of absent or idle keys.
    pub misses: u64,
    /// Misses without room, which used the overflow state.
    pub overflowed: u64,
    /// Keys evicted because they had no call for the idle time and their state was as good as new.
    pub evicted_idle: u64,
    /// Keys evicted to make room.
    pub evicted_capacity: u64,
}

/// Returns how many keys the limits allow if each takes `bytes_per_key`.
fn max_keys(limits: &KeyedLimits, bytes_per_key: u64) -> usize {
    let bytes_per_key = usize::try_from(bytes_per_key).unwrap_or(usize::MAX);
    limits.max_keys().min(limits.max_bytes() / bytes_per_key.max(1))
}

impl<K: Key, T> Clone for Keyed<K, T> {
    fn clone(&self) -> Keyed<K, T> {
        Keyed(self.0.clone())
    }
}

impl<K: Key, T> fmt::Debug for Keyed<K, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { name, bounds, .. } = &*self.0;
        f.debug_struct("Keyed").field("name", name).field("bounds", bounds).finish_non_exhaustive()
    }
}
