//! How much is under way, in one word that can be closed.
//!
//! Whether something is let in, and that it is counted, is one decision: what is not counted at the moment of
//! closing is not let in after it.

use crate::sync::{AtomicU64, Ordering};

/// Nothing is let in any more.
const CLOSED: u64 = 1 << 63;
/// What ends from now on was cut, unless it says that it came to its own end.
const FORCED: u64 = 1 << 62;
/// One that came to its own end after all.
const FINISHED: u64 = 1 << 31;
/// So many at most: below [`FINISHED`], and more than a process has room for.
const MANY: u64 = FINISHED - 1;

/// How much is under way, and how much of it was let in late.
#[derive(Debug)]
pub(super) struct Count {
    /// `CLOSED | FORCED | finished after all (31) | under way (31)`
    word: AtomicU64,
    /// Let in with another, after closing.
    late: AtomicU64,
}

impl Count {
    pub(super) fn new() -> Count {
        Count { word: AtomicU64::new(0), late: AtomicU64::new(0) }
    }

    /// One more, unless it is closed or full.
    #[inline]
    pub(super) fn enter(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & CLOSED == 0 && word & MANY < MANY {
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

    /// One more, that belongs to another which is under way, unless all are told to end. The other one is
    /// counted until this is known.
    pub(super) fn enter_with_another(&self) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        while word & FORCED == 0 && word & MANY < MANY {
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

    /// How much was let in after closing.
    pub(super) fn late(&self) -> u64 {
        self.late.load(Ordering::Acquire)
    }

    /// One less. Whether it was the last one that is waited for.
    #[inline]
    pub(super) fn leave(&self, finished: bool) -> bool {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let after_all = if finished && word & FORCED != 0 { FINISHED } else { 0 };
            let next = word - 1 + after_all;
            match self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed) {
                Ok(_) => return next & CLOSED != 0 && next & MANY == 0,
                Err(newer) => word = newer,
            }
        }
    }

    /// Lets nothing in from now on. How much is under way at this moment.
    pub(super) fn close(&self) -> u64 {
        self.word.fetch_or(CLOSED, Ordering::AcqRel) & MANY
    }

    /// What ends from now on was cut. How much is under way at this moment.
    pub(super) fn force(&self) -> u64 {
        self.word.fetch_or(CLOSED | FORCED, Ordering::AcqRel) & MANY
    }

    /// How much is under way.
    pub(super) fn in_flight(&self) -> u64 {
        self.word.load(Ordering::Acquire) & MANY
    }

    /// How much is under way, and how much has come to its own end since [`force`](Count::force), at one
    /// moment.
    pub(super) fn left_and_finished(&self) -> (u64, u64) {
        let word = self.word.load(Ordering::Acquire);
        (word & MANY, (word & !(CLOSED | FORCED)) / FINISHED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(resilience_loom))]
    fn what_is_cut_and_what_finishes_after_all() {
        let count = Count::new();
        assert!((0..4).all(|_| count.enter()));
        assert!(!count.leave(false), "open: nobody waits");
        let alone = Count::new();
        assert!(alone.enter() && !alone.leave(true), "open: nobody waits for the last either");
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
    fn what_belongs_to_another_comes_in_late_but_not_too_late() {
        let count = Count::new();
        assert!(count.enter() && count.enter_with_another());
        assert_eq!((count.close(), count.late()), (2, 0));
        assert!(count.enter_with_another());
        assert_eq!((count.in_flight(), count.late()), (3, 1));
        assert_eq!(count.force(), 3);
        assert!(!count.enter_with_another());
    }

    /// Two calls come while it is closed: what was let in is what is seen at that moment and what has left
    /// before it.
    #[test]
    #[cfg(resilience_loom)]
    fn loom_nothing_is_let_in_uncounted() {
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
            assert!(seen >= u64::from(stays), "who stays was counted");
            assert!(seen <= u64::from(stays) + u64::from(leaves));
            // The last of those that were seen says so, unless another stays.
            assert_eq!(last, leaves && !stays && seen == 1);
        });
    }

    /// One ends while all are told to: it was finished or it was cut, and never neither nor both.
    #[test]
    #[cfg(resilience_loom)]
    fn loom_what_ends_is_finished_or_cut() {
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
            let told = count.force();
            let lasts = ends.into_iter().map(|end| end.join().unwrap());
            assert_eq!(lasts.filter(|last| *last).count(), 1, "one of them was the last");
            let (left, after_all) = count.left_and_finished();
            assert_eq!(left, 0);
            let cut = told - after_all;
            assert!(cut <= 1, "who says so was not cut: {told} told, {after_all} after all");
        });
    }
}
