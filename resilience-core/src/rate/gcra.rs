//! The generic cell rate algorithm (GCRA) in integer nanoseconds.
//!
//! The state is one instant: the *mark*, at which the bucket would be full again (the theoretical
//! arrival time). A call of cost `c` at `t` conforms if `max(mark, t) + c·T <= t + B·T`, and moves
//! the mark to `max(mark, t) + c·T`, or further.
//!
//! **Bound.** Let calls be admitted from `t_1` to `t_n`, in the order of the lock. The mark was at
//! least `t_1` before the first call, each call moved it by at least its `c·T`, and the last found
//! it at `t_n + B·T − c_n·T` or before. Hence `Σ c·T <= B·T + t_n − t_1`: in every closed window of
//! length `w`, at most `B + w/T`. The proof needs only the order of the lock: threads may read
//! different clocks.
//!
//! **Giving back.** Let a call of cost `c` have left the mark at `g`, and be taken back later.
//! Without the call, the mark would be `c·T` lower, unless a later call found the bucket closer to
//! full. For a later call at `t` that found the mark at `m`, the bound allows to lower the mark by
//! at most `m − t`. Marks fall only by what is given back: with `r` for the sum given back since,
//! `m >= g − r`, and `t` is at most the latest time of any call. Hence `min(c·T, g − r − latest)`
//! can be given back, and `c·T` if no call was admitted since.

use super::quota::Shaping;
use super::span::FracNanos;
#[cfg(feature = "tokio")]
use super::wait_queue::WaitQueue;
use crate::clock::{MAX_WAIT, nanos};
#[cfg(feature = "tokio")]
use crate::keyed::allocation_size;

/// The state of one token bucket. Small, since there may be one for each of a million keys.
#[derive(Debug, Default)]
pub(crate) struct Gcra {
    mark: u64,
    /// The fraction of a nanosecond after `mark`.
    part: u32,
    /// The low 32 bits of the count of rejected calls. The high bits, which few limiters need, are
    /// in `Extra`.
    #[cfg(feature = "tokio")]
    rejected: u32,
    /// The latest time of an admission.
    latest: u64,
    pub(crate) admitted: u64,
    extra: Option<Box<Extra>>,
}

/// State that few buckets have.
#[derive(Debug, Default)]
struct Extra {
    paused_until: u64,
    /// The time of the last cold start.
    cold_at: u64,
    /// The sum given back under this quota.
    returned: FracNanos,
    /// The number of changes of the quota.
    changes: u64,
    /// The high 32 bits of the count of rejected calls.
    #[cfg(feature = "tokio")]
    rejected_high: u64,
    #[cfg(feature = "tokio")]
    wait_queue: WaitQueue,
}

impl Extra {
    /// Returns `true` if a call may have to wait although there are tokens.
    #[inline]
    fn may_hold_back(&self, now: u64) -> bool {
        #[cfg(feature = "tokio")]
        if self.wait_queue.queue.len() > 0 {
            return true;
        }
        self.paused_until > now
    }
}

/// Tokens that were taken, with the state that is needed to give them back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Grant {
    /// The distance that the mark was moved by.
    moved: FracNanos,
    /// The mark after the move, plus the sum given back before.
    gross: FracNanos,
    number: u64,
    /// The number of changes of the quota before.
    changes: u64,
}

/// The condition that a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LimitedBy {
    Tokens,
    Gap,
    Pause,
}

/// The first time at which a call may be admitted, and the condition that prevents an earlier one.
#[derive(Debug, Clone, Copy)]
struct Due {
    at: u64,
    limited_by: LimitedBy,
}

/// The result of [`Gcra::take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum GcraDecision {
    Granted(Grant),
    NotBefore(u64, LimitedBy),
    Never,
}

/// The calls ahead of a call in the queue.
#[cfg(feature = "tokio")]
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ahead {
    pub(super) tokens: u64,
    pub(super) calls: u64,
}

impl Gcra {
    /// Fast version of [`take`](Gcra::take), without a grant. `false` means "not decided": a pause,
    /// a gap, a warm-up or the queue may matter, or there are too few tokens.
    #[inline(always)]
    pub(crate) fn admit(&mut self, shaping: &Shaping, now: u64, cost: u32) -> bool {
        let quota = &shaping.quota;
        if shaping.is_shaped() || self.may_hold_back(now) {
            return false;
        }
        let time = quota.time_of(u64::from(cost));
        let mark = self.mark().or_later(now).plus(time, quota.count());
        let admitted = cost <= quota.burst() && mark.is_within(now, quota.full());
        if admitted {
            self.record_admission(now, mark);
        }
        admitted
    }

    #[inline]
    fn may_hold_back(&self, now: u64) -> bool {
        self.extra.as_ref().is_some_and(|extra| extra.may_hold_back(now))
    }

    pub(super) const fn mark(&self) -> FracNanos {
        FracNanos { ns: self.mark, part: self.part }
    }

    const fn set_mark(&mut self, FracNanos { ns, part }: FracNanos) {
        self.mark = ns;
        self.part = part;
    }

    #[inline]
    fn record_admission(&mut self, now: u64, mark: FracNanos) {
        self.set_mark(mark);
        self.latest = self.latest.max(now);
        self.admitted += 1;
    }

    /// Takes `cost` tokens, or returns the time before which there are not enough. Disregards the
    /// queue.
    pub(crate) fn take(&mut self, shaping: &Shaping, now: u64, cost: u32) -> GcraDecision {
        if cost > shaping.quota.burst() {
            return GcraDecision::Never;
        }
        let due = self.due(shaping, u64::from(cost));
        if now < due.at {
            return GcraDecision::NotBefore(due.at, due.limited_by);
        }
        GcraDecision::Granted(self.grant(shaping, now, cost))
    }

    /// Returns the time at which `cost` fits if no other call is admitted before. May be in the
    /// past.
    fn due(&self, shaping: &Shaping, cost: u64) -> Due {
        let quota = &shaping.quota;
        let time = quota.time_of(cost);
        // The mark of an idle bucket lies in the past: the bucket is full, and the cost at most the
        // burst.
        let tokens =
            self.mark().plus(time, quota.count()).minus(quota.full(), quota.count()).ceil();
        let shaped = self.shaped_due(shaping);
        if shaped.at > tokens { shaped } else { Due { at: tokens, limited_by: LimitedBy::Tokens } }
    }

    /// Returns the time from which the pause and the gap allow an admission.
    fn shaped_due(&self, shaping: &Shaping) -> Due {
        let gap = match shaping.min_gap {
            0 => 0,
            gap => self.latest.saturating_add(gap),
        };
        match self.paused_until() {
            pause if pause > gap => Due { at: pause, limited_by: LimitedBy::Pause },
            _ => Due { at: gap, limited_by: LimitedBy::Gap },
        }
    }

    fn grant(&mut self, shaping: &Shaping, now: u64, cost: u32) -> Grant {
        let count = shaping.quota.count();
        let time = shaping.quota.time_of(u64::from(cost));
        let moved = if shaping.warm_up == 0 { time } else { self.warming(shaping, now, time) };
        self.record_admission(now, self.mark().max(FracNanos::ns(now)).plus(moved, count));
        self.grant_of_last(shaping, moved)
    }

    /// Returns the grant of the last admission, which cost `cost` tokens and was not slowed by a
    /// warm-up.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(crate) fn last_grant(&self, shaping: &Shaping, cost: u32) -> Grant {
        self.grant_of_last(shaping, shaping.quota.time_of(u64::from(cost)))
    }

    #[inline(always)]
    fn grant_of_last(&self, shaping: &Shaping, moved: FracNanos) -> Grant {
        let gross = self.mark().plus(self.returned(), shaping.quota.count());
        Grant { moved, gross, number: self.admitted, changes: self.changes() }
    }

    /// Returns the sum given back since the quota was changed.
    #[inline]
    pub(super) fn returned(&self) -> FracNanos {
        self.extra.as_ref().map_or(FracNanos::ZERO, |extra| extra.returned)
    }

    #[inline]
    fn changes(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.changes)
    }

    #[cold]
    fn warming(&mut self, shaping: &Shaping, now: u64, time: FracNanos) -> FracNanos {
        let warm_until = self.mark().plus(FracNanos::ns(shaping.warm_up), shaping.quota.count());
        let extra = self.extra.get_or_insert_default();
        if FracNanos::ns(now) >= warm_until {
            extra.cold_at = now;
        }
        shaping.warming(time, now.saturating_sub(extra.cold_at))
    }

    /// Returns the time at which a call gets its `cost` tokens behind the calls `ahead`, if all are
    /// served as soon as possible. Exact, except for a gap between calls of different costs and for
    /// a warm-up, where the time is the earliest possible.
    #[cfg(feature = "tokio")]
    pub(super) fn expected(&self, shaping: &Shaping, now: u64, cost: u64, ahead: Ahead) -> u64 {
        let quota = &shaping.quota;
        let start = now.max(self.shaped_due(shaping).at);
        let all = quota.time_of(ahead.tokens.saturating_add(cost));
        let end = self.mark().max(FracNanos::ns(start)).plus(all, quota.count());
        let tokens = end.minus(quota.full(), quota.count()).ceil();
        tokens.max(start.saturating_add(shaping.min_gap.saturating_mul(ahead.calls)))
    }

    /// Gives back as many unused tokens as the bound allows. See the [module](self).
    pub(crate) fn give_back(&mut self, shaping: &Shaping, grant: Grant) {
        // See docs/decisions/0008-a-refund-returns-what-can-be-proved.md.
        let count = shaping.quota.count();
        // The marks of two quotas do not compare.
        if grant.changes != self.changes() {
            return;
        }
        // The state is as before the call, so that the call before it can be taken back whole as
        // well.
        if grant.number == self.admitted {
            self.admitted -= 1;
            self.set_mark(self.mark().minus(grant.moved, count));
            return;
        }
        let returned = self.returned();
        let latest = FracNanos::ns(self.latest).plus(returned, count);
        let back = grant.moved.min(grant.gross.minus(latest, count));
        self.extra.get_or_insert_default().returned = returned.plus(back, count);
        self.set_mark(self.mark().minus(back, count));
    }

    /// Replaces the quota. Used tokens stay used for at most a year, even if they are more than the
    /// new burst: otherwise a change and its reversal would refill the bucket.
    pub(crate) fn change(&mut self, old: &Shaping, new: &Shaping, now: u64) {
        let old = &old.quota;
        let new = &new.quota;
        // Under an equal quota the marks of grants still compare, and they can be given back.
        if old == new {
            return;
        }
        let used = self.mark().minus(FracNanos::ns(now), old.count());
        let mark = if used == FracNanos::ZERO {
            // Full. A warm-up needs the time since when.
            FracNanos::ns(self.mark().ceil())
        } else {
            let used = old.translate(used, new).min(FracNanos::ns(nanos(MAX_WAIT)));
            FracNanos::ns(now).plus(used, new.count())
        };
        self.set_mark(mark);
        let extra = self.extra.get_or_insert_default();
        extra.changes += 1;
        extra.returned = FracNanos::ZERO;
    }

    /// Admits no call before `until`. A pause in force is not shortened.
    pub(crate) fn pause(&mut self, until: u64) {
        let extra = self.extra.get_or_insert_default();
        extra.paused_until = extra.paused_until.max(until);
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn resume(&mut self) {
        if let Some(extra) = &mut self.extra {
            extra.paused_until = 0;
        }
    }

    pub(super) fn paused_until(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.paused_until)
    }

    /// Returns the tokens in use, rounded up.
    pub(crate) fn used(&self, shaping: &Shaping, now: u64) -> u64 {
        let used = self.mark().minus(FracNanos::ns(now), shaping.quota.count());
        let (tokens, rest) = shaping.quota.tokens_in(used);
        u64::try_from(tokens + u128::from(rest > 0)).unwrap_or(u64::MAX)
    }

    /// Returns the most tokens that a call could take at `now` if no other waits: 0 during a pause
    /// or a gap.
    pub(super) fn available(&self, shaping: &Shaping, now: u64) -> u32 {
        if self.shaped_due(shaping).at > now {
            return 0;
        }
        let used = u32::try_from(self.used(shaping, now)).unwrap_or(u32::MAX);
        shaping.quota.burst().saturating_sub(used)
    }

    /// Returns the time from which the state equals that of a new bucket: the bucket is full and
    /// cold, and the gap after the latest call is over.
    #[cfg(feature = "tokio")]
    pub(super) fn as_new_at(&self, shaping: &Shaping) -> u64 {
        let cold = self.mark().ceil().saturating_add(shaping.warm_up);
        cold.max(self.latest.saturating_add(shaping.min_gap))
    }

    #[cfg(feature = "tokio")]
    pub(super) fn rejected(&self) -> u64 {
        let high = self.extra.as_ref().map_or(0, |extra| extra.rejected_high);
        high << 32 | u64::from(self.rejected)
    }

    #[cfg(feature = "tokio")]
    pub(super) fn set_rejected(&mut self, rejected: u64) {
        let high = rejected >> 32;
        self.rejected = (rejected & u64::from(u32::MAX)) as u32;
        if high > 0 || self.extra.is_some() {
            self.extra.get_or_insert_default().rejected_high = high;
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn wait_queue(&self) -> Option<&WaitQueue> {
        self.extra.as_ref().map(|extra| &extra.wait_queue)
    }

    #[cfg(feature = "tokio")]
    pub(super) fn wait_queue_mut(&mut self) -> &mut WaitQueue {
        &mut self.extra.get_or_insert_default().wait_queue
    }

    /// Returns a copy without the queue.
    #[cfg(feature = "tokio")]
    pub(crate) fn without_queue(&self) -> Gcra {
        let alone = |extra: &Extra| Box::new(Extra { wait_queue: WaitQueue::default(), ..*extra });
        Gcra { extra: self.extra.as_deref().map(alone), ..*self }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn heap_bytes(&self) -> usize {
        let extra =
            |extra: &Extra| allocation_size(size_of::<Extra>()) + extra.wait_queue.heap_bytes();
        self.extra.as_deref().map_or(0, extra)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::bucket::START;
    use super::super::quota::Quota;
    use super::*;

    const S: u64 = 1_000_000_000;

    fn granted(gcra: &mut Gcra, shaping: &Shaping, now: u64) -> Option<Grant> {
        match gcra.take(shaping, START + now, 1) {
            GcraDecision::Granted(grant) => Some(grant),
            _ => None,
        }
    }

    #[test]
    fn an_unused_grant_is_given_back_whole() {
        let shaping = Shaping::new(Quota::per_minute(7).unwrap().with_burst(1).unwrap());
        let mut gcra = Gcra::default();
        let grant = granted(&mut gcra, &shaping, 0).unwrap();
        assert!(granted(&mut gcra, &shaping, 0).is_none());
        gcra.give_back(&shaping, grant);
        assert!(granted(&mut gcra, &shaping, 0).is_some());
    }

    /// A bucket with a burst of one is full at 5 s anyway.
    #[test]
    fn tokens_that_came_back_by_time_are_not_given_back_again() {
        let shaping = Shaping::new(Quota::per_second(1).unwrap());
        let mut gcra = Gcra::default();
        let old = granted(&mut gcra, &shaping, 0).unwrap();
        assert!(granted(&mut gcra, &shaping, 5 * S).is_some());
        gcra.give_back(&shaping, old);
        assert!(granted(&mut gcra, &shaping, 5 * S + 1).is_none());
        assert!(granted(&mut gcra, &shaping, 6 * S).is_some());
    }

    /// Times come out of order: an admission at 5 s bounds the tokens that an earlier call can give
    /// back.
    #[test]
    fn a_late_stamp_does_not_make_an_old_call_worth_more() {
        let shaping = Shaping::new(Quota::per_second(1).unwrap().with_burst(10).unwrap());
        let mut gcra = Gcra::default();
        let old = granted(&mut gcra, &shaping, 0).unwrap();
        granted(&mut gcra, &shaping, 5 * S).unwrap();
        granted(&mut gcra, &shaping, 0).unwrap();
        gcra.give_back(&shaping, old);
        assert_eq!(gcra.used(&shaping, START + 5 * S), 2);
    }

    #[test]
    fn the_newest_first_all_are_given_back_whole() {
        let shaping = Shaping::new(Quota::per_second(3).unwrap());
        // The oldest first, the last gives back nothing.
        for (oldest_first, used) in [(false, 0), (true, 1)] {
            let mut gcra = Gcra::default();
            let mut grants = [(); 3].map(|()| granted(&mut gcra, &shaping, 0).unwrap());
            if !oldest_first {
                grants.reverse();
            }
            for grant in grants {
                gcra.give_back(&shaping, grant);
            }
            assert!(gcra.used(&shaping, START) <= used, "{oldest_first}");
        }
    }

    proptest! {
        /// The fast and the slow path make the same decisions, and leave the same state.
        #[test]
        fn both_paths_agree(
            (count, period, burst) in (1..40_u32, 1..5_000_u64, 1..9_u32),
            (gap, warm_up) in (prop::sample::select(vec![0, 0, 7]), prop::sample::select(vec![0, 0, 300])),
            calls in prop::collection::vec((0..400_u64, 0..11_u32, any::<bool>(), 0..9_u8), 0..80),
        ) {
            let ns = Duration::from_nanos;
            let quota = Quota::per(count, ns(period)).unwrap().with_burst(burst).unwrap();
            let shaping = Shaping::new(quota).with_min_gap(ns(gap)).unwrap().with_warm_up(ns(warm_up)).unwrap();
            let mut short = Gcra::default();
            let mut long = Gcra::default();
            let mut now = START;
            for (step, cost, forwards, other) in calls {
                // Times come out of order.
                now = if forwards { now + step } else { now - step.min(now - START) };
                match other {
                    0 => [&mut short, &mut long].map(|gcra| gcra.pause(now + step)),
                    1 => [&mut short, &mut long].map(|gcra| gcra.change(&shaping, &shaping, now)),
                    _ => [(), ()],
                };
                let admitted = short.admit(&shaping, now, cost)
                    || matches!(short.take(&shaping, now, cost), GcraDecision::Granted(_));
                let granted = matches!(long.take(&shaping, now, cost), GcraDecision::Granted(_));
                prop_assert_eq!(admitted, granted);
                prop_assert_eq!(format!("{short:?}"), format!("{long:?}"));
            }
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn more_than_four_billion_are_counted() {
        let mut gcra = Gcra::default();
        for count in [1, u64::from(u32::MAX), 1 << 32, (1 << 32) - 1, 0, (7 << 32) + 5] {
            gcra.set_rejected(count);
            assert_eq!(gcra.rejected(), count);
        }
    }

    #[test]
    fn the_state_is_small() {
        assert!(size_of::<Gcra>() <= 40, "{}", size_of::<Gcra>());
    }
}
