//! Metadata of a key, in one word.
//!
//! ```text
//! | last used, 36 bits | size, 8 | frequency, 3 | hash, 17 |
//! ```
//!
//! One word instead of four fields keeps a small entry below 128 bytes.

use crate::sync::{AtomicU64, Ordering};

const FREQUENCY_BITS: u32 = 3;
const SIZE_BITS: u32 = 8;
const FREQUENCY_AT: u32 = Meta::HASH_BITS;
const SIZE_AT: u32 = FREQUENCY_AT + FREQUENCY_BITS;
const USED_AT: u32 = SIZE_AT + SIZE_BITS;

const HASH: u64 = (1 << Meta::HASH_BITS) - 1;
const MAX_FREQUENCY: u64 = (1 << FREQUENCY_BITS) - 1;
const ONE_MORE: u64 = 1 << FREQUENCY_AT;

/// The last tick that fits.
pub(super) const MAX_TICK: u64 = u64::MAX >> USED_AT;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meta(u64);

impl Meta {
    /// The number of low bits of the hash that are stored.
    pub(super) const HASH_BITS: u32 = 17;

    /// Creates the metadata of a new key, accessed once.
    pub(super) fn new(hash: u64, size: SizeClass, tick: u64) -> Meta {
        Meta(hash & HASH | u64::from(size.0) << SIZE_AT | tick << USED_AT)
    }

    /// Returns the stored part of the hash, by which the shard's index finds the key.
    #[inline]
    pub(super) fn hash(self) -> u64 {
        self.0 & HASH
    }

    /// Returns the part of a whole hash that is stored.
    #[inline]
    pub(super) fn part_of(hash: u64) -> u64 {
        hash & HASH
    }

    /// Returns the number of repeated accesses, saturated, less those that [`cooled`](Meta::cooled)
    /// removed.
    #[inline]
    pub(super) fn frequency(self) -> u64 {
        self.0 >> FREQUENCY_AT & MAX_FREQUENCY
    }

    pub(super) fn size(self) -> SizeClass {
        SizeClass((self.0 >> SIZE_AT & 0xff) as u8)
    }

    #[inline]
    pub(super) fn used(self) -> u64 {
        self.0 >> USED_AT
    }

    /// Returns `true` if an access at this tick would change nothing.
    #[inline]
    fn is_hot(self, tick: u64) -> bool {
        self.frequency() == MAX_FREQUENCY && self.used() >= tick
    }

    /// Counts an access. Concurrent callers may pass ticks in any order: the latest is kept.
    fn accessed(self, tick: u64) -> Meta {
        let frequency = if self.frequency() < MAX_FREQUENCY { ONE_MORE } else { 0 };
        let used = self.used().max(tick) << USED_AT;
        Meta(used | ((self.0 & !(u64::MAX << USED_AT)) + frequency))
    }

    /// Removes one access.
    fn cooled(self) -> Meta {
        if self.frequency() > 0 { Meta(self.0 - ONE_MORE) } else { self }
    }
}

/// A [`Meta`] that readers update.
///
/// A hot key has the highest frequency, and a tick is long, so that its readers hardly ever write
/// and share the cache line.
#[derive(Debug)]
pub(super) struct AtomicMeta(AtomicU64);

// Relaxed: a single word that orders nothing.
impl AtomicMeta {
    pub(super) fn new(meta: Meta) -> AtomicMeta {
        AtomicMeta(AtomicU64::new(meta.0))
    }

    #[inline]
    pub(super) fn get(&self) -> Meta {
        Meta(self.0.load(Ordering::Relaxed))
    }

    /// Counts an access, after `seen` was read.
    #[inline]
    pub(super) fn access(&self, seen: Meta, tick: u64) {
        if !seen.is_hot(tick) {
            self.update(|meta| meta.accessed(tick));
        }
    }

    /// Removes one access.
    pub(super) fn cool(&self) {
        self.update(Meta::cooled);
    }

    #[inline(never)]
    fn update(&self, change: impl Fn(Meta) -> Meta) {
        let change = |word| Some(change(Meta(word)).0);
        // Never fails: `change` always returns `Some`.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

/// A size in bytes, rounded up: to sixteens up to 256, to an eighth above. Saturates at hundreds of
/// gigabytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SizeClass(u8);

impl SizeClass {
    pub(super) fn from_bytes(bytes: usize) -> SizeClass {
        let units = bytes.div_ceil(16) as u64;
        if units < 16 {
            return SizeClass(units as u8);
        }
        // Four significant bits, of which the first is implied.
        let shift = units.ilog2() - 3;
        let rounded = ((units - 1) >> shift) + 1;
        let (rounded, shift) = if rounded == 16 { (8, shift + 1) } else { (rounded, shift) };
        let class = 16 + u64::from(shift - 1) * 8 + (rounded - 8);
        SizeClass(u8::try_from(class).unwrap_or(u8::MAX))
    }

    pub(super) fn bytes(self) -> u64 {
        let class = u64::from(self.0);
        if class < 16 {
            return class * 16;
        }
        let shift = (class - 16) / 8 + 1;
        let rest = (class - 16) % 8;
        ((8 + rest) << shift) * 16
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn fields_do_not_touch_each_other() {
        let atomic = AtomicMeta::new(Meta::new(u64::MAX, SizeClass::from_bytes(80), 5));
        for _ in 0..20 {
            atomic.access(atomic.get(), MAX_TICK);
        }
        assert!(atomic.get().is_hot(MAX_TICK));
        atomic.access(atomic.get(), 3);
        let meta = atomic.get();
        assert_eq!((meta.hash(), meta.frequency(), meta.used()), (HASH, 7, MAX_TICK));
        assert_eq!(meta.size().bytes(), 80);
        for left in [6, 5, 4, 3, 2, 1, 0, 0] {
            atomic.cool();
            let meta = atomic.get();
            assert_eq!((meta.hash(), meta.frequency(), meta.used()), (HASH, left, MAX_TICK));
            assert!(!meta.is_hot(0));
        }
        assert_eq!(Meta::new(0, SizeClass::from_bytes(usize::MAX), 0).size(), SizeClass(u8::MAX));
    }

    #[test]
    fn a_size_is_never_less_and_hardly_more() {
        let mut before = SizeClass(0);
        for bytes in (0..100_000).chain([1 << 20, (1 << 20) + 1, (1 << 33) - 7]) {
            let class = SizeClass::from_bytes(bytes);
            let bytes = bytes as u64;
            let rounded = class.bytes();
            assert!(rounded >= bytes && class.0 >= before.0, "{bytes}: {class:?}");
            assert!(
                rounded <= bytes.div_ceil(16) * 16 + if bytes <= 256 { 0 } else { bytes / 8 + 16 }
            );
            before = class;
        }
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;

    /// The latest use is kept, whichever thread writes last: a key must not become idle early.
    #[test]
    fn loom_time_does_not_run_backwards() {
        loom::model(|| {
            let atomic = AtomicMeta::new(Meta::new(7, SizeClass::from_bytes(80), 1));
            let atomic = loom::sync::Arc::new(atomic);
            let other = atomic.clone();
            let thread = loom::thread::spawn(move || other.access(other.get(), 9));
            atomic.access(atomic.get(), 5);
            thread.join().unwrap();
            let meta = atomic.get();
            assert_eq!((meta.used(), meta.frequency()), (9, 2));
            assert_eq!((meta.hash(), meta.size()), (7, SizeClass::from_bytes(80)));
        });
    }
}
