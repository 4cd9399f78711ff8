//! Locks whose readers do not meet.
//!
//! Nearly every call finds its key, and changes nothing. Under one lock it would still take the lock's
//! cache line away from the thread that had it last, which costs more than all the rest of a lookup. So
//! there are a few *lanes*, and each of them has a lock on everything, and a pointer to it: who reads
//! locks one, which no other thread uses if there are as many lanes as threads; who changes something
//! locks all. For that time the first lane has the only pointer: that is what lets it change, without
//! `unsafe`.
//!
//! A thread that finds its lane taken goes to the next one and stays there. So threads that get into each
//! other's way drift apart, however they were numbered.

use std::cell::Cell;
use std::sync::Arc;

use super::allocated;
use crate::sync::{Mutex, MutexGuard};

/// The most lanes. Each costs a writer two locked instructions for its lock, and two for its pointer.
const MOST: usize = 8;
/// Of one lane, in two cache lines, since some processors fetch them by pairs.
const PLACES_A_LINE: usize = 4;

thread_local! {
    /// Any number: the lane is the remainder. All threads begin with the same.
    static LANE: Cell<usize> = const { Cell::new(0) };
}

/// A few things, each with a lock in every lane.
#[derive(Debug)]
pub(super) struct Lanes<T> {
    /// All lines of one lane, then all of the next.
    lines: Box<[Line<T>]>,
    /// A power of two.
    lanes: usize,
    lines_a_lane: usize,
}

#[derive(Debug)]
#[repr(align(128))]
struct Line<T>([Mutex<Place<T>>; PLACES_A_LINE]);

/// What one lane has of one thing.
#[derive(Debug)]
pub(super) struct Place<T> {
    shared: Option<Arc<T>>,
    /// The lane's own count, of whatever.
    count: u64,
}

/// The lock of all lanes on one thing.
#[derive(Debug)]
pub(super) struct Writer<'a, T> {
    /// In the order of the lanes.
    places: [Option<MutexGuard<'a, Place<T>>>; MOST],
}

impl<T> Place<T> {
    /// What is locked, and the lane's count. It is always there.
    #[inline]
    pub(super) fn parts(&mut self) -> Option<(&T, &mut u64)> {
        Some((self.shared.as_deref()?, &mut self.count))
    }
}

impl<T> Lanes<T> {
    /// As many lanes as threads are likely to run at once.
    pub(super) fn new(things: impl Iterator<Item = T>) -> Lanes<T> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        Lanes::of(threads.next_power_of_two().min(MOST), things)
    }

    fn of(lanes: usize, things: impl Iterator<Item = T>) -> Lanes<T> {
        let things: Vec<Arc<T>> = things.map(Arc::new).collect();
        let line = |line: &[Arc<T>]| {
            let place = |place| Place { shared: line.get(place).cloned(), count: 0 };
            Line(std::array::from_fn(|at| Mutex::new(place(at))))
        };
        let lines = (0..lanes).flat_map(|_| things.chunks(PLACES_A_LINE).map(line)).collect();
        Lanes { lines, lanes, lines_a_lane: things.len().div_ceil(PLACES_A_LINE) }
    }

    /// The bytes that it takes for so many things: theirs, and its own.
    pub(super) fn heap_bytes(&self, things: usize) -> usize {
        let aligned = |bytes: usize, to: usize| allocated(bytes + to + size_of::<usize>());
        let counts = align_of::<T>().max(2 * size_of::<usize>());
        let thing = aligned(counts + size_of::<T>(), align_of::<T>());
        aligned(size_of_val(&*self.lines), align_of::<Line<T>>()) + things * thing
    }

    /// Locks one thing for reading.
    #[inline]
    pub(super) fn read(&self, thing: usize) -> MutexGuard<'_, Place<T>> {
        self.read_in(LANE.get(), thing).unwrap_or_else(|| self.change_lanes(thing))
    }

    #[inline]
    fn read_in(&self, lane: usize, thing: usize) -> Option<MutexGuard<'_, Place<T>>> {
        self.place(lane & (self.lanes - 1), thing).try_lock()
    }

    #[cold]
    fn change_lanes(&self, thing: usize) -> MutexGuard<'_, Place<T>> {
        let lane = LANE.get().wrapping_add(1);
        LANE.set(lane);
        self.place(lane & (self.lanes - 1), thing).lock()
    }

    /// Locks one thing for changing.
    pub(super) fn write(&self, thing: usize) -> Writer<'_, T> {
        let mut places = [const { None }; MOST];
        for (lane, place) in places.iter_mut().enumerate().take(self.lanes) {
            // All writers in the same order, and no reader waits for a second one.
            let mut locked = self.place(lane, thing).lock();
            if lane > 0 {
                locked.shared = None;
            }
            *place = Some(locked);
        }
        Writer { places }
    }

    /// What all lanes have counted.
    pub(super) fn count(&self) -> u64 {
        self.lines.iter().flat_map(|line| &line.0).map(|place| place.lock().count).sum()
    }

    #[inline]
    fn place(&self, lane: usize, thing: usize) -> &Mutex<Place<T>> {
        let line = lane * self.lines_a_lane + thing / PLACES_A_LINE;
        &self.lines[line].0[thing % PLACES_A_LINE]
    }
}

impl<T> Writer<'_, T> {
    /// What is locked. It is always there, since the lanes have given up all pointers but one.
    pub(super) fn get(&mut self) -> Option<&mut T> {
        Arc::get_mut(self.places[0].as_mut()?.shared.as_mut()?)
    }
}

/// Gives the others their pointers back; after a panic as well.
impl<T> Drop for Writer<'_, T> {
    fn drop(&mut self) {
        let [Some(first), others @ ..] = &mut self.places else { return };
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
    fn a_change_is_seen_in_all_lanes() {
        let lanes = Lanes::of(4, [1, 2, 3, 4, 5].into_iter());
        *lanes.write(4).get().unwrap() = 50;
        for lane in 0..4 {
            let mut all = (0..5).map(|thing| lanes.read_in(lane, thing).unwrap());
            assert!(all.by_ref().take(4).map(|mut place| *place.parts().unwrap().0).eq(1..=4));
            let (value, count) =
                all.next().map(|mut place| (*place.parts().unwrap().0, 1)).unwrap();
            assert_eq!(value, 50);
            *lanes.read_in(lane, 4).unwrap().parts().unwrap().1 += count;
        }
        assert_eq!(lanes.count(), 4);
    }

    #[test]
    fn who_finds_its_lane_taken_goes_to_another_and_stays() {
        let lanes = Lanes::of(2, [7].into_iter());
        let before = LANE.get();
        let taken = lanes.read(0);
        let other = lanes.read(0);
        assert_eq!(LANE.get(), before.wrapping_add(1));
        drop((taken, other));
        drop(lanes.read(0));
        assert_eq!(LANE.get(), before.wrapping_add(1));
    }

    #[test]
    fn a_panic_leaves_it_as_it_was() {
        let lanes = Lanes::of(8, [7].into_iter());
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut writer = lanes.write(0);
            *writer.get().unwrap() = 8;
            panic!("in the middle");
        }));
        assert!(panicked.is_err());
        assert!((0..8).all(|lane| lanes.read_in(lane, 0).unwrap().parts().unwrap().0 == &8));
        assert!(lanes.write(0).get().is_some());
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;

    /// Two readers in lanes of their own and two writers: no reader without what it reads, or with half
    /// of a change; no writer that is not alone.
    #[test]
    fn loom_a_writer_is_alone() {
        loom::model(|| {
            let lanes = loom::sync::Arc::new(Lanes::of(2, [(0_u64, 0_u64)].into_iter()));
            let work = |lanes: &Lanes<(u64, u64)>, lane: usize| {
                if let Some(mut place) = lanes.read_in(lane, 0) {
                    let (pair, _) = place.parts().unwrap();
                    assert_eq!(pair.0, pair.1);
                }
                let mut writer = lanes.write(0);
                let pair = writer.get().unwrap();
                pair.0 += 1;
                pair.1 += 1;
            };
            let other = lanes.clone();
            let thread = loom::thread::spawn(move || work(&other, 1));
            work(&lanes, 0);
            thread.join().unwrap();
            assert_eq!(lanes.read_in(0, 0).unwrap().parts().unwrap().0, &(2, 2));
        });
    }
}
