//! Deposits that expire, exactly, without a lock.
//!
//! Tokens are numbered in the order of their deposits. Three marks on that line are the whole
//! state: the number of tokens ever deposited, the end of the spending, and the beginning of the
//! window.
//!
//! ```text
//! 0 ─────── spent ═════════ begins ──────────── deposited
//!                    └─ kept ─┘└──── window ────┘
//! ```
//!
//! Spending is one compare-and-swap that moves `spent` forward, never past `deposited`. Under every
//! interleaving, no token is spent twice, and only deposited tokens are spent. Tokens that the
//! window has left behind expire, except for the newest `reserve` of them: an idle client keeps a
//! reserve of retries, earned by its own traffic. The reserve is deposited once, at the start.
//!
//! `marks` has the beginning of the window: the value of `deposited` at the start of each slot (a
//! tenth of the window). A token lives for at least the window and at most a tenth longer.

use crate::sync::{AtomicU64, Ordering};

pub(crate) const SLOTS: usize = 10;

#[derive(Debug)]
pub(crate) struct Window<const SLOTS: usize, const MARKS: usize> {
    deposited: AtomicU64,
    spent: AtomicU64,
    /// The latest slot that was entered. Slots are numbered from `MARKS`: the number of the slot a
    /// window earlier never underflows.
    slot: AtomicU64,
    /// The value of `deposited` at the start of slot `s`, at index `s % MARKS`. Readers read the
    /// latest `SLOTS + 1`; the remaining one, of the next slot, can be written meanwhile.
    marks: [AtomicU64; MARKS],
    reserve: u64,
}

/// The window that budgets use.
pub(crate) type Deposits = Window<SLOTS, { SLOTS + 2 }>;

impl<const SLOTS: usize, const MARKS: usize> Window<SLOTS, MARKS> {
    pub(crate) fn new(reserve: u64) -> Window<SLOTS, MARKS> {
        const { assert!(MARKS == SLOTS + 2) };
        Window {
            deposited: AtomicU64::new(reserve),
            spent: AtomicU64::new(0),
            slot: AtomicU64::new(MARKS as u64),
            marks: std::array::from_fn(|_| AtomicU64::new(reserve)),
            reserve,
        }
    }

    /// Adds tokens and returns `true`, if the latest slot is not over at `passed` (since the first
    /// slot began). Saves the division that [`deposit`](Window::deposit) needs for its slot.
    #[inline]
    pub(crate) fn deposit_within(&self, passed: u64, width: u64, tokens: u64) -> bool {
        let latest = self.slot.load(Ordering::Acquire) - MARKS as u64;
        let within = passed < (latest + 1).saturating_mul(width);
        if within {
            self.deposited.fetch_add(tokens, Ordering::AcqRel);
        }
        within
    }

    /// Adds tokens in slot `slot`, counted from 0.
    #[cold]
    pub(crate) fn deposit(&self, slot: u64, tokens: u64) {
        self.enter(slot);
        self.deposited.fetch_add(tokens, Ordering::AcqRel);
    }

    /// Takes `tokens`, and returns the slot to [give them back](Window::give_back) with. `None` if
    /// there are fewer.
    pub(crate) fn withdraw(&self, slot: u64, tokens: u64) -> Option<u64> {
        // See docs/decisions/0002-the-retry-budget-is-a-line-of-numbered-tokens.md.
        let slot = self.enter(slot);
        let kept_from = self.kept_from(slot);
        let mut spent = self.spent.load(Ordering::Acquire);
        loop {
            let from = spent.max(kept_from);
            // Read after `spent` and `kept_from`, which are never ahead of it.
            let available = self.deposited.load(Ordering::Acquire).saturating_sub(from);
            if available < tokens {
                return None;
            }
            match self.spent.compare_exchange_weak(
                spent,
                from + tokens,
                Ordering::AcqRel,
                Ordering::Acquire,
            ) {
                Ok(_) => return Some(slot),
                Err(now) => spent = now,
            }
        }
    }

    /// Gives back `tokens` that were withdrawn in slot `taken`, unless they have expired since.
    pub(crate) fn give_back(&self, taken: u64, tokens: u64) {
        if self.slot.load(Ordering::Acquire) <= taken.saturating_add(SLOTS as u64) {
            // `spent` is at least the sum of all withdrawals that are not given back: no underflow.
            self.spent.fetch_sub(tokens, Ordering::AcqRel);
        }
    }

    /// Returns the tokens that are kept of deposits that expire.
    pub(crate) const fn reserve(&self) -> u64 {
        self.reserve
    }

    /// Returns the tokens that one caller alone could withdraw in `slot`.
    pub(crate) fn available(&self, slot: u64) -> u64 {
        let slot = self.enter(slot);
        let from = self.spent.load(Ordering::Acquire).max(self.kept_from(slot));
        self.deposited.load(Ordering::Acquire).saturating_sub(from)
    }

    /// Returns the tokens that one caller alone could withdraw in the latest slot. Enters no other
    /// slot.
    #[cfg(feature = "tower")]
    pub(crate) fn left(&self) -> u64 {
        let from = self.kept_from(self.slot.load(Ordering::Acquire));
        let from = self.spent.load(Ordering::Acquire).max(from);
        self.deposited.load(Ordering::Acquire).saturating_sub(from)
    }

    /// Returns the slot, counted from 0, in which nothing is left of deposits but the reserve.
    #[cfg(feature = "tower")]
    pub(crate) fn over(&self) -> u64 {
        let latest = self.slot.load(Ordering::Acquire) - MARKS as u64;
        latest.saturating_add(SLOTS as u64 + 1)
    }

    /// Returns the first token that has not expired when `slot` is the latest.
    fn kept_from(&self, slot: u64) -> u64 {
        self.mark(slot - SLOTS as u64).load(Ordering::Acquire).saturating_sub(self.reserve)
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder is less than MARKS")]
    fn mark(&self, slot: u64) -> &AtomicU64 {
        &self.marks[(slot % MARKS as u64) as usize]
    }

    /// Makes `slot` (counted from 0) the latest, if it is later, and returns the latest. Takes at
    /// most `SLOTS + 1` steps.
    #[inline]
    fn enter(&self, slot: u64) -> u64 {
        let slot = slot.saturating_add(MARKS as u64);
        loop {
            let latest = self.slot.load(Ordering::Acquire);
            if slot <= latest {
                return latest;
            }
            if slot - latest < MARKS as u64 {
                self.step(latest, latest + 1, 1);
            } else {
                // The whole window has passed: every deposit is older than it.
                self.step(latest, slot, MARKS as u64);
            }
        }
    }

    /// Writes the marks of the `count` slots up to `next`, then makes `next` the latest. Does
    /// nothing if `latest` is not the latest any more.
    fn step(&self, latest: u64, next: u64, count: u64) {
        for slot in next - (count - 1)..=next {
            let mark = self.mark(slot);
            let old = mark.load(Ordering::Acquire);
            let deposited = self.deposited.load(Ordering::Acquire);
            // Still the latest, so `deposited` is what it was before `next` began.
            if self.slot.load(Ordering::Acquire) != latest {
                return;
            }
            // A thread that was suspended here finds the mark changed, or `deposited` unchanged:
            // marks only grow, so the exchange cannot take an old mark for a new one (no ABA).
            let _ = mark.compare_exchange(old, deposited, Ordering::AcqRel, Ordering::Acquire);
        }
        let _ = self.slot.compare_exchange(latest, next, Ordering::AcqRel, Ordering::Acquire);
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    fn window(reserve: u64) -> Deposits {
        Deposits::new(reserve)
    }

    #[test]
    fn deposits_live_for_the_window_and_at_most_a_slot_longer() {
        let tokens = window(0);
        tokens.deposit(0, 3);
        assert_eq!(tokens.available(10), 3);
        assert_eq!(tokens.available(11), 0);
    }

    #[test]
    fn expired_deposits_refill_the_reserve_and_no_more() {
        let tokens = window(2);
        assert!(tokens.withdraw(0, 2).is_some());
        assert!(tokens.withdraw(0, 1).is_none());
        tokens.deposit(0, 5);
        assert_eq!(tokens.available(0), 5);
        assert_eq!(tokens.available(1_000), 2);
        // Time alone earns nothing.
        assert!(tokens.withdraw(1_000, 2).is_some());
        assert_eq!(tokens.available(1_000_000), 0);
    }

    #[test]
    fn a_slot_that_is_already_over_counts_as_the_latest() {
        let tokens = window(0);
        tokens.deposit(20, 1);
        assert_eq!(tokens.available(3), 1);
    }

    #[test]
    fn giving_back_restores_and_an_expired_loan_is_not_revived() {
        let tokens = window(0);
        tokens.deposit(0, 2);
        let taken = tokens.withdraw(0, 2).unwrap();
        tokens.give_back(taken, 2);
        assert_eq!(tokens.available(0), 2);
        let taken = tokens.withdraw(0, 2).unwrap();
        tokens.deposit(11, 1);
        tokens.give_back(taken, 2);
        assert_eq!(tokens.available(11), 1);
    }

    #[test]
    fn a_deposit_is_within_the_latest_slot_or_enters_its_own() {
        let tokens = window(0);
        assert!(tokens.deposit_within(9, 10, 1) && !tokens.deposit_within(10, 10, 1));
        tokens.deposit(3, 1);
        assert!(tokens.deposit_within(39, 10, 1) && !tokens.deposit_within(40, 10, 1));
        // A late deposit counts with the latest.
        assert!(tokens.deposit_within(0, 10, 1));
        assert_eq!([3, 11, 14].map(|slot| tokens.available(slot)), [4, 3, 0]);
    }

    #[test]
    fn the_last_slot_there_is_does_not_overflow() {
        let tokens = window(1);
        tokens.deposit(u64::MAX, 1);
        assert_eq!(tokens.available(u64::MAX), 2);
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    /// A window of one slot, which keeps the state space of loom small.
    type Small = Window<1, 3>;

    #[test]
    fn loom_no_token_is_spent_twice() {
        loom::model(|| {
            let tokens = Arc::new(Small::new(1));
            let spend = |tokens: Arc<Small>| move || u64::from(tokens.withdraw(0, 1).is_some());
            let other = thread::spawn(spend(tokens.clone()));
            tokens.deposit(0, 1);
            let mine = spend(tokens.clone())();
            let both = mine + other.join().unwrap();
            // Two were there when the second thread ends at the latest: both get one.
            assert_eq!(both, 2);
            assert_eq!(tokens.available(0), 0);
        });
    }

    #[test]
    fn loom_spending_never_passes_deposits_while_the_window_moves() {
        loom::model(|| {
            let tokens = Arc::new(Small::new(0));
            tokens.deposit(0, 1);
            let mover = {
                let tokens = tokens.clone();
                thread::spawn(move || {
                    tokens.deposit(1, 1);
                    u64::from(tokens.withdraw(1, 1).is_some())
                })
            };
            let mine = u64::from(tokens.withdraw(0, 1).is_some());
            let theirs = mover.join().unwrap();
            assert_eq!(mine + theirs, 2, "both tokens are alive in slots 0 and 1");
            assert!(tokens.withdraw(1, 1).is_none());
        });
    }

    #[test]
    fn loom_an_expired_token_is_never_spent() {
        loom::model(|| {
            let tokens = Arc::new(Small::new(0));
            tokens.deposit(0, 1);
            let movers: Vec<_> = [2, 3]
                .into_iter()
                .map(|slot| {
                    let tokens = tokens.clone();
                    thread::spawn(move || assert!(tokens.withdraw(slot, 1).is_none()))
                })
                .collect();
            for mover in movers {
                mover.join().unwrap();
            }
            assert_eq!(tokens.available(0), 0);
        });
    }

    #[test]
    fn loom_a_loan_given_back_is_there_once() {
        loom::model(|| {
            let tokens = Arc::new(Small::new(1));
            let other = {
                let tokens = tokens.clone();
                thread::spawn(move || match tokens.withdraw(0, 1) {
                    Some(taken) => tokens.give_back(taken, 1),
                    None => {}
                })
            };
            let mine = tokens.withdraw(0, 1).is_some();
            other.join().unwrap();
            assert_eq!(tokens.available(0), u64::from(!mine));
        });
    }
}
