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

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::meter::Grant;
use super::span::Span;
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
    /// The other terms. Written and read beside these two, which loom sees and would not get through all of.
    terms: [std::sync::atomic::AtomicU64; LoanTerms::WORDS],
    /// When each token was taken, the latest first. Only the thread writes them, and only those that are
    /// left.
    times: [AtomicU64; N],
}

/// What tokens are lent on: when they are good, and what one is given back by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct LoanTerms {
    /// Not for calls before.
    pub(super) since: u64,
    /// How often any configuration has been changed.
    pub(super) changes: u64,
    /// How many.
    pub(super) tokens: usize,
    /// Where the mark is, what was given back since the quota was changed, and how often that was.
    pub(super) mark: Span,
    pub(super) returned: Span,
    pub(super) quotas: u64,
}

impl LoanTerms {
    const WORDS: usize = 5;

    /// So many, from then on, while there is no change.
    #[cfg(test)]
    fn of(tokens: usize, since: u64, changes: u64) -> LoanTerms {
        LoanTerms { tokens, since, changes, ..LoanTerms::default() }
    }

    /// All but the two that every call is asked about.
    fn to_words(self) -> [u64; LoanTerms::WORDS] {
        let LoanTerms { tokens, mark, returned, quotas, .. } = self;
        let parts = u64::from(mark.part) << 32 | u64::from(returned.part);
        [tokens as u64, mark.ns, returned.ns, parts, quotas]
    }
}

impl<const N: usize> Lease<N> {
    pub(super) fn new() -> Lease<N> {
        const { assert!(N as u64 <= LEFT) };
        Lease {
            word: AtomicU64::new(0),
            since: AtomicU64::new(0),
            changes: AtomicU64::new(0),
            terms: Default::default(),
            times: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// The thread takes one, if it may, and is told what to give it back by. Its times do not go backwards.
    #[inline]
    pub(super) fn take(&self, now: u64, changes: u64, granted: impl FnOnce(Grant)) -> bool {
        let word = self.word.load(Ordering::Acquire);
        let Some(last) = (word & LEFT).checked_sub(1) else { return false };
        // All of this loan, or of a later one: then the word has changed.
        let (since, known) = (&self.since, &self.changes);
        if now < since.load(Ordering::Relaxed) || changes != known.load(Ordering::Relaxed) {
            return false;
        }
        let terms = self.terms.each_ref().map(|word| word.load(Ordering::Relaxed));
        let Some(time) = self.times.get(last as usize) else { return false };
        time.store(now, Ordering::Relaxed);
        // Release: whoever calls it in reads the time.
        let order = (Ordering::AcqRel, Ordering::Relaxed);
        let taken = self.word.compare_exchange(word, word - 1, order.0, order.1).is_ok();
        if taken {
            let [tokens, mark, returned, parts, quotas] = terms;
            granted(Grant::Lent {
                at: now,
                nth: low_half(tokens.saturating_sub(last)),
                mark: Span { ns: mark, part: low_half(parts >> 32) },
                returned: Span { ns: returned, part: low_half(parts) },
                changes: quotas,
            });
        }
        taken
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

    /// So many, on these terms.
    pub(super) fn lend(&self, terms: &LoanTerms) {
        let terms = LoanTerms { tokens: terms.tokens.min(N), ..*terms };
        self.since.store(terms.since, Ordering::Relaxed);
        self.changes.store(terms.changes, Ordering::Relaxed);
        for (word, value) in self.terms.iter().zip(terms.to_words()) {
            word.store(value, Ordering::Relaxed);
        }
        let number = (self.word.load(Ordering::Relaxed) & !(NUMBER - 1)).wrapping_add(NUMBER);
        self.word.store(number | OWNED | terms.tokens as u64, Ordering::Release);
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

fn low_half(word: u64) -> u32 {
    // It fits.
    u32::try_from(word & u64::from(u32::MAX)).unwrap_or(0)
}

/// In nanoseconds: a thread that took nothing for so long is lent to by another limiter that asks.
const IDLE: u64 = 1_000_000;

thread_local! {
    /// Whose the thread's lease is, by its address, as far as it has noticed, and when it last took from it: to be
    /// looked at before anything else is.
    static OWNER: Cell<usize> = const { Cell::new(0) };
    static LATEST: Cell<u64> = const { Cell::new(0) };
    static LEASE: RefCell<Arc<Lease>> = RefCell::new(Arc::new(Lease::new()));
}

/// Takes a token that this limiter has lent to this thread.
#[inline(always)]
pub(super) fn take_of(limiter: usize, now: u64, granted: impl FnOnce(Grant)) -> bool {
    OWNER.get() == limiter && now >= LATEST.get() && take(now, granted)
}

#[inline(never)]
fn take(now: u64, granted: impl FnOnce(Grant)) -> bool {
    // None at the end of the thread.
    let taken = LEASE.try_with(|lease| {
        let lease = lease.borrow();
        let taken = lease.take(now, terms::changes(), granted);
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

/// This thread's lease, which is the limiter's from now on; unless it is one's already that it takes from.
pub(super) fn claim(limiter: usize, now: u64) -> Option<Arc<Lease>> {
    let claim = |lease: &RefCell<Arc<Lease>>| {
        let mut lease = lease.borrow_mut();
        if lease.claim() {
            return Some(lease.clone());
        }
        // The other one keeps it until it calls it in; this thread takes no more of it.
        let idle = OWNER.get() != limiter && now.abs_diff(LATEST.get()) >= IDLE;
        idle.then(|| {
            *lease = Arc::new(Lease::new());
            lease.claim();
            lease.clone()
        })
    };
    let claimed = LEASE.try_with(claim).ok()??;
    OWNER.set(limiter);
    LATEST.set(now);
    Some(claimed)
}

/// Whether it is this thread's.
pub(super) fn is_own(lease: &Arc<Lease>) -> bool {
    LEASE.try_with(|own| Arc::ptr_eq(&own.borrow(), lease)).unwrap_or(false)
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
        assert!(!lease.take(9, 0, drop), "nothing is lent yet");
        lease.lend(&LoanTerms::of(3, 5, 0));
        assert!(!lease.take(4, 0, drop), "too early");
        assert!(!lease.take(5, 1, drop), "a configuration has changed");
        assert!(lease.take(5, 0, drop) && lease.take(7, 0, drop));
        assert_eq!(called_in(&lease, 3), [5, 7]);
        assert!(!lease.take(8, 0, drop) && called_in(&lease, 0).is_empty());
        lease.lend(&LoanTerms::of(1, 5, 0));
        assert!(lease.take(8, 0, drop) && !lease.take(9, 0, drop));
        assert_eq!(called_in(&lease, 1), [8]);
        lease.release();
        assert!(lease.claim());
    }

    /// Whoever read the word of the one before, and slept, takes nothing of the next.
    #[test]
    fn each_loan_has_a_number_of_its_own() {
        let lease = Lease::<4>::new();
        let words = [(); 3].map(|()| {
            lease.lend(&LoanTerms::of(4, 0, 0));
            lease.word.load(Ordering::Acquire)
        });
        assert!(words[0] != words[1] && words[1] != words[2] && words[0] != words[2], "{words:?}");
    }

    /// They are written in words.
    #[test]
    fn a_token_says_on_what_it_was_lent() {
        let (mark, returned) = (Span { ns: 7, part: 3 }, Span { ns: 5, part: u32::MAX });
        let lease = Lease::<4>::new();
        let terms = LoanTerms { since: 1, changes: 2, tokens: 5, mark, returned, quotas: 9 };
        lease.lend(&terms);
        assert!(lease.take(1, 2, drop));
        let second = Grant::Lent { at: 6, nth: 2, mark, returned, changes: 9 };
        assert!(lease.take(6, 2, |grant| assert_eq!(grant, second)));
    }

    #[test]
    fn no_more_than_there_are_places() {
        let lease = Lease::new();
        lease.lend(&LoanTerms::of(usize::MAX, 0, 0));
        assert_eq!((0..200).filter(|now| lease.take(*now, 0, drop)).count(), MOST);
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
            lease.lend(&LoanTerms::of(2, 10, 0));
            let thread = {
                let lease = lease.clone();
                thread::spawn(move || (10..13).filter(|now| lease.take(*now, 0, drop)).collect())
            };
            let mut noted = called_in(&lease, 2);
            lease.lend(&LoanTerms::of(1, 11, 0));
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
            lease.lend(&LoanTerms::of(1, 0, 0));
            let owner = {
                let lease = lease.clone();
                thread::spawn(move || {
                    let taken = called_in(&lease, 1).len();
                    lease.lend(&LoanTerms::of(1, 0, 0));
                    let taken = taken + called_in(&lease, 1).len();
                    lease.release();
                    taken
                })
            };
            let mut mine = usize::from(lease.take(1, 0, drop));
            if lease.claim() {
                assert!(!lease.take(2, 0, drop), "released, and still lent");
            } else {
                mine += usize::from(lease.take(2, 0, drop));
            }
            assert_eq!(owner.join().unwrap(), mine);
        });
    }
}
