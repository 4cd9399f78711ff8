//! The shards together: who is asked, who makes room, and who is told.

use std::cell::OnceCell;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use foldhash::quality::RandomState;

use super::bounds::Bounds;
use super::builder::KeyedBuilder;
use super::lanes::Lanes;
use super::limits::KeyedLimits;
use super::meta::{Meta, SizeClass};
use super::shard::{Evicted, Newcomer, Offer, STEPS, Shard};
use super::snapshot::KeyedSnapshot;
use super::ticks::{At, Ticks};
use super::{Entry, Kept, Key, allocated};
use crate::clock::Now;
use crate::name::Name;
use crate::observe::{Event, Gauges, Listener, names};
use crate::sync::{AtomicU64, Ordering};

/// Keys in a shard of a full store: so far below the most that one never is full before the store.
const KEYS_A_SHARD: usize = 160;
/// The shards of a group, which are locked together. One call looks for room in all of them: a store of
/// one group is exact.
const SHARDS: usize = 4;

/// One miss in so many does a chore.
const MISSES_A_CHORE: u64 = 4;
/// One hit in so many that a lane counts, after a chore that found a key idle, and after one that did not:
/// a chore costs several lookups, and nearly always there is nothing to do.
const HITS_A_CHORE: [u64; 2] = [32, 256];

type Make<K, T> = Box<dyn Fn(&K) -> T + Send + Sync>;

/// A bounded store of states by key. Clones share it.
///
/// Each lookup is handed the time, and keys are idle by that: a lookup at a
/// [far instant](crate::clock#far-instants) evicts a few other keys as idle, and its own key is not idle
/// before that instant.
///
/// Lookups hash with a seed of the store's own, so keys from outside cannot be chosen to collide; and a
/// collision costs at most a search of one shard.
pub struct Keyed<K: Key, T>(Arc<Inner<K, T>>);

struct Inner<K: Key, T> {
    groups: usize,
    /// The shards of a group that are in use: one in a small store, which so compares all that it has.
    shards: usize,
    lanes: Lanes<Group<K::Kept, T>>,
    hasher: RandomState,
    ticks: Ticks,
    bounds: Bounds,
    make: Make<K, T>,
    /// The state of everybody there is no room for.
    overflow: OnceLock<T>,
    /// Chores that were done: says which keys' turn it is.
    chores: AtomicU64,
    /// The hits until the next one. Hardly ever written: it is read by all.
    hits_a_chore: AtomicU64,
    name: Name,
    listener: Listener,
}

type Group<Q, T> = [Shard<Q, T>; SHARDS];

impl<K: Key, T: Entry> Keyed<K, T> {
    /// `make` makes the state of a key that is new, outside of all locks: if two calls make one for the
    /// same key at once, both get the one that is put there first. It is asked once more for the
    /// overflow state, by the first key that there is no room for.
    pub fn new(limits: KeyedLimits, make: impl Fn(&K) -> T + Send + Sync + 'static) -> Keyed<K, T> {
        let name = Name::from_static("keyed");
        Keyed::of(limits, name, Listener::default(), Box::new(make))
    }

    pub(super) fn of(
        limits: KeyedLimits,
        name: Name,
        listener: Listener,
        make: Make<K, T>,
    ) -> Keyed<K, T> {
        let keys = keys(&limits, Shard::<K::Kept, T>::cost(1));
        let groups = keys.div_ceil(KEYS_A_SHARD * SHARDS).max(1);
        let shards = if keys <= KEYS_A_SHARD { 1 } else { SHARDS };
        let lanes = Lanes::new((0..groups).map(|_| Group::default()));
        let bounds = Bounds::new(limits.max_keys(), limits.max_bytes());
        let own = lanes.heap_bytes(groups) + allocated(size_of::<Inner<K, T>>() + 16);
        bounds.bytes.take(own as u64);
        Keyed(Arc::new(Inner {
            groups,
            shards,
            lanes,
            hasher: RandomState::default(),
            ticks: Ticks::new(crate::clock::now(), limits.idle()),
            bounds,
            make,
            overflow: OnceLock::new(),
            chores: AtomicU64::new(0),
            hits_a_chore: AtomicU64::new(HITS_A_CHORE[1]),
            name,
            listener,
        }))
    }

    /// The state of this key, made if it is new: a clone of its handle.
    #[inline]
    pub fn get(&self, key: &K, now: Instant) -> T {
        self.with(key, now, T::clone)
    }

    /// Looks at the state of this key, made if it is new. Cheaper than a clone of a handle.
    ///
    /// `look` runs under a lock of the store: it decides, and calls nobody, least of all the store.
    #[inline]
    pub fn with<R>(&self, key: &K, now: Instant, look: impl FnOnce(&T) -> R) -> R {
        self.with_at(key, self.0.ticks.at(now), look)
    }

    /// As [`with`](Self::with), for a poll whose time others ask for as well.
    #[inline]
    pub(crate) fn with_known<R>(&self, key: &K, now: &mut Now, look: impl FnOnce(&T) -> R) -> R {
        let (instant, tick) = (now.get(), now.tick());
        self.with_at(key, self.0.ticks.known(instant, tick), look)
    }

    #[inline]
    fn with_at<R>(&self, key: &K, at: At, look: impl FnOnce(&T) -> R) -> R {
        let inner = &*self.0;
        let hash = K::Kept::hash_of(key, &inner.hasher);
        let mut place = inner.lanes.read(inner.group(hash));
        if let Some((shards, hits)) = place.parts()
            && let Some(value) = shards[inner.shard(hash)].hit(hash, key, at)
        {
            *hits += 1;
            // A power of two: this is no division.
            let chore = *hits & (inner.hits_a_chore.load(Ordering::Relaxed) - 1) == 0;
            let answer = look(value);
            drop(place);
            if chore {
                inner.tidy(at);
            }
            return answer;
        }
        drop(place);
        inner.miss(key, hash, at, look)
    }

    /// The state of this key, if it is there and not idle. Neither made nor kept for longer by that.
    #[must_use]
    pub fn peek(&self, key: &K, now: Instant) -> Option<T> {
        let inner = &*self.0;
        let hash = K::Kept::hash_of(key, &inner.hasher);
        let mut place = inner.lanes.read(inner.group(hash));
        let (shards, _) = place.parts()?;
        shards[inner.shard(hash)].peek(hash, key, inner.ticks.at(now)).cloned()
    }

    /// Lets go of this key, pinned or not. Its state, if it was there. Nobody is told.
    pub fn remove(&self, key: &K) -> Option<T> {
        let inner = &*self.0;
        let hash = K::Kept::hash_of(key, &inner.hasher);
        let mut writer = inner.lanes.write(inner.group(hash));
        let removed = writer.get()?[inner.shard(hash)].remove(hash, key, &inner.bounds);
        // Before what was removed: its drop may call anybody.
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
    /// Keys that are there, idle ones that nobody came by included.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.bounds.keys.taken() as usize
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that keys, states and the store take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bounds.bytes.taken() as usize
    }

    /// What there is, and what happened. Visits every lock: for a scrape, not for a call.
    #[must_use]
    pub fn snapshot(&self) -> KeyedSnapshot {
        let Inner { lanes, bounds, .. } = &*self.0;
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        KeyedSnapshot {
            keys: bounds.keys.taken(),
            max_keys: bounds.keys.most(),
            bytes: bounds.bytes.taken(),
            max_bytes: bounds.bytes.most(),
            hits: lanes.count(),
            misses: count(&bounds.misses),
            overflowed: count(&bounds.overflowed),
            evicted_idle: count(&bounds.evicted_idle),
            evicted_capacity: count(&bounds.evicted_capacity),
        }
    }
}

/// [`names::KEYED_KEYS`] and [`names::KEYED_BYTES`]; for a store of circuits also
/// [`names::CIRCUITS_OPEN`], which takes time in proportion to the keys: for a scrape, not for a call. It
/// holds one lock of one lane at a time, for the at most 254 states of a shard.
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
    /// Counts the states for which `is` returns `true`, that of all keys without room included.
    fn count(&self, is: impl Fn(&T) -> bool) -> usize {
        let shards =
            (0..self.groups).flat_map(|group| (0..SHARDS).map(move |shard| (group, shard)));
        let kept = shards.map(|(group, shard)| {
            let mut place = self.lanes.read(group);
            place.parts().map_or(0, |(shards, _)| shards[shard].count(&is))
        });
        kept.sum::<usize>() + self.overflow.get().map_or(0, |state| usize::from(is(state)))
    }

    /// The group of this hash: its upper half chooses it.
    #[inline]
    fn group(&self, hash: u64) -> usize {
        (((hash >> 32) * self.groups as u64) >> 32) as usize
    }

    /// Returns the shard of its group that a hash belongs to: by bits that choose neither its group nor its
    /// place in the shard.
    #[inline]
    fn shard(&self, hash: u64) -> usize {
        // A power of two, and at most as many as there are: this needs no division, and no check.
        ((hash >> Meta::HASH_BITS) as usize & (self.shards - 1)) % SHARDS
    }

    /// The key is not there.
    #[cold]
    fn miss<R>(&self, key: &K, hash: u64, at: At, look: impl FnOnce(&T) -> R) -> R {
        let mut newcomer = self.newcomer(key, hash);
        let misses = self.bounds.misses.fetch_add(1, Ordering::Relaxed);
        for reach in 1..=SHARDS {
            // Declared before the lock, and so dropped after it, also if `look` panics: the user's code.
            let (gone, others_gone, unused);
            let mut writer = self.lanes.write(self.group(hash));
            let Some(shards) = writer.get() else { break };
            let shard = self.shard(hash);
            match shards[shard].offer(key, newcomer, at, &self.bounds) {
                Offer::Kept { slot, spare, evicted } => {
                    (unused, gone) = (spare, evicted);
                    let answer = look(shards[shard].value(slot));
                    drop(writer);
                    drop(unused);
                    self.tell(gone);
                    if misses.is_multiple_of(MISSES_A_CHORE) {
                        self.tidy(at);
                    }
                    return answer;
                }
                Offer::Refused { newcomer: refused, evicted } => {
                    (newcomer, gone) = (refused, evicted);
                    let others_help =
                        !shards[shard].is_full() && !self.bounds.is_too_large(newcomer.size);
                    let other = &mut shards[(shard + reach) % self.shards];
                    others_gone = others_help.then(|| other.make_room(at, &self.bounds)).flatten();
                    drop(writer);
                    self.tell(gone);
                    self.tell(others_gone);
                }
            }
        }
        self.bounds.overflowed.fetch_add(1, Ordering::Relaxed);
        // Made outside of the lock of the `OnceLock`: the first one is kept.
        let overflow = self.overflow.get();
        look(overflow.unwrap_or_else(|| self.overflow.get_or_init(|| newcomer.value)))
    }

    fn newcomer(&self, key: &K, hash: u64) -> Newcomer<K::Kept, T> {
        let (key, value) = (K::Kept::of(key), (self.make)(key));
        let size = SizeClass::of(key.heap_bytes().saturating_add(value.heap_bytes()));
        Newcomer { hash, key, value, size }
    }

    /// Does a chore, and finds out when the next one is worth it.
    #[cold]
    fn tidy(&self, at: At) {
        let hits = HITS_A_CHORE[usize::from(!self.sweep(at))];
        if hits != self.hits_a_chore.load(Ordering::Relaxed) {
            self.hits_a_chore.store(hits, Ordering::Relaxed);
        }
    }

    /// Lets go of a few idle keys of the shard whose turn it is. Whether there was one.
    fn sweep(&self, at: At) -> bool {
        let chore = self.chores.fetch_add(1, Ordering::Relaxed) as usize;
        let (group, round) = (chore % self.groups, chore / self.groups);
        let (shard, turn) = (round % self.shards, round / self.shards);
        for found in 0..STEPS {
            // Hardly ever is there one, and others may read while it is looked for.
            let idle =
                self.lanes.read(group).parts().and_then(|(shards, _)| shards[shard].idle(turn, at));
            if idle.is_none() {
                return found > 0;
            }
            let mut writer = self.lanes.write(group);
            let Some(shards) = writer.get() else { return found > 0 };
            let evicted = shards[shard].sweep(turn, at, &self.bounds);
            drop(writer);
            self.tell(evicted);
        }
        true
    }

    /// Says so, and drops it; both may call whoever they like.
    fn tell(&self, evicted: Option<Evicted<K::Kept, T>>) {
        let Some(Evicted { key, value, reason }) = evicted else { return };
        let name = OnceCell::new();
        self.listener.tell(|| {
            let key = name.get_or_init(|| key.name()).as_str();
            Event::KeyEvicted { store: self.name.as_str(), key, reason }
        });
        drop(value);
    }
}

/// Returns how many keys the bounds allow, if each owned nothing but its place and a small state.
fn keys(limits: &KeyedLimits, bytes_a_key: u64) -> usize {
    let bytes_a_key = usize::try_from(bytes_a_key).unwrap_or(usize::MAX);
    limits.max_keys().min(limits.max_bytes() / bytes_a_key.max(1))
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
