//! Tokens that one thread takes without meeting the others.
//!
//! Threads that take from one bucket hand its cache line to and fro, which costs more than all the rest of
//! a check. So a thread that found the lock taken is *lent* a few of the tokens that are there. It takes
//! them by a word of its own, and notes when; whoever wants to know more of the bucket
//! [calls them in](super::lent) first.
//!
//! ```text
//! word: | number, 56 bits | owned, 1 | left, 7 |
//! ```
//!
//! A taken token is one compare-and-swap, which fails if the lease was called in meanwhile: what is noted
//! and what is counted are never apart. Each loan has a number of its own, so that a thread that fell
//! asleep over an old one takes nothing from a new one.

use std::cell::Cell;
use std::sync::Arc;

use super::terms;
use crate::sync::{AtomicU64, Ordering};

/// The most tokens of a loan: so many calls share what it costs to call them in.
pub(super) const MOST: usize = 127;

const LEFT: u64 = 0x7f;
const OWNED: u64 = 0x80;
const NUMBER: u64 = 0x100;

/// What a thread takes by. One limiter at a time owns it, and lends.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Lease<const N: usize = MOST> {
    word: AtomicU64,
    /// Not good for calls before.
    since: AtomicU64,
    /// How often any configuration had been changed.
    changes: AtomicU64,
    /// When each token was taken, the latest first. Only the thread writes them, and only those that are
    /// left.
    times: [AtomicU64; N],
}

impl<const N: usize> Lease<N> {
    pub(super) fn new() -> Lease<N> {
        const { assert!(N as u64 <= LEFT) };
        Lease {
            word: AtomicU64::new(0),
            since: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            times: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The thread takes one, if it may. Its times do not go backwards.
    #[inline]
    pub(super) fn take(&self, now: u64, changes: u64) -> bool {
        let word = self.word.load(Ordering::Acquire);
        let Some(last) = (word & LEFT).checked_sub(1) else { return false };
        // Of this loan, or of a later one: then the word has changed.
        let (since, known) = (&self.since, &self.changes);
        if now < since.load(Ordering::Relaxed) || changes != known.load(Ordering::Relaxed) {
            return false;
        }
        let Some(time) = self.times.get(last as usize) else { return false };
        time.store(now, Ordering::Relaxed);
        // Release: whoever calls it in reads the time.
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        self.word.compare_exchange(word, word - 1, order.0, order.1).is_ok()
    }

    /// Makes it a limiter's, if it is nobody's. Called by the thread.
    pub(super) fn claim(&self) -> bool {
        // Nobody else makes it anybody's.
        let free = !self.is_owned();
        if free {
            self.word.fetch_or(OWNED, Ordering::AcqRel);
        }
        free
    }

    fn is_owned(&self) -> bool {
        self.word.load(Ordering::Acquire) & OWNED != 0
    }

    /// Makes it nobody's. Called by its owner, as all that follow, when it is called in.
    pub(super) fn release(&self) {
        self.word.fetch_and(!(OWNED | LEFT), Ordering::AcqRel);
    }

    /// So many, for calls from `since` on.
    pub(super) fn lend(&self, tokens: usize, since: u64, changes: u64) {
        self.since.store(since, Ordering::Relaxed);
        self.changes.store(changes, Ordering::Relaxed);
        let number = (self.word.load(Ordering::Relaxed) & !(NUMBER - 1)).wrapping_add(NUMBER);
        self.word.store(number | OWNED | tokens.min(N) as u64, Ordering::Release);
    }

    /// Takes back what is left. How many: as many as the place of the latest that was taken.
    pub(super) fn call_in(&self) -> usize {
        (self.word.fetch_and(!LEFT, Ordering::AcqRel) & LEFT) as usize
    }

    /// When the token of this place was taken, once it is called in.
    pub(super) fn time(&self, place: usize) -> u64 {
        self.times.get(place).map_or(0, |time| time.load(Ordering::Relaxed))
    }
}

thread_local! {
    /// Whose the thread's lease is, by its address, as far as it has noticed, and when it last took from it: to be
    /// looked at before anything else is.
    static OWNER: Cell<usize> = const { Cell::new(0) };
    static LATEST: Cell<u64> = const { Cell::new(0) };
    static LEASE: Arc<Lease> = Arc::new(Lease::new());
}

/// Takes a token that this limiter has lent to this thread.
#[inline]
pub(super) fn take_of(limiter: usize, now: u64) -> bool {
    OWNER.get() == limiter && now >= LATEST.get() && take(now)
}

fn take(now: u64) -> bool {
    // None at the end of the thread.
    let taken = LEASE.try_with(|lease| {
        let taken = lease.take(now, terms::changes());
        if !taken && !lease.is_owned() {
            OWNER.set(0);
        }
        taken
    });
    let taken = taken.unwrap_or(false);
    if taken {
        LATEST.set(now);
    }
    taken
}

/// Whether this thread has a lease of another limiter, and so can be lent nothing by this one.
pub(super) fn is_of_another(limiter: usize) -> bool {
    OWNER.get() != limiter && LEASE.try_with(|lease| lease.is_owned()).unwrap_or(true)
}

/// This thread's lease, which is the limiter's from now on; unless it is one's already.
pub(super) fn claim(limiter: usize) -> Option<Arc<Lease>> {
    let claimed = LEASE.try_with(|lease| lease.claim().then(|| lease.clone())).ok()??;
    OWNER.set(limiter);
    LATEST.set(0);
    Some(claimed)
}

/// Whether it is this thread's.
pub(super) fn is_own(lease: &Arc<Lease>) -> bool {
    LEASE.try_with(|own| Arc::ptr_eq(own, lease)).unwrap_or(false)
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    fn called_in(lease: &Lease, tokens: usize) -> Vec<u64> {
        (lease.call_in()..tokens).rev().map(|place| lease.time(place)).collect()
    }

    #[test]
    fn what_is_lent_is_taken_once_and_noted() {
        let lease = Lease::new();
        assert!(lease.claim() && !lease.claim());
        assert!(!lease.take(9, 0), "nothing is lent yet");
        lease.lend(3, 5, 0);
        assert!(!lease.take(4, 0), "too early");
        assert!(!lease.take(5, 1), "a configuration has changed");
        assert!(lease.take(5, 0) && lease.take(7, 0));
        assert_eq!(called_in(&lease, 3), [5, 7]);
        assert!(!lease.take(8, 0) && called_in(&lease, 0).is_empty());
        lease.lend(1, 5, 0);
        assert!(lease.take(8, 0) && !lease.take(9, 0));
        assert_eq!(called_in(&lease, 1), [8]);
        lease.release();
        assert!(lease.claim());
    }

    #[test]
    fn no_more_than_there_are_places() {
        let lease = Lease::new();
        lease.lend(usize::MAX, 0, 0);
        assert_eq!((0..200).filter(|now| lease.take(*now, 0)).count(), MOST);
        assert!(called_in(&lease, MOST).into_iter().eq(0..MOST as u64));
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    fn called_in<const N: usize>(lease: &Lease<N>, tokens: usize) -> Vec<u64> {
        (lease.call_in()..tokens).rev().map(|place| lease.time(place)).collect()
    }

    /// What a thread has taken is called in once, with its time; of an old loan it takes nothing.
    #[test]
    fn loom_what_is_taken_is_called_in_once() {
        loom::model(|| {
            let lease = Arc::new(Lease::<2>::new());
            lease.lend(2, 10, 0);
            let thread = {
                let lease = lease.clone();
                thread::spawn(move || (10..13).filter(|now| lease.take(*now, 0)).collect())
            };
            let mut noted = called_in(&lease, 2);
            lease.lend(1, 11, 0);
            let taken: Vec<u64> = thread.join().unwrap();
            let before = noted.len();
            noted.extend(called_in(&lease, 1));
            assert_eq!(taken, noted);
            assert!(noted[before..].iter().all(|time| *time >= 11), "before it was lent");
        });
    }

    /// One of two owners has it, and the other has not.
    #[test]
    fn loom_it_is_lent_by_one() {
        loom::model(|| {
            let lease = Arc::new(Lease::<1>::new());
            assert!(lease.claim());
            lease.lend(1, 0, 0);
            let owner = {
                let lease = lease.clone();
                thread::spawn(move || {
                    let taken = called_in(&lease, 1).len();
                    lease.lend(1, 0, 0);
                    let taken = taken + called_in(&lease, 1).len();
                    lease.release();
                    taken
                })
            };
            let mut mine = usize::from(lease.take(1, 0));
            if lease.claim() {
                assert!(!lease.take(2, 0), "released, and still lent");
            } else {
                mine += usize::from(lease.take(2, 0));
            }
            assert_eq!(owner.join().unwrap(), mine);
        });
    }
}
