//! Permits in one word: who may go on is one compare-and-swap, and who goes is one subtraction.
//!
//! A bulkhead stands in front of every call, so what it costs when nothing is wrong is what it costs.
//! All that the usual case needs to know is in one atomic word, and so is seen at one instant: how much
//! is in use, what the limit is, and whether somebody waits.
//!
//! ```text
//! 63 ───────── limit ───────── 32 │ 31 waited for │ 30 ───────── in use ───────── 0
//! ```
//!
//! The limit may change while permits are out. Below what is in use it is a debt: nothing is granted
//! until enough came back, and the count of permits never goes below nothing.
//!
//! The mark says that somebody waits. It is set in the same step that finds no room, so a release is
//! either seen by the one who is about to wait, or sees the mark and serves the queue: no wake-up is
//! lost between the two. Who comes while it is set does not barge past those who wait.
//!
//! ```
//! use resilience_core::bulkhead::{Denied, PermitLedger};
//!
//! let ledger = PermitLedger::new(2);
//! let charge = ledger.try_take(2)?;
//! assert_eq!(ledger.try_take(1).unwrap_err(), Denied::Full);
//! assert_eq!(ledger.try_take(3).unwrap_err(), Denied::Never);
//! ledger.resize(1); // one too many are out now
//! assert!(!ledger.release(charge), "nobody waits for it");
//! assert_eq!((ledger.permits().in_use, ledger.permits().limit), (0, 1));
//! # Ok::<_, Denied>(())
//! ```

use std::fmt;

use crate::sync::{AtomicU64, Ordering};

const IN_USE: u64 = (1 << 31) - 1;
const WAITED_FOR: u64 = 1 << 31;
const LIMIT_SHIFT: u32 = 32;

/// How many permits there are, how many are out, and whether somebody waits for one. Lock-free.
///
/// `B` is something that its owner keeps in it: see [`beside`](PermitLedger::beside).
// The peak is read by who has just changed the word. On the word's cache line, it would have to be fetched
// from the core that has changed it since.
#[derive(Debug)]
#[repr(C)]
pub struct PermitLedger<B = ()> {
    word: AtomicU64,
    beside: B,
    peak: AtomicU64,
}

/// What a [`PermitLedger`] holds, at one instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Permits {
    /// How many may be out.
    pub limit: u32,
    /// How many are. More than `limit` after it was lowered.
    pub in_use: u32,
    /// Whether somebody waits, and newcomers do not take what is free.
    pub waited_for: bool,
}

/// Permits that were taken and are to be [released](PermitLedger::release), by the ledger that they
/// were taken from.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "permits that are not released are out for ever"]
pub struct Charge(u32);

impl Charge {
    /// So many.
    #[must_use]
    pub const fn permits(&self) -> u32 {
        self.0
    }

    /// All of it, which leaves a charge for nothing. For the end of what owns one.
    #[cfg(feature = "tokio")]
    pub(super) const fn take(&mut self) -> Charge {
        Charge(std::mem::replace(&mut self.0, 0))
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::exhaustive_enums, reason = "there may be room later, or there may not")]
pub enum Denied {
    /// There is no room now, or somebody else comes first.
    Full,
    /// It is more than the limit: no wait will help.
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

impl Permits {
    fn of(word: u64) -> Permits {
        Permits { limit: high(word), in_use: low(word), waited_for: word & WAITED_FOR != 0 }
    }

    /// Returns the permits that a new call gets at once: 0 while others wait for what is free.
    #[must_use]
    pub const fn available(&self) -> u32 {
        let most = if self.limit > low(IN_USE) { low(IN_USE) } else { self.limit };
        if self.waited_for { 0 } else { most.saturating_sub(self.in_use) }
    }
}

/// Whether `cost` more fit.
#[inline]
fn fits(word: u64, cost: u32) -> bool {
    (word & IN_USE) + u64::from(cost) <= most(word)
}

/// As many as the word has room for, whatever the limit.
#[inline]
fn most(word: u64) -> u64 {
    (word >> LIMIT_SHIFT).min(IN_USE)
}

/// Why there is no permit. At a limit of 0, which is a pause, nothing is too much for ever.
#[cold]
fn denied(word: u64, cost: u32) -> Result<Charge, Denied> {
    match u64::from(cost) {
        0 => Ok(Charge(0)),
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

impl PermitLedger {
    /// All permits are here.
    #[must_use]
    pub fn new(limit: u32) -> PermitLedger {
        PermitLedger::around((), limit)
    }
}

impl<B> PermitLedger<B> {
    /// All permits are here, and so is this.
    #[must_use]
    pub fn around(beside: B, limit: u32) -> PermitLedger<B> {
        PermitLedger {
            word: AtomicU64::new(u64::from(limit) << LIMIT_SHIFT),
            beside,
            peak: AtomicU64::new(0),
        }
    }

    /// What is kept in it. If it takes a cache line (64 bytes), threads that take permits do not wait for each
    /// other's count of the most that were out.
    #[must_use]
    #[inline]
    pub const fn beside(&self) -> &B {
        &self.beside
    }

    /// Takes `cost` permits, for a newcomer. Nothing costs nothing, and is always granted.
    ///
    /// What was done before the [release](PermitLedger::release) of a permit happens before what is
    /// done with it next.
    ///
    /// # Errors
    /// If there is no room, or somebody waits.
    #[inline]
    pub fn try_take(&self, cost: u32) -> Result<Charge, Denied> {
        self.take(cost, |word| word & WAITED_FOR == 0)
    }

    /// Takes `cost` permits on behalf of who is next in the queue.
    ///
    /// # Errors
    /// If there is no room.
    pub fn take_next(&self, cost: u32) -> Result<Charge, Denied> {
        self.take(cost, |_| true)
    }

    /// Takes `cost` permits, or marks that somebody waits, in one step. Whoever calls this has locked
    /// the queue, and joins it if this says [`Denied::Full`].
    ///
    /// # Errors
    /// As of [`try_take`](PermitLedger::try_take).
    pub fn take_or_wait(&self, cost: u32) -> Result<Charge, Denied> {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let next = match denied(word, cost) {
                Err(Denied::Full) if word & WAITED_FOR == 0 && fits(word, cost) => {
                    word + u64::from(cost)
                }
                Err(Denied::Full) => word | WAITED_FOR,
                sure => return sure,
            };
            match self.swap(word, next) {
                Ok(_) if next & WAITED_FOR != 0 => return Err(Denied::Full),
                Ok(_) => return Ok(self.charged(next, cost)),
                Err(now) => word = now,
            }
        }
    }

    /// Takes `cost` permits whether they are there or not; fewer, only where the count would overflow.
    pub fn take_over(&self, cost: u32) -> Charge {
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let most = IN_USE - (word & IN_USE);
            let taken = most.min(u64::from(cost));
            match self.swap(word, word + taken) {
                Ok(_) => return self.charged(word + taken, low(taken)),
                Err(now) => word = now,
            }
        }
    }

    /// Gives permits back. Says whether somebody waits: then the queue is to be served.
    #[inline]
    pub fn release(&self, charge: Charge) -> bool {
        // A charge was added once and is subtracted once, so this does not pass zero.
        let word = self.word.fetch_sub(u64::from(charge.0), Ordering::AcqRel);
        word & WAITED_FOR != 0
    }

    /// Nobody waits any more. Whoever calls this has locked the queue, and found it empty.
    pub fn nobody_waits(&self) {
        self.word.fetch_and(!WAITED_FOR, Ordering::AcqRel);
    }

    /// Changes the limit. 0 is a pause: nothing is granted until it is raised. The queue, if there is
    /// one, is to be served after.
    pub fn resize(&self, limit: u32) {
        let limit = u64::from(limit) << LIMIT_SHIFT;
        let mut word = self.word.load(Ordering::Relaxed);
        while let Err(now) = self.swap(word, limit | word & (IN_USE | WAITED_FOR)) {
            word = now;
        }
    }

    /// What there is now.
    #[must_use]
    pub fn permits(&self) -> Permits {
        Permits::of(self.word.load(Ordering::Acquire))
    }

    /// The most that were out at once.
    #[must_use]
    pub fn peak(&self) -> u32 {
        low(self.peak.load(Ordering::Relaxed))
    }

    #[inline(always)]
    fn take(&self, cost: u32, may: impl Fn(u64) -> bool) -> Result<Charge, Denied> {
        let mut word = self.word.load(Ordering::Relaxed);
        while may(word) && fits(word, cost) {
            match self.swap(word, word + u64::from(cost)) {
                Ok(_) => return Ok(self.charged(word + u64::from(cost), cost)),
                Err(now) => word = now,
            }
        }
        denied(word, cost)
    }

    #[inline]
    fn swap(&self, word: u64, next: u64) -> Result<u64, u64> {
        self.word.compare_exchange_weak(word, next, Ordering::AcqRel, Ordering::Relaxed)
    }

    #[inline]
    fn charged(&self, word: u64, cost: u32) -> Charge {
        let in_use = word & IN_USE;
        // A look is cheap and a new peak is rare.
        if in_use > self.peak.load(Ordering::Relaxed) {
            self.peak.fetch_max(in_use, Ordering::Relaxed);
        }
        Charge(cost)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn lowering_the_limit_makes_a_debt_and_never_a_negative_count() {
        // E28: sizes 2, 2, 2; the first return drops to 1, the second stays 1.
        let ledger = PermitLedger::new(2);
        let (first, second) = (ledger.try_take(1).unwrap(), ledger.try_take(1).unwrap());
        for limit in [0, 1] {
            ledger.resize(limit);
            assert_eq!(ledger.permits().in_use, 2);
            assert_eq!(ledger.try_take(1), Err(Denied::Full));
        }
        ledger.release(first);
        assert_eq!(ledger.try_take(1), Err(Denied::Full), "the debt is paid, nothing is left over");
        ledger.release(second);
        let third = ledger.try_take(1).unwrap();
        assert_eq!(ledger.try_take(1), Err(Denied::Full));
        ledger.release(third);
        assert_eq!((ledger.permits().in_use, ledger.permits().limit), (0, 1));
        assert_eq!(ledger.peak(), 2);
    }

    #[test]
    fn too_much_is_never_granted_but_during_a_pause_it_may_yet_be() {
        let ledger = PermitLedger::new(3);
        assert_eq!(ledger.try_take(4), Err(Denied::Never));
        assert_eq!(ledger.take_or_wait(4), Err(Denied::Never));
        assert!(!ledger.permits().waited_for);
        ledger.resize(0);
        assert_eq!(ledger.try_take(4), Err(Denied::Full));
    }

    #[test]
    fn newcomers_do_not_barge_past_the_mark() {
        let ledger = PermitLedger::new(3);
        let out = ledger.try_take(2).unwrap();
        assert_eq!(ledger.take_or_wait(2), Err(Denied::Full));
        assert_eq!(
            ledger.try_take(1),
            Err(Denied::Full),
            "one is free, and somebody waits for two"
        );
        assert!(ledger.release(out), "the releaser is told");
        let next = ledger.take_next(2).unwrap();
        ledger.nobody_waits();
        let newcomer = ledger.try_take(1).unwrap();
        assert!(!ledger.release(next) && !ledger.release(newcomer));
    }

    #[test]
    fn no_number_overflows() {
        let ledger = PermitLedger::new(u32::MAX);
        assert_eq!(ledger.try_take(u32::MAX), Err(Denied::Never), "more than can be counted");
        let all = ledger.try_take(low(IN_USE)).unwrap();
        assert_eq!(ledger.try_take(1), Err(Denied::Full));
        let over = ledger.take_over(u32::MAX);
        assert_eq!(over.permits(), 0);
        ledger.release(over);
        ledger.release(all);
        assert_eq!(ledger.permits(), Permits { limit: u32::MAX, in_use: 0, waited_for: false });
        let nothing = ledger.try_take(0).unwrap();
        ledger.release(nothing);
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn loom_the_limit_holds_whoever_comes() {
        loom::model(|| {
            let ledger = Arc::new(PermitLedger::new(3));
            let other = {
                let ledger = ledger.clone();
                thread::spawn(move || ledger.try_take(2).ok())
            };
            let mine = ledger.try_take(2).ok();
            assert!(ledger.permits().in_use <= 3);
            let theirs = other.join().unwrap();
            assert!(mine.is_some() != theirs.is_some(), "one of two, and not neither");
            mine.into_iter().chain(theirs).for_each(|charge| {
                ledger.release(charge);
            });
            assert_eq!((ledger.permits().in_use, ledger.peak()), (0, 2));
        });
    }

    #[test]
    fn loom_a_release_is_seen_by_the_waiter_or_sees_it() {
        loom::model(|| {
            let ledger = Arc::new(PermitLedger::new(1));
            let out = ledger.try_take(1).unwrap();
            let releaser = {
                let ledger = ledger.clone();
                thread::spawn(move || ledger.release(out))
            };
            let waits = ledger.take_or_wait(1).is_err();
            let told = releaser.join().unwrap();
            assert_eq!(waits, told, "nobody sleeps beside a free permit");
        });
    }

    #[test]
    fn loom_a_resize_loses_no_permit() {
        loom::model(|| {
            let ledger = Arc::new(PermitLedger::new(2));
            let out = ledger.try_take(1).unwrap();
            let threads = [
                {
                    let ledger = ledger.clone();
                    thread::spawn(move || {
                        ledger.release(out);
                    })
                },
                {
                    let ledger = ledger.clone();
                    thread::spawn(move || ledger.resize(1))
                },
            ];
            let mine = ledger.try_take(1).ok();
            threads.into_iter().for_each(|thread| thread.join().unwrap());
            assert_eq!(ledger.permits().in_use, u32::from(mine.is_some()));
            assert_eq!(ledger.permits().limit, 1);
        });
    }
}
