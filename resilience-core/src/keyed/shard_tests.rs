//! The engine by itself: what it looks at is counted.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::super::Key;
use super::super::slab::BLOCKS;
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
    type Kept = Self;

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

fn newcomer(key: u64, asked: &Arc<AtomicU64>, pinned: bool) -> Newcomer<Counted, Pin> {
    let value = Pin(asked.clone(), pinned);
    Newcomer { hash: hash(key), key: Counted(key), value, size: SizeClass::of(32) }
}

/// The index, and the blocks of the slab.
#[test]
fn a_lookup_goes_by_one_line() {
    assert_eq!((align_of::<Shard<u64, Pin>>(), size_of::<Shard<u64, Pin>>()), (64, 128));
    let blocks = std::mem::offset_of!(Shard<u64, Pin>, slots);
    assert_eq!((blocks, blocks + BLOCKS * size_of::<Vec<u64>>()), (size_of::<Index>(), 64));
}

/// A flood with pins, hits, idleness and removals: one call looks at [`STEPS`] keys at most.
#[test]
fn a_call_looks_at_few() {
    let bounds = Bounds::new(200, 1 << 20);
    let mut shard = Shard::default();
    let asked = Arc::new(AtomicU64::new(0));
    let origin = crate::clock::now();
    let ticks = Ticks::new(origin, Duration::from_secs(1));
    let mut refused = 0;
    for key in 0..20_000_u64 {
        let at = ticks.at(origin + Duration::from_millis(key / 10));
        let before = (asked.load(Ordering::Relaxed), COMPARED.get());
        // Pinned for good, so that in the end nobody can go.
        match shard.offer(&Counted(key), newcomer(key, &asked, key % 50 == 0), at, &bounds) {
            Offer::Refused { .. } => refused += 1,
            Offer::Kept { spare, .. } => assert!(spare.is_none()),
        }
        assert!(asked.load(Ordering::Relaxed) - before.0 <= STEPS as u64);
        assert!(COMPARED.get() - before.1 <= 2, "false matches are one in 2^17");
        let before = asked.load(Ordering::Relaxed);
        shard.hit(hash(key / 2), &Counted(key / 2), at);
        shard.sweep(key as usize, at, &bounds);
        assert!(asked.load(Ordering::Relaxed) - before <= 1 + STEPS as u64);
        assert!(shard.slots.len() as u64 == bounds.keys.taken() && shard.slots.len() <= 200);
    }
    assert!(refused > 1_000, "{refused}: the pinned ones fill it");
}

#[test]
fn no_more_keys_than_there_are_numbers_for() {
    let bounds = Bounds::new(1_000, 1 << 20);
    let mut shard = Shard::default();
    let asked = Arc::new(AtomicU64::new(0));
    let at = Ticks::new(crate::clock::now(), Duration::from_secs(1)).at(crate::clock::now());
    for key in 0..1_000 {
        let offer = shard.offer(&Counted(key), newcomer(key, &asked, false), at, &bounds);
        assert!(matches!(offer, Offer::Kept { spare: None, .. }));
        assert!(shard.peek(hash(key), &Counted(key), at).is_some());
    }
    assert!(shard.is_full() && bounds.keys.taken() == MAX_SLOTS as u64);
    assert_eq!(bounds.evicted_capacity.load(Ordering::Relaxed), 1_000 - MAX_SLOTS as u64);
}

#[test]
fn memory_goes_back() {
    let bounds = Bounds::new(MAX_SLOTS, 1 << 20);
    let mut shard = Shard::default();
    let asked = Arc::new(AtomicU64::new(0));
    let ticks = Ticks::new(crate::clock::now(), Duration::from_secs(1));
    let at = ticks.at(crate::clock::now());
    for key in 0..MAX_SLOTS as u64 {
        shard.offer(&Counted(key), newcomer(key, &asked, false), at, &bounds);
    }
    assert!(shard.is_full() && shard.slots.len() == MAX_SLOTS);
    let full = bounds.bytes.taken();
    for key in 0..MAX_SLOTS as u64 - 10 {
        assert!(shard.remove(hash(key), &Counted(key), &bounds).is_some());
    }
    assert!(shard.slots.room() <= 40 && bounds.bytes.taken() < full / 6);
    for key in MAX_SLOTS as u64 - 10..MAX_SLOTS as u64 {
        assert!(shard.peek(hash(key), &Counted(key), at).is_some());
        shard.remove(hash(key), &Counted(key), &bounds);
    }
    assert_eq!((bounds.bytes.taken(), shard.slots.room()), (0, 0));
}

/// Asked for again, a key outlives any number that come once; not asked for, it goes at last.
#[test]
fn a_flood_replaces_itself() {
    let bounds = Bounds::new(100, 1 << 20);
    let mut shard = Shard::default();
    let asked = Arc::new(AtomicU64::new(0));
    let ticks = Ticks::new(crate::clock::now(), Duration::from_secs(1));
    let at = ticks.at(crate::clock::now());
    for key in 0..50 {
        shard.offer(&Counted(key), newcomer(key, &asked, false), at, &bounds);
        assert!(shard.hit(hash(key), &Counted(key), at).is_some());
    }
    // They came together, and each is asked for once in a flood of ten times what fits.
    for key in 1_000..100_000 {
        shard.offer(&Counted(key), newcomer(key, &asked, false), at, &bounds);
        if key % 20 == 0 {
            let hot = key / 20 % 50;
            assert!(shard.hit(hash(hot), &Counted(hot), at).is_some(), "{hot} after {key}");
        }
    }
    // Now they are asked for again: those that are not any more lose their places.
    for key in 100_000..100_400_u64 {
        for key in [key, key, key] {
            if shard.hit(hash(key), &Counted(key), at).is_none() {
                shard.offer(&Counted(key), newcomer(key, &asked, false), at, &bounds);
            }
        }
    }
    let left = (0..50).filter(|key| shard.peek(hash(*key), &Counted(*key), at).is_some()).count();
    assert!(left < 10, "{left}");
}
