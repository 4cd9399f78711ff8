//! A bucket of tokens in one atomic word: failures take, successes put back.

use crate::sync::{AtomicU64, Ordering};

#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: AtomicU64,
    capacity: u64,
}

impl Bucket {
    /// Creates a full bucket.
    pub(crate) fn new(capacity: u64) -> Bucket {
        Bucket { tokens: AtomicU64::new(capacity), capacity }
    }

    /// Creates a full bucket of this capacity.
    pub(crate) fn fresh(&self) -> Bucket {
        Bucket::new(self.capacity)
    }

    pub(crate) fn tokens(&self) -> u64 {
        self.tokens.load(Ordering::Acquire)
    }

    #[cfg(feature = "tower")]
    pub(crate) fn is_full(&self) -> bool {
        self.tokens() == self.capacity
    }

    /// Adds tokens up to the capacity. Only loads the word if the bucket is full, the usual case.
    pub(crate) fn add(&self, tokens: u64) {
        self.update(|now| (now < self.capacity).then(|| (now + tokens).min(self.capacity)));
    }

    /// Takes `tokens` and returns `true`, or takes nothing if there are fewer.
    pub(crate) fn take(&self, tokens: u64) -> bool {
        self.update(|now| now.checked_sub(tokens))
    }

    /// Takes `tokens`, or all that are left.
    pub(crate) fn drain(&self, tokens: u64) {
        self.update(|now| (now > 0).then(|| now.saturating_sub(tokens)));
    }

    fn update(&self, change: impl FnMut(u64) -> Option<u64>) -> bool {
        self.tokens.fetch_update(Ordering::AcqRel, Ordering::Acquire, change).is_ok()
    }
}

#[cfg(test)]
#[cfg(resilience_loom)]
mod loom_tests {
    use super::*;
    use loom::sync::Arc;
    use loom::thread;

    #[test]
    fn loom_the_bucket_is_never_overdrawn() {
        loom::model(|| {
            let bucket = Arc::new(Bucket::new(3));
            let other = {
                let bucket = bucket.clone();
                thread::spawn(move || u64::from(bucket.take(2)) * 2)
            };
            let mine = u64::from(bucket.take(2)) * 2;
            bucket.add(1);
            let taken = mine + other.join().unwrap();
            assert!(taken == 2 || taken == 4);
            assert_eq!(bucket.tokens(), 4 - taken);
        });
    }
}
