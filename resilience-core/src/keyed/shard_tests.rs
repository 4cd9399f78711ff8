//! Tests of the engine alone, which count the entries that it examines.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::Key;
use super::super::block_vec::BLOCKS;
use super::super::ticks::Ticks;
use super::*;
use crate::name::Name;

thread_local! {
    static COMPARED: Cell<u64> = const { Cell::new(0) };
}

#[derive(Debug, Clone)]
struct Counted(u64);
impl PartialEq for Counted {
    fn eq(&self, other: &Counted) -> bool {
        COMPARED.set(COMPARED.get() + 1);
        self.0 == other.0
    }
}
impl Eq for Counted {}
impl std::hash::Hash for Counted {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl Key for Counted {
    type Stored = Self;

    fn name(&self) -> Name {
        self.0.to_string().into()
    }
}

#[derive(Debug, Clone, Default)]
struct Pin(Arc<AtomicU64>, bool);
impl Entry for Pin {
    fn is_pinned(&self, _: Instant) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        self.1
    }
}

fn hash(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn new_entry(key: u64, examined: &Arc<AtomicU64>, pinned: bool) -> NewEntry<Counted, Pin> {
    let value = Pin(examined.clone(), pinned);
    NewEntry { hash: hash(key), key: Counted(key), value, size: SizeClass::from_bytes(32) }
}

/// The index and the block pointers.
#[test]
fn a_lookup_reads_one_cache_line() {
    assert_eq!((align_of::<Shard<u64, Pin>>(), size_of::<Shard<u64, Pin>>()), (64, 128));
    let blocks = std::mem::offset_of!(Shard<u64, Pin>, slots);
    assert_eq!((blocks, blocks + BLOCKS * size_of::<Vec<u64>>()), (size_of::<Index>(), 64));
}

/// A flood with pins, hits, idle keys and removals: one call examines at most [`STEPS`] entries.
#[test]
fn a_call_examines_few_entries() {
    let bounds = Bounds::new(200, 1 << 20);
    let mut shard = Shard::default();
    let examined = Arc::new(AtomicU64::new(0));
    let origin = crate::clock::now();
    let ticks = Ticks::new(origin, Duration::from_secs(1));
    let mut rejected = 0;
    for key in 0..20_000_u64 {
        let at = ticks.at(origin + Duration::from_millis(key / 10));
        let before = (examined.load(Ordering::Relaxed), COMPARED.get());
        // Pinned for good, so that in the end none can be evicted.
        match shard.insert_if_absent(
            &Counted(key),
            new_entry(key, &examined, key % 50 == 0),
            at,
            &bounds,
        ) {
            Insertion::Rejected { .. } => rejected += 1,
            Insertion::Stored { spare, .. } => assert!(spare.is_none()),
        }
        assert!(examined.load(Ordering::Relaxed) - before.0 <= STEPS as u64);
        assert!(COMPARED.get() - before.1 <= 2, "false matches are one in 2^17");
        let before = examined.load(Ordering::Relaxed);
        shard.hit(hash(key / 2), &Counted(key / 2), at);
        shard.sweep(key as usize, at, &bounds);
        assert!(examined.load(Ordering::Relaxed) - before <= 1 + STEPS as u64);
        assert!(shard.slots.len() as u64 == bounds.keys.get() && shard.slots.len() <= 200);
    }
    assert!(rejected > 1_000, "{rejected}: pinned keys fill the shard");
}

#[test]
fn no_more_keys_than_the_index_has_numbers_for() {
    let bounds = Bounds::new(1_000, 1 << 20);
    let mut shard = Shard::default();
    let examined = Arc::new(AtomicU64::new(0));
    let at = Ticks::new(crate::clock::now(), Duration::from_secs(1)).at(crate::clock::now());
    for key in 0..1_000 {
        let insertion =
            shard.insert_if_absent(&Counted(key), new_entry(key, &examined, false), at, &bounds);
        assert!(matches!(insertion, Insertion::Stored { spare: None, .. }));
        assert!(shard.peek(hash(key), &Counted(key), at).is_some());
    }
    assert!(shard.is_full() && bounds.keys.get() == MAX_SLOTS as u64);
    assert_eq!(bounds.evicted_capacity.load(Ordering::Relaxed), 1_000 - MAX_SLOTS as u64);
}

#[test]
fn memory_goes_back() {
    let bounds = Bounds::new(MAX_SLOTS, 1 << 20);
    let mut shard = Shard::default();
    let examined = Arc::new(AtomicU64::new(0));
    let ticks = Ticks::new(crate::clock::now(), Duration::from_secs(1));
    let at = ticks.at(crate::clock::now());
    for key in 0..MAX_SLOTS as u64 {
        shard.insert_if_absent(&Counted(key), new_entry(key, &examined, false), at, &bounds);
    }
    assert!(shard.is_full() && shard.slots.len() == MAX_SLOTS);
    let full = bounds.bytes.get();
    for key in 0..MAX_SLOTS as u64 - 10 {
        assert!(shard.remove(hash(key), &Counted(key), &bounds).is_some());
    }
    assert!(shard.slots.capacity() <= 40 && bounds.bytes.get() < full / 6);
    for key in MAX_SLOTS as u64 - 10..MAX_SLOTS as u64 {
        assert!(shard.peek(hash(key), &Counted(key), at).is_some());
        shard.remove(hash(key), &Counted(key), &bounds);
    }
    assert_eq!((bounds.bytes.get(), shard.slots.capacity()), (0, 0));
}

/// A key with repeated accesses survives any number of keys that come once; without accesses it is
/// evicted.
#[test]
fn a_flood_evicts_itself() {
    let bounds = Bounds::new(100, 1 << 20);
    let mut shard = Shard::default();
    let examined = Arc::new(AtomicU64::new(0));
    let ticks = Ticks::new(crate::clock::now(), Duration::from_secs(1));
    let at = ticks.at(crate::clock::now());
    for key in 0..50 {
        shard.insert_if_absent(&Counted(key), new_entry(key, &examined, false), at, &bounds);
        assert!(shard.hit(hash(key), &Counted(key), at).is_some());
    }
    // Inserted together, and each accessed once in a flood of ten times the capacity.
    for key in 1_000..100_000 {
        shard.insert_if_absent(&Counted(key), new_entry(key, &examined, false), at, &bounds);
        if key % 20 == 0 {
            let hot = key / 20 % 50;
            assert!(shard.hit(hash(hot), &Counted(hot), at).is_some(), "{hot} after {key}");
        }
    }
    // Now the new keys are accessed repeatedly: the first ones, without accesses, are evicted.
    for key in 100_000..100_400_u64 {
        for key in [key, key, key] {
            if shard.hit(hash(key), &Counted(key), at).is_none() {
                shard.insert_if_absent(
                    &Counted(key),
                    new_entry(key, &examined, false),
                    at,
                    &bounds,
                );
            }
        }
    }
    let left = (0..50).filter(|key| shard.peek(hash(*key), &Counted(*key), at).is_some()).count();
    assert!(left < 10, "{left}");
}
