//! What happened in a pool, counted.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Retired;

#[derive(Debug, Default)]
pub(super) struct Tally {
    made: AtomicU64,
    failed: AtomicU64,
    retired: [AtomicU64; Retired::ALL.len()],
}

impl Tally {
    pub(super) fn made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.failed.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn retired(&self, why: Retired) {
        self.retired[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count_made(&self) -> u64 {
        self.made.load(Ordering::Relaxed)
    }

    pub(super) fn count_failed(&self) -> u64 {
        self.failed.load(Ordering::Relaxed)
    }

    pub(super) fn count_retired(&self, why: Retired) -> u64 {
        self.retired[why as usize].load(Ordering::Relaxed)
    }
}
