//! Permits in one atomic word: to take some is one compare-and-swap, to release them one
//! subtraction.
//!
//! The word holds the state of the usual case, read at one instant: the permits in use, the limit,
//! and whether a call waits.
//!
//! ```text
//! 63 ───────── limit ───────── 32 │ 31 waited for │ 30 ───────── in use ───────── 0
//! ```
//!
//! The limit may change while permits are in use. A limit below them is a debt: none is granted
//! until enough are released, and the count never goes below zero.
//!
//! `waited for` is set in the same step that finds no permit. A release either comes before that
//! step, which finds its permit, or reads the bit and serves the queue: no wake-up is lost between
//! the two. While the bit is set, newcomers do not overtake the calls that wait.
//!
//! ```
//! use resilience_core::bulkhead::{Denied, Permits};
//!
//! let permits = Permits::new(2);
//! let grant = permits.try_take(2)?;
//! assert_eq!(permits.try_take(1).unwrap_err(), Denied::Full);
//! assert_eq!(permits.try_take(3).unwrap_err(), Denied::Never);
//! permits.resize(1); // one too many are in use now
//! assert!(!permits.release(grant), "no call waits for it");
//! assert_eq!((permits.counts().in_use, permits.counts().limit), (0, 1));
//! # Ok::<_, Denied>(())
//! ```

use std::fmt;

use crate::sync::{AtomicU64, Ordering};

const IN_USE: u64 = (1 << 31) - 1;
const WAITED_FOR: u64 = 1 << 31;
const LIMIT_SHIFT: u32 = 32;

/// A limited number of permits. Lock-free.
///
/// `B` is state of the owner that is kept in between; see [`colocated`](Permits::colocated).
// The peak is read after each change of the word. On the same cache line, that read would wait for
// the core that has changed the word since (false sharing).
#[derive(Debug)]
#[repr(C)]
pub struct Permits<B = ()> {
    word: AtomicU64,
    colocated: B,
    peak: AtomicU64,
}

/// The state of [`Permits`] at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PermitCounts {
    /// The number of permits.
    pub limit: u32,
    /// Permits in use. More than `limit` after it was lowered.
    pub in_use: u32,
    /// A call waits, and newcomers do not take what is free.
    pub waited_for: bool,
}

/// Permits that were taken. To be [released](Permits::release) to the [`Permits`] that granted
/// them.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "permits that are not released stay in use for ever"]
#[doc(hidden)]
pub struct PermitGrant(u32);

impl PermitGrant {
    /// Returns the number of permits.
    #[must_use]
    pub const fn permits(&self) -> u32 {
        self.0
    }

    /// Takes the permits, and leaves a grant of none.
    #[cfg(feature = "tokio")]
    pub(super) const fn take(&mut self) -> PermitGrant {
        PermitGrant(std::mem::replace(&mut self.0, 0))
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "a permit may be free later, or never")]
pub enum Denied {
    /// No permit is free now, or another call comes first.
    Full,
    /// More permits than the limit: a wait is of no use.
    Never,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Denied::Full => "no permit is free",
            Denied::Never => "more permits than there are",
        })
    }
}

impl std::error::Error for Denied {}

impl PermitCounts {
    fn of(word: u64) -> PermitCounts {
        PermitCounts { limit: high(word), in_use: low(word), waited_for: word & WAITED_FOR != 0 }
    }

    /// Returns the permits that a new call gets at once: 0 while others wait for what is free.
    #[must_use]
    pub const fn available(&self) -> u32 {
        let most = if self.limit > low(IN_USE) { low(IN_USE) } else { self.limit };
        if self.waited_for { 0 } else { most.saturating_sub(self.in_use) }
    }
}

/// Returns `true` if `cost` more fit.
#[inline]
fn fits(word: u64, cost: u32) -> bool {
    (word & IN_USE) + u64::from(cost) <= most(word)
}

/// Returns the limit, or the largest count that fits into the word.
#[inline]
fn most(word: u64) -> u64 {
    (word >> LIMIT_SHIFT).min(IN_USE)
}

/// Returns the reason why there is no permit. At a limit of 0, which is a pause, no cost is too
/// much for ever.
#[cold]
fn denied(word: u64, cost: u32) -> Result<PermitGrant, Denied> {
    match u64::from(cost) {
        0 => Ok(PermitGrant(0)),
        cost if cost > most(word) && most(word) > 0 => Err(Denied::Never),
        _ => Err(Denied::Full),
    }
}

const fn high(word: u64) -> u32 {
    (word >> LIMIT_SHIFT) as u32
}

const fn low(word: u64) -> u32 {
    (word & IN_USE) as u32
}

impl Permits {
    /// Returns permits of which none is in use.
    #[must_use]
    pub fn new(limit: u32) -> Permits {
        Permits::with_colocated((), limit)
    }
}

impl<B> Permits<B> {
    /// Returns permits of which none is in use, with state of the owner.
    #[must_use]
    pub fn with_colocated(colocated: B, limit: u32) -> Permits<B> {
        Permits {
            word: AtomicU64::new(u64::from(limit) << LIMIT_SHIFT),
            colocated,
            peak: AtomicU64::new(0),
        }
    }

    /// Returns the state of the owner. A state of a cache line (64 bytes) puts the peak on another
    /// line than the word: threads that take permits do not invalidate each other's copy of the
    /// peak.
    #[must_use]
    #[inline]
    pub const fn colocated(&self) -> &B {
        &self.colocated
    }

    /// Takes `cost` permits for a newcomer. A cost of 0 is always granted.
    ///
    /// The [release](Permits::release) of a permit happens before its next grant.
    ///
    /// # Errors
    /// If they are not free, or a call waits.
    #[inline]
    pub fn try_take(&self, cost: u32) -> Result<PermitGrant, Denied> {
        // See docs/decisions/0041-permits-are-one-word-the-limiter-is-a-lock.md.
        self.take(cost, |word| word & WAITED_FOR == 0)
    }

    /// Takes `cost` permits for the next call in the queue.
    ///
    /// # Errors
    /// If they are not free.
    pub fn take_next(&self, cost: u32) -> Result<PermitGrant, Denied> {
        self.take(cost, |_| true)
    }

    /// Takes `cost` permits, or sets *waited for*, in one step. The caller has locked the queue,
    /// and joins it if this returns [`Denied::Full`].
    ///
    /// # Errors
    /// As [`try_take`](Permits::try_take).
    pub fn take_or_wait(&self, cost: u32) -> Result<PermitGrant, Denied> {
        let is_free = |word| word & WAITED_FOR == 0 && fits(word, cost);
        let changed = self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
            match denied(word, cost) {
                Err(Denied::Full) if is_free(word) => Some(word + u64::from(cost)),
                Err(Denied::Full) => Some(word | WAITED_FOR),
                Ok(_) | Err(Denied::Never) => None,
            }
        });
        match changed {
            Ok(former) if is_free(former) => Ok(self.granted(former + u64::from(cost), cost)),
            Ok(_) => Err(Denied::Full),
            Err(word) => denied(word, cost),
        }
    }

    /// Takes `cost` permits, over the limit if need be; fewer only where the count would overflow.
    pub fn force_take(&self, cost: u32) -> PermitGrant {
        let taken = |word| u64::from(cost).min(IN_USE - (word & IN_USE));
        let (Ok(word) | Err(word)) =
            self.word
                .fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| Some(word + taken(word)));
        self.granted(word + taken(word), low(taken(word)))
    }

    /// Gives permits back. Returns `true` if a call waits: the queue is to be served then.
    #[inline]
    pub fn release(&self, grant: PermitGrant) -> bool {
        // A grant was added once and is subtracted once, so this does not go below zero.
        let word = self.word.fetch_sub(u64::from(grant.0), Ordering::AcqRel);
        word & WAITED_FOR != 0
    }

    /// Clears *waited for*. The caller has locked the queue, and found it empty.
    pub fn clear_waited_for(&self) {
        self.word.fetch_and(!WAITED_FOR, Ordering::AcqRel);
    }

    /// Changes the limit. 0 is a pause: none is granted until it is raised. The caller serves the
    /// queue after.
    pub fn resize(&self, limit: u32) {
        let limit = u64::from(limit) << LIMIT_SHIFT;
        let _changed = self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
            Some(limit | word & (IN_USE | WAITED_FOR))
        });
    }

    /// Returns the state now.
    #[must_use]
    pub fn counts(&self) -> PermitCounts {
        PermitCounts::of(self.word.load(Ordering::Acquire))
    }

    /// Returns the most permits that were in use at once.
    #[must_use]
    pub fn peak(&self) -> u32 {
        low(self.peak.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn take(&self, cost: u32, may: impl Fn(u64) -> bool) -> Result<PermitGrant, Denied> {
        let taken = self.word.fetch_update(Ordering::AcqRel, Ordering::Relaxed, |word| {
            (may(word) && fits(word, cost)).then_some(word + u64::from(cost))
        });
        match taken {
            Ok(former) => Ok(self.granted(former + u64::from(cost), cost)),
            Err(word) => denied(word, cost),
        }
    }

    #[inline]
    fn granted(&self, word: u64, cost: u32) -> PermitGrant {
        let in_use = word & IN_USE;
        // A load is cheap, and a new peak is rare.
        if in_use > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_use, Ordering::Relaxed);
        }
        PermitGrant(cost)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn lowering_the_limit_makes_a_debt_and_never_a_negative_count() {
        // The limit drops from 2 to 1: the first release pays the debt, the second frees a permit.
        let permits = Permits::new(2);
        let first = permits.try_take(1).unwrap();
        let second = permits.try_take(1).unwrap();
        for limit in [0, 1] {
            permits.resize(limit);
            assert_eq!(permits.counts().in_use, 2);
            assert_eq!(permits.try_take(1), Err(Denied::Full));
        }
        permits.release(first);
        assert_eq!(
            permits.try_take(1),
            Err(Denied::Full),
            "the debt is paid, nothing is left over"
        );
        permits.release(second);
        let third = permits.try_take(1).unwrap();
        assert_eq!(permits.try_take(1), Err(Denied::Full));
        permits.release(third);
        assert_eq!((permits.counts().in_use, permits.counts().limit), (0, 1));
        assert_eq!(permits.peak(), 2);
    }

    #[test]
    fn too_much_is_never_granted_but_during_a_pause_it_may_yet_be() {
        let permits = Permits::new(3);
        assert_eq!(permits.try_take(4), Err(Denied::Never));
        assert_eq!(permits.take_or_wait(4), Err(Denied::Never));
        assert!(!permits.counts().waited_for);
        permits.resize(0);
        assert_eq!(permits.try_take(4), Err(Denied::Full));
    }

    #[test]
    fn newcomers_do_not_barge_past_the_mark() {
        let permits = Permits::new(3);
        let out = permits.try_take(2).unwrap();
        assert_eq!(permits.take_or_wait(2), Err(Denied::Full));
        assert_eq!(permits.try_take(1), Err(Denied::Full), "one is free, and a call waits for two");
        assert!(permits.release(out), "the releaser serves the queue");
        let next = permits.take_next(2).unwrap();
        permits.clear_waited_for();
        let newcomer = permits.try_take(1).unwrap();
        assert!(!permits.release(next) && !permits.release(newcomer));
    }

    #[test]
    fn no_number_overflows() {
        let permits = Permits::new(u32::MAX);
        assert_eq!(permits.try_take(u32::MAX), Err(Denied::Never), "more than can be counted");
        let all = permits.try_take(low(IN_USE)).unwrap();
        assert_eq!(permits.try_take(1), Err(Denied::Full));
        let over = permits.force_take(u32::MAX);
        assert_eq!(over.permits(), 0);
        permits.release(over);
        permits.release(all);
        assert_eq!(
            permits.counts(),
            PermitCounts { limit: u32::MAX, in_use: 0, waited_for: false }
        );
        let nothing = permits.try_take(0).unwrap();
        permits.release(nothing);
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn loom_the_limit_holds_for_all_threads() {
        loom::model(|| {
            let permits = Arc::new(Permits::new(3));
            let other = {
                let permits = permits.clone();
                thread::spawn(move || permits.try_take(2).ok())
            };
            let mine = permits.try_take(2).ok();
            assert!(permits.counts().in_use <= 3);
            let theirs = other.join().unwrap();
            assert!(mine.is_some() != theirs.is_some(), "one of two, and not neither");
            mine.into_iter().chain(theirs).for_each(|grant| {
                permits.release(grant);
            });
            assert_eq!((permits.counts().in_use, permits.peak()), (0, 2));
        });
    }

    #[test]
    fn loom_a_release_is_seen_by_the_waiter_or_sees_it() {
        loom::model(|| {
            let permits = Arc::new(Permits::new(1));
            let out = permits.try_take(1).unwrap();
            let releaser = {
                let permits = permits.clone();
                thread::spawn(move || permits.release(out))
            };
            let waits = permits.take_or_wait(1).is_err();
            let served = releaser.join().unwrap();
            assert_eq!(waits, served, "no call sleeps beside a free permit");
        });
    }

    #[test]
    fn loom_a_resize_loses_no_permit() {
        loom::model(|| {
            let permits = Arc::new(Permits::new(2));
            let out = permits.try_take(1).unwrap();
            let threads = [
                {
                    let permits = permits.clone();
                    thread::spawn(move || {
                        permits.release(out);
                    })
                },
                {
                    let permits = permits.clone();
                    thread::spawn(move || permits.resize(1))
                },
            ];
            let mine = permits.try_take(1).ok();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(permits.counts().in_use, u32::from(mine.is_some()));
            assert_eq!(permits.counts().limit, 1);
        });
    }
}
