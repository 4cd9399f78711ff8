//! A striped lock (also called big-reader lock): a reader locks one stripe, a writer locks all.
//!
//! Nearly every lookup finds its key and changes nothing. With one lock, each would still take the
//! lock's cache line from the thread that used it last, which costs more than the rest of a lookup.
//! So each stripe has a lock and a pointer for every value: a reader locks its thread's stripe,
//! which no other thread uses if there are as many stripes as threads. A writer locks all stripes
//! and removes all pointers but the first, so that it can use `Arc::get_mut`.
//!
//! A thread that finds its stripe locked moves to the next one and stays there, so that threads
//! spread over the stripes however they were numbered.

use std::cell::Cell;
use std::sync::Arc;

use super::allocation_size;
use crate::sync::{Mutex, MutexGuard};

/// Maximum number of stripes. Each costs a writer four atomic read-modify-write instructions.
const MAX_STRIPES: usize = 8;
/// Locks in two cache lines, since some processors prefetch lines in pairs.
const LOCKS_PER_LINE: usize = 4;

thread_local! {
    /// The stripe is the remainder of this number. Every thread begins with 0.
    static STRIPE: Cell<usize> = const { Cell::new(0) };
}

/// A few values, each with a lock in every stripe.
#[derive(Debug)]
pub(super) struct StripedLock<T> {
    /// All lines of the first stripe, then all of the next.
    lines: Box<[CacheLines<T>]>,
    /// A power of two.
    stripes: usize,
    lines_per_stripe: usize,
}

#[derive(Debug)]
#[repr(align(128))]
struct CacheLines<T>([Mutex<Striped<T>>; LOCKS_PER_LINE]);

/// Contents of one lock: one stripe's pointer to one value.
#[derive(Debug)]
pub(super) struct Striped<T> {
    shared: Option<Arc<T>>,
    /// A counter of this stripe, for the caller's use.
    count: u64,
}

/// Exclusive access to one value, by the locks of all stripes.
#[derive(Debug)]
pub(super) struct WriteGuard<'a, T> {
    /// In the order of the stripes.
    locked: [Option<MutexGuard<'a, Striped<T>>>; MAX_STRIPES],
}

impl<T> Striped<T> {
    /// Returns the value and the stripe's counter. Always `Some` under the lock.
    #[inline]
    pub(super) fn parts(&mut self) -> Option<(&T, &mut u64)> {
        Some((self.shared.as_deref()?, &mut self.count))
    }
}

impl<T> StripedLock<T> {
    /// Creates as many stripes as the machine has threads, up to [`MAX_STRIPES`].
    pub(super) fn new(values: impl Iterator<Item = T>) -> StripedLock<T> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        StripedLock::with_stripes(threads.next_power_of_two().min(MAX_STRIPES), values)
    }

    fn with_stripes(stripes: usize, values: impl Iterator<Item = T>) -> StripedLock<T> {
        let values: Vec<Arc<T>> = values.map(Arc::new).collect();
        let line = |values: &[Arc<T>]| {
            let striped = |at| Striped { shared: values.get(at).cloned(), count: 0 };
            CacheLines(std::array::from_fn(|at| Mutex::new(striped(at))))
        };
        let lines = (0..stripes).flat_map(|_| values.chunks(LOCKS_PER_LINE).map(line)).collect();
        StripedLock { lines, stripes, lines_per_stripe: values.len().div_ceil(LOCKS_PER_LINE) }
    }

    /// Returns the heap bytes of the lock and of this number of values.
    pub(super) fn heap_bytes(&self, values: usize) -> usize {
        let aligned = |bytes: usize, to: usize| allocation_size(bytes + to + size_of::<usize>());
        let counts = align_of::<T>().max(2 * size_of::<usize>());
        let value = aligned(counts + size_of::<T>(), align_of::<T>());
        aligned(size_of_val(&*self.lines), align_of::<CacheLines<T>>()) + values * value
    }

    /// Locks one value for reading.
    #[inline]
    pub(super) fn read(&self, index: usize) -> MutexGuard<'_, Striped<T>> {
        self.try_read_in(STRIPE.get(), index).unwrap_or_else(|| self.move_to_next_stripe(index))
    }

    #[inline]
    fn try_read_in(&self, stripe: usize, index: usize) -> Option<MutexGuard<'_, Striped<T>>> {
        self.at(stripe & (self.stripes - 1), index).try_lock()
    }

    #[cold]
    fn move_to_next_stripe(&self, index: usize) -> MutexGuard<'_, Striped<T>> {
        let stripe = STRIPE.get().wrapping_add(1);
        STRIPE.set(stripe);
        self.at(stripe & (self.stripes - 1), index).lock()
    }

    /// Locks one value for writing.
    pub(super) fn write(&self, index: usize) -> WriteGuard<'_, T> {
        let mut locked = [const { None }; MAX_STRIPES];
        for (stripe, locked) in locked.iter_mut().enumerate().take(self.stripes) {
            // Deadlock-free: all writers lock in this order, and a reader holds one lock only.
            let mut guard = self.at(stripe, index).lock();
            if stripe > 0 {
                guard.shared = None;
            }
            *locked = Some(guard);
        }
        WriteGuard { locked }
    }

    /// Returns the sum of all counters.
    pub(super) fn count(&self) -> u64 {
        self.lines.iter().flat_map(|line| &line.0).map(|striped| striped.lock().count).sum()
    }

    #[inline]
    fn at(&self, stripe: usize, index: usize) -> &Mutex<Striped<T>> {
        let line = stripe * self.lines_per_stripe + index / LOCKS_PER_LINE;
        &self.lines[line].0[index % LOCKS_PER_LINE]
    }
}

impl<T> WriteGuard<'_, T> {
    /// Returns the value. Always `Some`, since all other pointers to it were removed.
    pub(super) fn get(&mut self) -> Option<&mut T> {
        Arc::get_mut(self.locked[0].as_mut()?.shared.as_mut()?)
    }
}

/// Restores the pointers of the other stripes, also after a panic.
impl<T> Drop for WriteGuard<'_, T> {
    fn drop(&mut self) {
        let [Some(first), others @ ..] = &mut self.locked else { return };
        for other in others.iter_mut().flatten() {
            other.shared.clone_from(&first.shared);
        }
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen_in_all_stripes() {
        let lock = StripedLock::with_stripes(4, [1, 2, 3, 4, 5].into_iter());
        *lock.write(4).get().unwrap() = 50;
        for stripe in 0..4 {
            let mut all = (0..5).map(|index| lock.try_read_in(stripe, index).unwrap());
            assert!(all.by_ref().take(4).map(|mut striped| *striped.parts().unwrap().0).eq(1..=4));
            let (value, count) =
                all.next().map(|mut striped| (*striped.parts().unwrap().0, 1)).unwrap();
            assert_eq!(value, 50);
            *lock.try_read_in(stripe, 4).unwrap().parts().unwrap().1 += count;
        }
        assert_eq!(lock.count(), 4);
    }

    #[test]
    fn a_thread_that_finds_its_stripe_locked_moves_and_stays() {
        let lock = StripedLock::with_stripes(2, [7].into_iter());
        let before = STRIPE.get();
        let taken = lock.read(0);
        let other = lock.read(0);
        assert_eq!(STRIPE.get(), before.wrapping_add(1));
        drop((taken, other));
        drop(lock.read(0));
        assert_eq!(STRIPE.get(), before.wrapping_add(1));
    }

    #[test]
    fn a_panic_leaves_all_stripes_readable() {
        let lock = StripedLock::with_stripes(8, [7].into_iter());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut writer = lock.write(0);
            *writer.get().unwrap() = 8;
            panic!("in the middle");
        }));
        assert!(panicked.is_err());
        assert!((0..8).all(|stripe| lock.try_read_in(stripe, 0).unwrap().parts().unwrap().0 == &8));
        assert!(lock.write(0).get().is_some());
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;

    /// Two readers in different stripes and two writers: no reader misses its value or sees half of
    /// a change, and each writer is alone.
    #[test]
    fn loom_a_writer_is_alone() {
        loom::model(|| {
            let lock =
                loom::sync::Arc::new(StripedLock::with_stripes(2, [(0_u64, 0_u64)].into_iter()));
            let work = |lock: &StripedLock<(u64, u64)>, stripe: usize| {
                if let Some(mut striped) = lock.try_read_in(stripe, 0) {
                    let (pair, _) = striped.parts().unwrap();
                    assert_eq!(pair.0, pair.1);
                }
                let mut writer = lock.write(0);
                let pair = writer.get().unwrap();
                pair.0 += 1;
                pair.1 += 1;
            };
            let other = lock.clone();
            let thread = loom::thread::spawn(move || work(&other, 1));
            work(&lock, 0);
            thread.join().unwrap();
            assert_eq!(lock.try_read_in(0, 0).unwrap().parts().unwrap().0, &(2, 2));
        });
    }
}
