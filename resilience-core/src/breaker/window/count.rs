//! The last so many calls.

use super::{Counts, Mark};

/// Two bits a call, thirty-two calls a word.
const PER_WORD: u32 = 32;

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

    pub(super) fn record(&mut self, mark: Mark) {
        let (word, shift) = ((self.next / PER_WORD) as usize, (self.next % PER_WORD) * 2);
        let bits = self.ring[word] >> shift & 0b11;
        if self.counts.calls == u64::from(self.capacity) {
            let (failures, slow) = (bits & 1, bits >> 1);
            self.counts.take(Counts { calls: 1, failures, slow });
        }
        let new = u64::from(mark.failed) | u64::from(mark.slow) << 1;
        self.ring[word] ^= (bits ^ new) << shift;
        self.next = if self.next + 1 == self.capacity { 0 } else { self.next + 1 };
        self.counts.add(mark);
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
                let mark = Mark { failed: n % 3 == 0, slow: n % 5 == 0 };
                window.record(mark);
                all.push(mark);
                let last = &all[all.len().saturating_sub(capacity as usize)..];
                let count = |wanted: fn(&Mark) -> bool| {
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
}
