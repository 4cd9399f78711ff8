//! A window of a length of time.

use super::{CallMark, Counts};
use crate::clock::tick::Tick;

/// A ring of buckets. The first bucket begins with the first call after the window was empty: the
/// calls decide which of them share a bucket, and not the origin of the clock.
#[derive(Debug, Clone)]
pub(in crate::breaker) struct TimeWindow {
    buckets: Box<[Counts]>,
    width: u64,
    anchor: Tick,
    /// The latest slot that has a call.
    latest: u64,
    /// The index of the bucket of the latest slot.
    current: usize,
    /// The end of that bucket.
    ends: Tick,
    counts: Counts,
}

impl TimeWindow {
    pub(super) fn new(width: u64, buckets: u32) -> TimeWindow {
        let buckets = vec![Counts::default(); buckets as usize].into_boxed_slice();
        TimeWindow {
            buckets,
            width,
            anchor: Tick::NEVER,
            latest: 0,
            current: 0,
            ends: Tick::LONG_AGO,
            counts: Counts::default(),
        }
    }

    #[inline]
    pub(super) fn record(&mut self, at: Tick, mark: CallMark) {
        if at >= self.ends {
            self.turn_to(at);
        }
        self.buckets[self.current].add(mark);
        self.counts.add(mark);
    }

    /// Moves on to the bucket of `at`, and clears those that leave the window.
    #[cold]
    fn turn_to(&mut self, at: Tick) {
        let slot = self.slot(at);
        if self.counts.calls == 0 || slot - self.latest >= self.len() {
            self.buckets.fill(Counts::default());
            (self.anchor, self.latest, self.counts) = (at, 0, Counts::default());
        } else {
            while self.latest < slot {
                self.latest += 1;
                let expired = std::mem::take(self.bucket(self.latest));
                self.counts.take(expired);
            }
        }
        self.current = self.index(self.latest);
        self.ends = self.anchor.after_ns(self.width.saturating_mul(self.latest + 1));
    }

    pub(super) fn counts_at(&self, at: Tick) -> Counts {
        let ahead = self.slot(at) - self.latest;
        if ahead >= self.len() {
            return Counts::default();
        }
        let mut counts = self.counts;
        for slot in self.latest + 1..=self.latest + ahead {
            counts.take(self.buckets[self.index(slot)]);
        }
        counts
    }

    /// Records successes in the bucket of the latest call.
    pub(super) fn count_successes(&mut self, calls: u32) {
        let calls = Counts { calls: calls.into(), ..Counts::default() };
        self.buckets[self.current].put(calls);
        self.counts.put(calls);
    }

    /// Returns the end of the bucket of the latest call.
    pub(super) fn ends(&self) -> Tick {
        self.ends
    }

    /// Returns when the window has moved past the latest call.
    pub(super) fn empty_at(&self) -> Tick {
        self.anchor.after_ns(self.width.saturating_mul(self.latest + self.len()))
    }

    /// Returns the counts at the latest call.
    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.buckets)
    }

    /// Returns the slot of `at`. A call that is recorded late, or by a thread that read the clock
    /// earlier, counts in the latest slot.
    fn slot(&self, at: Tick) -> u64 {
        (at.since(self.anchor) / self.width).max(self.latest)
    }

    fn len(&self) -> u64 {
        self.buckets.len() as u64
    }

    #[expect(clippy::cast_possible_truncation, reason = "the remainder is less than the length")]
    fn index(&self, slot: u64) -> usize {
        (slot % self.len()) as usize
    }

    fn bucket(&mut self, slot: u64) -> &mut Counts {
        &mut self.buckets[self.index(slot)]
    }
}
