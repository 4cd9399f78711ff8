//! A window of the last `n` calls.

use super::{CallMark, Counts};

/// Two bits a call, thirty-two calls a word.
const PER_WORD: u32 = 32;
/// The bit that marks a failure; the one above marks a slow call.
const FAILED: u64 = 0x5555_5555_5555_5555;

/// A ring of the last `capacity` calls.
#[derive(Debug, Clone)]
pub(in crate::breaker) struct CountWindow {
    ring: Box<[u64]>,
    capacity: u32,
    next: u32,
    counts: Counts,
}

impl CountWindow {
    pub(super) fn new(capacity: u32) -> CountWindow {
        let words = capacity.div_ceil(PER_WORD) as usize;
        let ring = vec![0; words].into_boxed_slice();
        CountWindow { ring, capacity, next: 0, counts: Counts::default() }
    }

    pub(super) fn record(&mut self, mark: CallMark) {
        let word = (self.next / PER_WORD) as usize;
        let shift = (self.next % PER_WORD) * 2;
        let bits = self.ring[word] >> shift & 0b11;
        if self.counts.calls == u64::from(self.capacity) {
            self.counts.take(Counts { calls: 1, failures: bits & 1, slow: bits >> 1 });
        }
        let new = u64::from(mark.failed) | u64::from(mark.slow) << 1;
        self.ring[word] ^= (bits ^ new) << shift;
        self.next = if self.next + 1 == self.capacity { 0 } else { self.next + 1 };
        self.counts.add(mark);
    }

    /// Records successes, a word of the ring at a time.
    pub(super) fn count_successes(&mut self, calls: u32) {
        let calls_in = self.counts.calls + u64::from(calls);
        self.counts.calls = calls_in.min(self.capacity.into());
        // What is overwritten a second time is zero by then.
        let mut left = calls.min(self.capacity);
        while left > 0 {
            let word = (self.next / PER_WORD) as usize;
            let at = self.next % PER_WORD;
            let run = left.min(PER_WORD - at).min(self.capacity - self.next);
            let mask = (u64::MAX >> (64 - 2 * run)) << (2 * at);
            let gone = self.ring[word] & mask;
            self.counts.failures -= u64::from((gone & FAILED).count_ones());
            self.counts.slow -= u64::from((gone & !FAILED).count_ones());
            self.ring[word] ^= gone;
            self.next = if self.next + run == self.capacity { 0 } else { self.next + run };
            left -= run;
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn heap_bytes(&self) -> usize {
        size_of_val(&*self.ring)
    }
}

#[cfg(test)]
#[cfg(not(resilience_loom))]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_makes_room() {
        for capacity in [1, 2, 31, 32, 33, 100] {
            let mut window = CountWindow::new(capacity);
            let mut all = Vec::new();
            for n in 0..capacity * 3 {
                let mark = CallMark { failed: n % 3 == 0, slow: n % 5 == 0 };
                window.record(mark);
                all.push(mark);
                let last = &all[all.len().saturating_sub(capacity as usize)..];
                let count = |wanted: fn(&CallMark) -> bool| {
                    last.iter().filter(|mark| wanted(mark)).count() as u64
                };
                let expected = Counts {
                    calls: last.len() as u64,
                    failures: count(|mark| mark.failed),
                    slow: count(|mark| mark.slow),
                };
                assert_eq!(window.counts(), expected, "{n} of {capacity}");
            }
        }
    }

    #[test]
    fn many_at_once_are_as_many_one_by_one() {
        let good = CallMark { failed: false, slow: false };
        for capacity in [1, 2, 31, 32, 33, 100] {
            let mut at_once = CountWindow::new(capacity);
            let mut one_by_one = CountWindow::new(capacity);
            for n in 0..capacity * 3 {
                let mark = CallMark { failed: n % 3 == 0, slow: n % 5 == 0 };
                let many = n * 7 % (capacity * 2);
                at_once.record(mark);
                at_once.count_successes(many);
                one_by_one.record(mark);
                (0..many).for_each(|_| one_by_one.record(good));
                assert_eq!(at_once.counts(), one_by_one.counts(), "{n} of {capacity}");
            }
        }
    }
}
