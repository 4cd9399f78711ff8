//! A closable counter of work in flight, in one atomic word.
//!
//! Admission and counting are one atomic step: work that is not counted at the moment of closing is
//! not admitted after it.

use crate::sync::{AtomicU64, Ordering};

/// Set once no work is admitted.
const CLOSED: u64 = 1 << 63;
/// Set once work that ends counts as cut, unless it reports that it finished.
const FORCED: u64 = 1 << 62;
/// The unit of operations that finished after `FORCED`.
const FINISHED: u64 = 1 << 31;
/// Mask and maximum of the count in flight.
const MAX_COUNT: u64 = FINISHED - 1;

/// Count of work in flight, and of work admitted after closing.
#[derive(Debug)]
pub(super) struct Count {
    /// `CLOSED | FORCED | finished after FORCED (31) | in flight (31)`
    word: AtomicU64,
    /// Operations admitted after closing, as part of others.
    late: AtomicU64,
}

impl Count {
    pub(super) fn new() -> Count {
        Count { word: AtomicU64::new(0), late: AtomicU64::new(0) }
    }

    /// Counts one more. Returns `false` if the counter is closed or full.
    pub(super) fn enter(&self) -> bool {
        // See docs/decisions/0015-a-shutdown-is-ambient.md.
        let mut word = self.word.load(Ordering::Relaxed);
        while word & CLOSED == 0 && word & MAX_COUNT < MAX_COUNT {
            match self.word.compare_exchange_weak(
                word,
                word + 1,
                Ordering::AcqRel,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(newer) => word = newer,
            }
        }
        false
    }

    /// Counts one more that is part of another operation, which must be counted during this call.
    /// Returns `false` after [`force`](Count::force).
    pub(super) fn enter_with_another(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & FORCED == 0 && word & MAX_COUNT < MAX_COUNT {
            let next = word + 1;
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => {
                    if word & CLOSED != 0 {
                        self.late.fetch_add(1, Ordering::AcqRel);
                    }
                    return true;
                }
                Err(newer) => word = newer,
            }
        }
        false
    }

    /// Returns the number admitted after closing.
    pub(super) fn late(&self) -> u64 {
        self.late.load(Ordering::Acquire)
    }

    /// Counts one less. Returns `true` if it was the last one and the counter is closed.
    pub(super) fn leave(&self, finished: bool) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let after_all = if finished && word & FORCED != 0 { FINISHED } else { 0 };
            let next = word - 1 + after_all;
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return next & CLOSED != 0 && next & MAX_COUNT == 0,
                Err(newer) => word = newer,
            }
        }
    }

    /// Closes the counter. Returns the number in flight at this moment.
    pub(super) fn close(&self) -> u64 {
        self.word.fetch_or(CLOSED, Ordering::AcqRel) & MAX_COUNT
    }

    /// Counts operations that end from now on as cut. Returns the number in flight at this moment.
    pub(super) fn force(&self) -> u64 {
        self.word.fetch_or(CLOSED | FORCED, Ordering::AcqRel) & MAX_COUNT
    }

    /// Returns the number in flight.
    pub(super) fn in_flight(&self) -> u64 {
        self.word.load(Ordering::Acquire) & MAX_COUNT
    }

    /// Returns the number in flight, and the number that finished since [`force`](Count::force), at
    /// one moment.
    pub(super) fn left_and_finished(&self) -> (u64, u64) {
        let word = self.word.load(Ordering::Acquire);
        (word & MAX_COUNT, (word & !(CLOSED | FORCED)) / FINISHED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(resilience_loom))]
    fn an_operation_is_cut_or_finishes_late() {
        let count = Count::new();
        assert!((0..4).all(|_| count.enter()));
        assert!(!count.leave(false), "open: no shutdown waits");
        let alone = Count::new();
        assert!(alone.enter() && !alone.leave(true), "open: no shutdown waits for the last one");
        assert_eq!(count.close(), 3);
        assert!(!count.enter());
        assert!(!count.leave(true));
        assert_eq!(count.force(), 2);
        assert!(!count.leave(true));
        assert_eq!(count.left_and_finished(), (1, 1));
        assert!(count.leave(false), "the last one");
        assert_eq!(count.left_and_finished(), (0, 1));
    }

    #[test]
    #[cfg(not(resilience_loom))]
    fn a_part_of_another_operation_enters_until_force() {
        let count = Count::new();
        assert!(count.enter() && count.enter_with_another());
        assert_eq!((count.close(), count.late()), (2, 0));
        assert!(count.enter_with_another());
        assert_eq!((count.in_flight(), count.late()), (3, 1));
        assert_eq!(count.force(), 3);
        assert!(!count.enter_with_another());
    }

    /// Two calls enter while the counter is closed: the admitted calls are those in flight at that
    /// moment and those that left before it.
    #[test]
    #[cfg(resilience_loom)]
    fn loom_no_call_is_admitted_uncounted() {
        use loom::sync::Arc;
        use loom::thread;

        loom::model(|| {
            let count = Arc::new(Count::new());
            let calls: Vec<_> = (0..2)
                .map(|leaves| {
                    let count = count.clone();
                    thread::spawn(move || {
                        let entered = count.enter();
                        let last = entered && leaves == 1 && count.leave(true);
                        (entered, last)
                    })
                })
                .collect();
            let seen = count.close();
            assert!(!count.enter());
            let ended: Vec<_> = calls.into_iter().map(|call| call.join().unwrap()).collect();
            let [(stays, _), (leaves, last)] = ended[..] else { unreachable!() };
            assert_eq!(count.in_flight(), u64::from(stays));
            assert!(seen >= u64::from(stays), "a call in flight was counted");
            assert!(seen <= u64::from(stays) + u64::from(leaves));
            // The last call that leaves returns `true`, unless another stays.
            assert_eq!(last, leaves && !stays && seen == 1);
        });
    }

    /// An operation ends during `force`: it counts as finished or as cut, never as neither or both.
    #[test]
    #[cfg(resilience_loom)]
    fn loom_an_operation_is_finished_or_cut() {
        use loom::sync::Arc;
        use loom::thread;

        loom::model(|| {
            let count = Arc::new(Count::new());
            assert!(count.enter() && count.enter());
            assert_eq!(count.close(), 2);
            let ends: Vec<_> = [true, false]
                .map(|finished| {
                    let count = count.clone();
                    thread::spawn(move || count.leave(finished))
                })
                .into();
            let forced = count.force();
            let lasts = ends.into_iter().map(|end| end.join().unwrap());
            assert_eq!(lasts.filter(|last| *last).count(), 1, "one of them was the last");
            let (left, after_all) = count.left_and_finished();
            assert_eq!(left, 0);
            let cut = forced - after_all;
            assert!(
                cut <= 1,
                "a finished operation was cut: {forced} forced, {after_all} finished"
            );
        });
    }
}
