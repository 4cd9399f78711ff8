//! The arithmetic of a bucket, in nanoseconds on a line of its owner's.
//!
//! Everything is kept as one instant: the *mark*, at which the bucket would be full again (GCRA's
//! theoretical arrival time). A call of cost `c` at `t` conforms if `max(mark, t) + c·T <= t + B·T`, and
//! moves the mark to `max(mark, t) + c·T`, or further.
//!
//! **Bound.** Let calls be admitted from `t_1` to `t_n`, in the order of the lock. The mark was at least
//! `t_1` before the first, each moved it by at least its `c·T`, and the last found it at
//! `t_n + B·T − c_n·T` or before. So `Σ c·T <= B·T + t_n − t_1`: in every closed window of length `w`, at
//! most `B + w/T`. This needs no clock that agrees between threads, only the order of the lock.
//!
//! **Giving back.** Let a call of cost `c` be taken back, that left the mark at `g`. Without it the mark
//! would be `c·T` lower, unless a later call found the bucket closer to full than that: for a call at `t`
//! that found the mark at `m`, the bound among it and those after it needs the mark to be no lower than
//! what they add to `t`, which is `m − t` below where it is. Marks only fall by what is given back, so
//! with `r` for what was since, `m >= g − r`, and `t` is at most the latest time of any call. Hence
//! `min(c·T, g − r − latest)` can be given back, and if nobody was admitted since, `c·T`. A lower `g` gives back less
//! and is as safe: that of a token that was [lent](super::lent) is not known, only that it was at least `t + T`, and `j·T` after
//! the mark when they were lent for the `j`-th that its thread took.

#[cfg(feature = "tokio")]
use super::gate::Desk;
#[cfg(feature = "tokio")]
use super::lent::Lent;
use super::quota::Pace;
use super::span::Span;
use crate::clock::{MAX_WAIT, nanos};
#[cfg(feature = "tokio")]
use crate::keyed::allocation_size;

/// A bucket. Small, since there may be one for each of a million keys: what few of them need is boxed.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    mark: u64,
    /// Of a nanosecond, after the mark.
    part: u32,
    /// Calls that were sent away, as far as they go into 32 bits: a key that is flooded takes no more
    /// memory than one that is not.
    #[cfg(feature = "tokio")]
    rejected: u32,
    /// The latest time of an admission.
    latest: u64,
    pub(crate) admitted: u64,
    rare: Option<Box<Rare>>,
}

#[derive(Debug, Default)]
struct Rare {
    paused_until: u64,
    /// When the bucket was last started cold.
    cold_at: u64,
    /// All that was given back.
    returned: Span,
    /// How often the quota was changed.
    changes: u64,
    /// In 2^32, how many were sent away.
    #[cfg(feature = "tokio")]
    rejected: u64,
    /// Those who wait.
    #[cfg(feature = "tokio")]
    desk: Desk,
    /// What threads may take by themselves.
    #[cfg(feature = "tokio")]
    lent: Lent,
}

impl Rare {
    /// Whether it may keep somebody back who has tokens, or has to be looked at first.
    #[inline]
    fn holds(&self, now: u64) -> bool {
        #[cfg(feature = "tokio")]
        if self.desk.queue.len() > 0 || !self.lent.is_to_nobody() {
            return true;
        }
        self.paused_until > now
    }

    /// Whether it could as well not be there.
    #[cfg(feature = "tokio")]
    fn is_as_new(&self) -> bool {
        let numbers = self.paused_until | self.cold_at | self.changes | self.rejected;
        let (desk, lent) = (&self.desk, &self.lent);
        numbers == 0 && self.returned == Span::ZERO && desk.is_as_new() && lent.is_to_nobody()
    }
}

/// What was taken, for giving it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Grant {
    /// By the lock.
    Taken {
        /// What the mark was moved by.
        moved: Span,
        /// Where it was moved to, as if nothing had ever been given back.
        gross: Span,
        number: u64,
        changes: u64,
    },
    /// A token that a thread took by itself.
    #[cfg(feature = "tokio")]
    Lent {
        at: u64,
        /// Which it was of those that the thread was lent.
        nth: u32,
        /// Where the mark was then, and what had been given back.
        mark: Span,
        returned: Span,
        changes: u64,
    },
}

impl Grant {
    /// How often the quota had been changed.
    const fn changes(&self) -> u64 {
        match self {
            Grant::Taken { changes, .. } => *changes,
            #[cfg(feature = "tokio")]
            Grant::Lent { changes, .. } => *changes,
        }
    }
}

/// Why not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hold {
    Tokens,
    Gap,
    Pause,
}

/// What a bucket says to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Granted(Grant),
    NotBefore(u64, Hold),
    Never,
}

impl Meter {
    /// Takes tokens where nothing but tokens counts, and puts nothing together to give them back by. If
    /// not, [`take`](Meter::take) may, and knows why not.
    #[inline(always)]
    pub(crate) fn admit(&mut self, pace: &Pace, now: u64, cost: u32) -> bool {
        let quota = &pace.quota;
        if pace.is_shaped() || self.holds(now) {
            return false;
        }
        let time = quota.time_of(u64::from(cost));
        let mark = self.mark().or_later(now).plus(time, quota.count());
        let admitted = cost <= quota.burst() && mark.is_within(now, quota.full());
        if admitted {
            self.admitted_at(now, mark);
        }
        admitted
    }

    /// Whether tokens may not be all that counts.
    #[inline]
    pub(super) fn holds(&self, now: u64) -> bool {
        self.rare.as_ref().is_some_and(|rare| rare.holds(now))
    }

    /// So many were let through, the latest of them then, and left the mark there.
    #[cfg(feature = "tokio")]
    pub(super) fn admitted_until(&mut self, latest: u64, calls: u64, mark: Span) {
        self.admitted_at(latest, mark);
        self.admitted += calls - 1;
    }

    /// A limiter that has lent something takes no more memory after that than before.
    #[cfg(feature = "tokio")]
    pub(super) fn tidy(&mut self) {
        if self.rare.as_ref().is_some_and(|rare| rare.is_as_new()) {
            self.rare = None;
        }
    }

    /// The latest time of an admission.
    #[cfg(feature = "tokio")]
    pub(super) const fn latest(&self) -> u64 {
        self.latest
    }

    #[cfg(feature = "tokio")]
    #[inline]
    pub(super) fn is_lent(&self) -> bool {
        self.rare.as_ref().is_some_and(|rare| !rare.lent.is_to_nobody())
    }

    #[cfg(feature = "tokio")]
    pub(super) fn lent_mut(&mut self) -> &mut Lent {
        &mut self.rare.get_or_insert_default().lent
    }

    #[inline]
    pub(super) const fn mark(&self) -> Span {
        Span { ns: self.mark, part: self.part }
    }

    #[inline]
    const fn set_mark(&mut self, Span { ns, part }: Span) {
        (self.mark, self.part) = (ns, part);
    }

    #[inline]
    fn admitted_at(&mut self, now: u64, mark: Span) {
        self.set_mark(mark);
        self.latest = self.latest.max(now);
        self.admitted += 1;
    }

    #[inline]
    pub(crate) fn take(&mut self, pace: &Pace, now: u64, cost: u32) -> Verdict {
        let quota = &pace.quota;
        if cost > quota.burst() {
            return Verdict::Never;
        }
        let (ready, hold) = self.due(pace, u64::from(cost));
        if now < ready {
            return Verdict::NotBefore(ready, hold);
        }
        Verdict::Granted(self.grant(pace, now, cost))
    }

    /// When `cost` fits, were nobody admitted before; not necessarily later than now.
    #[inline]
    fn due(&self, pace: &Pace, cost: u64) -> (u64, Hold) {
        let quota = &pace.quota;
        let time = quota.time_of(cost);
        // An idle mark lies in the past; the bucket is full, and the cost no more than that.
        let tokens =
            self.mark().plus(time, quota.count()).minus(quota.full(), quota.count()).ceil();
        let (gate, hold) = self.gate(pace);
        if gate > tokens { (gate, hold) } else { (tokens, Hold::Tokens) }
    }

    /// When there may be an admission, tokens aside.
    #[inline]
    fn gate(&self, pace: &Pace) -> (u64, Hold) {
        let gap = if pace.min_gap == 0 { 0 } else { self.latest.saturating_add(pace.min_gap) };
        match self.paused_until() {
            pause if pause > gap => (pause, Hold::Pause),
            _ => (gap, Hold::Gap),
        }
    }

    #[inline]
    fn grant(&mut self, pace: &Pace, now: u64, cost: u32) -> Grant {
        let count = pace.quota.count();
        let time = pace.quota.time_of(u64::from(cost));
        let moved = if pace.warm_up == 0 { time } else { self.warming(pace, now, time) };
        self.admitted_at(now, self.mark().max(Span::ns(now)).plus(moved, count));
        self.moved_by(pace, moved)
    }

    /// What the newest admission took, where nothing but tokens counted.
    #[cfg(feature = "tokio")]
    #[inline(always)]
    pub(crate) fn newest(&self, pace: &Pace, cost: u32) -> Grant {
        self.moved_by(pace, pace.quota.time_of(u64::from(cost)))
    }

    /// What the newest admission took, which moved the mark by so much.
    #[inline(always)]
    fn moved_by(&self, pace: &Pace, moved: Span) -> Grant {
        let (returned, changes) = self.returned();
        let gross = self.mark().plus(returned, pace.quota.count());
        Grant::Taken { moved, gross, number: self.admitted, changes }
    }

    /// What was given back since the quota was changed, and how often it was.
    #[inline]
    pub(super) fn returned(&self) -> (Span, u64) {
        self.rare.as_ref().map_or((Span::ZERO, 0), |rare| (rare.returned, rare.changes))
    }

    #[cold]
    fn warming(&mut self, pace: &Pace, now: u64, time: Span) -> Span {
        let cold = Span::ns(now) >= self.mark().plus(Span::ns(pace.warm_up), pace.quota.count());
        let rare = self.rare.get_or_insert_default();
        if cold {
            rare.cold_at = now;
        }
        pace.warming(time, now.saturating_sub(rare.cold_at))
    }

    /// When the last of those who wait, with `ahead` tokens to be taken before it by `callers` others,
    /// gets its `cost`, if all of them come as soon as they may. Exact, but for a gap between costs that
    /// differ and for a warm-up, where it is the earliest that it can be.
    #[cfg(feature = "tokio")]
    pub(super) fn expected(&self, pace: &Pace, now: u64, cost: u64, ahead: (u64, u64)) -> u64 {
        let (tokens_ahead, callers) = ahead;
        let quota = &pace.quota;
        let start = now.max(self.gate(pace).0);
        let all = quota.time_of(tokens_ahead.saturating_add(cost));
        let end = self.mark().max(Span::ns(start)).plus(all, quota.count());
        let tokens = end.minus(quota.full(), quota.count()).ceil();
        tokens.max(start.saturating_add(pace.min_gap.saturating_mul(callers)))
    }

    /// Gives back as much of what was never used as is safe. See the [module](self).
    pub(crate) fn give_back(&mut self, pace: &Pace, grant: Grant) {
        let count = pace.quota.count();
        let (returned, changes) = self.returned();
        // The marks of another quota are not to be compared with.
        if grant.changes() != changes {
            return;
        }
        let (moved, gross) = match grant {
            // As if it had never been: those before it may be taken back whole as well.
            Grant::Taken { moved, number, .. } if number == self.admitted => {
                self.admitted -= 1;
                self.set_mark(self.mark().minus(moved, count));
                return;
            }
            Grant::Taken { moved, gross, .. } => (moved, gross),
            #[cfg(feature = "tokio")]
            Grant::Lent { at, nth, mark, returned: before, .. } => {
                let moved = pace.quota.time_of(1);
                let from_mark = mark.plus(pace.quota.time_of(nth.into()), count);
                let from_call = Span::ns(at).plus(moved, count);
                (moved, from_mark.max(from_call).plus(before, count))
            }
        };
        let later = Span::ns(self.latest).plus(returned, count);
        let back = moved.min(gross.minus(later, count));
        self.rare.get_or_insert_default().returned = returned.plus(back, count);
        self.set_mark(self.mark().minus(back, count));
    }

    /// Goes by another pace from now on. Tokens that are used stay used, however
    /// many more than the new burst they are (forgiven, they could be had again by changing back), but for
    /// a year at most.
    pub(crate) fn change(&mut self, old: &Pace, new: &Pace, now: u64) {
        let (old, new) = (&old.quota, &new.quota);
        // The marks of grants still compare: they can be given back.
        if old == new {
            return;
        }
        let used = self.mark().minus(Span::ns(now), old.count());
        let mark = if used == Span::ZERO {
            // Full; since when is what a warm-up asks for.
            Span::ns(self.mark().ceil())
        } else {
            Span::ns(now).plus(old.translate(used, new).min(Span::ns(nanos(MAX_WAIT))), new.count())
        };
        self.set_mark(mark);
        let rare = self.rare.get_or_insert_default();
        rare.changes += 1;
        rare.returned = Span::ZERO;
    }

    /// Nobody is admitted before `until`. An earlier end does not shorten a pause.
    pub(crate) fn pause(&mut self, until: u64) {
        let rare = self.rare.get_or_insert_default();
        rare.paused_until = rare.paused_until.max(until);
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn resume(&mut self) {
        if let Some(rare) = &mut self.rare {
            rare.paused_until = 0;
        }
    }

    #[inline]
    pub(super) fn paused_until(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.paused_until)
    }

    /// Tokens that are not back yet, rounded up.
    pub(crate) fn used(&self, pace: &Pace, now: u64) -> u64 {
        let (tokens, rest) =
            pace.quota.tokens_in(self.mark().minus(Span::ns(now), pace.quota.count()));
        u64::try_from(tokens + u128::from(rest > 0)).unwrap_or(u64::MAX)
    }

    /// Returns the most that a call could take at `now`, others who wait aside: nothing during a pause or a
    /// gap.
    pub(super) fn available(&self, pace: &Pace, now: u64) -> u32 {
        if self.gate(pace).0 > now {
            return 0;
        }
        let used = u32::try_from(self.used(pace, now)).unwrap_or(u32::MAX);
        pace.quota.burst().saturating_sub(used)
    }

    /// Returns when it is as if no call had ever come: the bucket is full, the gap after the latest call is
    /// over, and the bucket has been full for as long as makes it cold.
    #[cfg(feature = "tokio")]
    pub(super) fn as_new_at(&self, pace: &Pace) -> u64 {
        let cold = self.mark().ceil().saturating_add(pace.warm_up);
        cold.max(self.latest.saturating_add(pace.min_gap))
    }

    /// Calls that were sent away.
    #[cfg(feature = "tokio")]
    pub(super) fn rejected(&self) -> u64 {
        self.rare.as_ref().map_or(0, |rare| rare.rejected) << 32 | u64::from(self.rejected)
    }

    #[cfg(feature = "tokio")]
    pub(super) fn set_rejected(&mut self, rejected: u64) {
        let (high, low) = (rejected >> 32, rejected & u64::from(u32::MAX));
        self.rejected = low as u32;
        if high > 0 || self.rare.is_some() {
            self.rare.get_or_insert_default().rejected = high;
        }
    }

    #[cfg(feature = "tokio")]
    pub(crate) fn desk(&self) -> Option<&Desk> {
        self.rare.as_ref().map(|rare| &rare.desk)
    }

    /// The bucket as it is, with nobody before it.
    #[cfg(feature = "tokio")]
    pub(crate) fn bucket(&self) -> Meter {
        let (desk, lent) = (Desk::default, Lent::default);
        let alone = |rare: &Rare| Box::new(Rare { desk: desk(), lent: lent(), ..*rare });
        Meter { rare: self.rare.as_deref().map(alone), ..*self }
    }

    #[cfg(feature = "tokio")]
    pub(super) fn desk_mut(&mut self) -> &mut Desk {
        &mut self.rare.get_or_insert_default().desk
    }

    #[cfg(feature = "tokio")]
    pub(super) fn heap_bytes(&self) -> usize {
        let rare = |rare: &Rare| rare.desk.heap_bytes() + rare.lent.heap_bytes();
        self.rare.as_deref().map_or(0, |it| allocation_size(size_of::<Rare>()) + rare(it))
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

    fn granted(meter: &mut Meter, pace: &Pace, now: u64) -> Option<Grant> {
        match meter.take(pace, START + now, 1) {
            Verdict::Granted(grant) => Some(grant),
            _ => None,
        }
    }

    #[test]
    fn what_nobody_used_is_given_back_whole() {
        let pace = Pace::new(Quota::per_minute(7).unwrap().with_burst(1).unwrap());
        let mut meter = Meter::default();
        let grant = granted(&mut meter, &pace, 0).unwrap();
        assert!(granted(&mut meter, &pace, 0).is_none());
        meter.give_back(&pace, grant);
        assert!(granted(&mut meter, &pace, 0).is_some());
    }

    /// The bucket of one would have been full at 5 s anyway: there is nothing to give.
    #[test]
    fn what_came_back_by_itself_is_not_given_back_again() {
        let pace = Pace::new(Quota::per_second(1).unwrap());
        let mut meter = Meter::default();
        let old = granted(&mut meter, &pace, 0).unwrap();
        assert!(granted(&mut meter, &pace, 5 * S).is_some());
        meter.give_back(&pace, old);
        assert!(granted(&mut meter, &pace, 5 * S + 1).is_none());
        assert!(granted(&mut meter, &pace, 6 * S).is_some());
    }

    /// Stamps come out of order: what was given out at 5 s keeps a bucket from being filled from before.
    #[test]
    fn a_late_stamp_does_not_make_an_old_call_worth_more() {
        let pace = Pace::new(Quota::per_second(1).unwrap().with_burst(10).unwrap());
        let mut meter = Meter::default();
        let old = granted(&mut meter, &pace, 0).unwrap();
        granted(&mut meter, &pace, 5 * S).unwrap();
        granted(&mut meter, &pace, 0).unwrap();
        meter.give_back(&pace, old);
        assert_eq!(meter.used(&pace, START + 5 * S), 2);
    }

    #[test]
    fn the_newest_first_all_are_given_back_whole() {
        let pace = Pace::new(Quota::per_second(3).unwrap());
        // The oldest first, the last of them is worth nothing more: it is what the others left.
        for (oldest_first, used) in [(false, 0), (true, 1)] {
            let mut meter = Meter::default();
            let mut grants = [(); 3].map(|()| granted(&mut meter, &pace, 0).unwrap());
            if !oldest_first {
                grants.reverse();
            }
            for grant in grants {
                meter.give_back(&pace, grant);
            }
            assert!(meter.used(&pace, START) <= used, "{oldest_first}");
        }
    }

    proptest! {
        /// The short way and the long one, a call at a time: the same answers, and the same state.
        #[test]
        fn both_ways_are_one(
            (count, period, burst) in (1..40_u32, 1..5_000_u64, 1..9_u32),
            (gap, warm_up) in (prop::sample::select(vec![0, 0, 7]), prop::sample::select(vec![0, 0, 300])),
            calls in prop::collection::vec((0..400_u64, 0..11_u32, any::<bool>(), 0..9_u8), 0..80),
        ) {
            let ns = Duration::from_nanos;
            let quota = Quota::per(count, ns(period)).unwrap().with_burst(burst).unwrap();
            let pace = Pace::new(quota).with_min_gap(ns(gap)).unwrap().with_warm_up(ns(warm_up)).unwrap();
            let (mut short, mut long) = (Meter::default(), Meter::default());
            let mut now = START;
            for (step, cost, forwards, other) in calls {
                // Stamps come out of order.
                now = if forwards { now + step } else { now - step.min(now - START) };
                match other {
                    0 => [&mut short, &mut long].map(|meter| meter.pause(now + step)),
                    1 => [&mut short, &mut long].map(|meter| meter.change(&pace, &pace, now)),
                    _ => [(), ()],
                };
                let admitted = short.admit(&pace, now, cost)
                    || matches!(short.take(&pace, now, cost), Verdict::Granted(_));
                let granted = matches!(long.take(&pace, now, cost), Verdict::Granted(_));
                prop_assert_eq!(admitted, granted);
                prop_assert_eq!(format!("{short:?}"), format!("{long:?}"));
            }
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn more_than_four_billion_are_counted() {
        let mut meter = Meter::default();
        for count in [1, u64::from(u32::MAX), 1 << 32, (1 << 32) - 1, 0, (7 << 32) + 5] {
            meter.set_rejected(count);
            assert_eq!(meter.rejected(), count);
        }
    }

    #[test]
    fn a_meter_is_small() {
        assert!(size_of::<Meter>() <= 40, "{}", size_of::<Meter>());
    }
}
