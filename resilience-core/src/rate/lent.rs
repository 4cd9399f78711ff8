//! What a bucket has lent to [threads](super::lease), and how it is called in.
//!
//! Whoever decides by the bucket calls in what is lent first: what was taken goes into it as if each call
//! had come by the lock, in the order of their times, and what was not is there as before. So nobody sees
//! a bucket with less or more in it, nobody is refused for what others hold, and no token is lent while
//! somebody waits.
//!
//! **Bound.** Let `n` tokens be there at `s`, lent for calls from `s` on: the mark is at most
//! `s + B·T − n·T`, and `n <= B`. In the order of their times, the `j`-th of `k <= n` calls finds the mark
//! at `m + (j−1)·T` for the mark `m` then, or at `t_i + (j−i)·T` for one `t_i <= t_j` before it. Either is
//! at most `t_j + B·T − T`, since `t_j >= s`: so each conforms, and the proof in [`meter`](super::meter)
//! is of these calls as well.

use std::sync::Arc;

use super::gate::At;
use super::lease::{self, Lease, LoanTerms, MOST};
use super::meter::Meter;
use super::quota::Pace;
use super::span::Span;
use super::terms::{self, Terms};

/// Fewer are not worth it.
const FEWEST: u64 = 16;
/// The most threads that one bucket lends to.
const THREADS: usize = 64;
/// In nanoseconds: the stamp of a call may be so much older than that of one that was decided before it.
const LATE: u64 = 10_000;

/// Who was lent how much each. Dropped, they are nobody's.
#[derive(Debug, Default)]
pub(crate) struct Lent {
    to: Vec<Loan>,
    each: usize,
}

#[derive(Debug)]
struct Loan {
    lease: Arc<Lease>,
    /// The place of the latest call that was not looked at yet. Those before it are behind it.
    next: usize,
}

impl Lent {
    #[inline]
    pub(super) const fn is_to_nobody(&self) -> bool {
        self.each == 0
    }

    /// Whether another thread took some of it.
    pub(super) fn is_to_others(&self) -> bool {
        self.to.iter().any(|loan| !lease::is_own(&loan.lease))
    }

    /// One more, if there is room.
    pub(super) fn join(&mut self, lease: Arc<Lease>) {
        if self.to.len() < THREADS {
            self.to.push(Loan { lease, next: 0 });
        } else {
            lease.release();
        }
    }

    /// Calls in all of it. Who took none of it is nobody's. How many took one.
    fn call_in(&mut self) -> u64 {
        let each = self.each;
        let mut calls = 0;
        self.to.retain_mut(|loan| {
            loan.next = loan.lease.call_in();
            if loan.next == each {
                loan.lease.release();
            }
            calls += each.saturating_sub(loan.next) as u64;
            loan.next < each
        });
        calls
    }

    /// When the latest call was that was not looked at yet.
    fn latest(&mut self) -> Option<u64> {
        let left = self.to.iter_mut().filter(|loan| loan.next < self.each);
        let times = left.map(|loan| (loan.lease.time(loan.next), loan));
        let (time, loan) = times.max_by_key(|(time, _)| *time)?;
        loan.next += 1;
        Some(time)
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.to.capacity() * size_of::<Loan>()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.to.iter().for_each(|loan| loan.lease.release());
    }
}

impl Meter {
    /// Calls in all that is lent. Those who took some of it, to be [lent](Meter::lend) more.
    #[inline]
    pub(super) fn call_in(&mut self, pace: &Pace) -> Lent {
        if self.is_lent() { self.call_all_in(pace) } else { Lent::default() }
    }

    #[cold]
    fn call_all_in(&mut self, pace: &Pace) -> Lent {
        let mut lent = std::mem::take(self.lent_mut());
        let calls = lent.call_in();
        if let Some(latest) = lent.latest() {
            let mark = self.after(pace, calls, latest, &mut lent);
            self.admitted_until(latest, calls, mark);
        }
        lent.each = 0;
        lent
    }

    /// Where so many calls leave the mark, of which the latest was then. If none found the bucket full, it is moved by all
    /// of them; if one did, by that one and those after it, from its time on.
    fn after(&self, pace: &Pace, calls: u64, latest: u64, lent: &mut Lent) -> Span {
        let (quota, count) = (&pace.quota, pace.quota.count());
        let all = quota.time_of(calls);
        let mut mark = self.mark().plus(all, count);
        let (mut next, mut from) = (Some(latest), 0);
        while let Some(time) = next {
            from += 1;
            mark = mark.max(Span::ns(time).plus(quota.time_of(from), count));
            // Those that are left were no later, and are no more than all.
            let could_move_it = Span::ns(time).plus(all, count) > mark;
            next = if could_move_it { lent.latest() } else { None };
        }
        mark
    }

    /// Lends what is there to these, if it is enough to be worth it, and nothing but tokens counts.
    pub(super) fn lend(&mut self, at: At<'_>, terms: &Terms, mut lent: Lent) {
        // In this order: a change in between is seen in one of the two.
        let changes = terms::changes();
        let is_plain = terms.are_current() && !at.pace.is_shaped() && !self.holds(at.now);
        let since = at.now.max(self.latest()).saturating_sub(LATE);
        let used = self.used(at.pace, since);
        let there = u64::from(at.pace.quota.burst()).saturating_sub(used);
        let each = there.checked_div(lent.to.len() as u64).unwrap_or(0);
        if !is_plain || each < FEWEST {
            return;
        }
        lent.each = each.min(MOST as u64) as usize;
        let (returned, quotas) = self.returned();
        let (tokens, mark) = (lent.each, self.mark());
        let terms = LoanTerms { since, changes, tokens, mark, returned, quotas };
        lent.to.iter().for_each(|loan| loan.lease.lend(&terms));
        *self.lent_mut() = lent;
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::RateLimiter;
    use super::super::bucket::START;
    use super::super::meter::Verdict;
    use super::super::quota::Quota;
    use super::*;
    use crate::name::Name;
    use crate::observe::Listener;

    /// What a caller of `Meter` can tell.
    fn state(meter: &Meter) -> (Span, u64, u64) {
        (meter.mark(), meter.latest(), meter.admitted)
    }

    fn terms(quota: Quota) -> Arc<Terms> {
        let config = RateLimiter::builder().quota(quota).config().unwrap();
        Terms::new(Name::from_static("rate"), Listener::default(), config)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        /// Three threads, beside a bucket that lends nothing: the same answers, and the same state once all is
        /// called in.
        #[test]
        fn as_if_all_had_come_by_the_lock(
            (count, period, burst) in (1..40_u32, 1..2_000_u64, 1..400_u32),
            pace_of_calls in 0..3_u32,
            calls in prop::collection::vec((0..60_u64, 0..3_usize, 0..40_u8), 0..900),
            which in any::<prop::sample::Index>(),
        ) {
            let quota = Quota::per(count, Duration::from_nanos(period)).unwrap();
            let terms = terms(quota.with_burst(burst).unwrap());
            let pace = terms.pace();
            let (mut lends, mut plain) = (Meter::default(), Meter::default());
            let leases = [(); 3].map(|()| Arc::new(Lease::new()));
            let (mut grants, mut of_threads) = (Vec::new(), Vec::new());
            let mut now = START;
            for (step, thread, other) in calls {
                now += step >> (2 * pace_of_calls);
                let at = At { pace, now };
                if other == 0 {
                    drop(lends.call_in(pace));
                    let taken = [&mut lends, &mut plain].map(|meter| meter.take(pace, now, 2));
                    prop_assert_eq!(taken[0], taken[1]);
                    if let Verdict::Granted(grant) = taken[0] {
                        grants.push(grant);
                    }
                } else if other == 1 && !grants.is_empty() {
                    drop(lends.call_in(pace));
                    let grant = grants.swap_remove(now as usize % grants.len());
                    lends.give_back(pace, grant);
                    plain.give_back(pace, grant);
                } else {
                    let expected = plain.try_pass(at, 1).ok();
                    let lease = &leases[thread];
                    let kept = |taken| of_threads.push((taken, expected));
                    if lease.take(now, terms::changes(), kept) {
                        prop_assert!(expected.is_some(), "taken, and not there");
                        continue;
                    }
                    let mut lent = lends.call_in(pace);
                    prop_assert_eq!(lends.try_pass(at, 1).ok(), expected);
                    prop_assert_eq!(state(&lends), state(&plain));
                    if lease.claim() {
                        lent.join(lease.clone());
                    }
                    lends.lend(at, &terms, lent);
                }
            }
            drop(lends.call_in(pace));
            prop_assert_eq!(state(&lends), state(&plain));
            // Less is known of where these left the mark: they give back no more for it.
            if !of_threads.is_empty() {
                let (taken, expected) = which.get(&of_threads);
                lends.give_back(pace, *taken);
                plain.give_back(pace, expected.unwrap());
                prop_assert!(lends.mark() >= plain.mark(), "{taken:?} is not {expected:?}");
            }
        }
    }

    /// In any order of stamps, as late as they are allowed to be, no more than are there.
    #[test]
    fn late_stamps_find_their_tokens() {
        let terms = terms(Quota::per_second(1_000_000).unwrap().with_burst(40).unwrap());
        let (pace, mut meter) = (terms.pace(), Meter::default());
        let lease = Arc::new(Lease::new());
        let mut lent = meter.call_in(pace);
        assert!(lease.claim());
        lent.join(lease.clone());
        meter.take(pace, START, 5);
        meter.lend(At { pace, now: START }, &terms, lent);
        let took = (0..100).filter(|_| lease.take(START - LATE, terms::changes(), drop)).count();
        // Five are out, and so are ten that have come back since the stamp.
        assert!(took == 25 || took == 0, "{took}, or a configuration was changed meanwhile");
        drop(meter.call_in(pace));
        assert_eq!(meter.used(pace, START), 5 + took as u64);
    }

    #[test]
    fn nothing_is_lent_where_little_is_there() {
        let terms = terms(Quota::per_second(15).unwrap());
        let (pace, mut meter) = (terms.pace(), Meter::default());
        let mut lent = Lent::default();
        lent.join(Arc::new(Lease::new()));
        meter.lend(At { pace, now: START }, &terms, lent);
        assert!(!meter.is_lent());
    }

    #[test]
    fn there_is_a_bound_on_threads() {
        let mut lent = Lent::default();
        (0..2 * THREADS).for_each(|_| lent.join(Arc::new(Lease::new())));
        assert_eq!(lent.to.len(), THREADS);
    }
}
