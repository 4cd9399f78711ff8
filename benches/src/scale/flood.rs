//! A bounded store, and the resident memory of its process.

use std::cell::Cell;
use std::time::{Duration, Instant};

use resilience_core::clock;
use resilience_core::keyed::{Entry, Keyed, KeyedLimits};
use serde_json::{Value, json};
use tower::BoxError;

use super::resident;
use crate::stats::ratio;

/// A store that is flooded with new keys, and the counts of the flood.
pub(super) struct Flood<T> {
    pub(super) store: Keyed<String, Asked<T>>,
    pub(super) now: Instant,
    bound: usize,
    before: u64,
    /// The most checks for a pin in one call.
    asked: u64,
    points: Vec<(u64, f64)>,
}

impl<T: Entry> Flood<T> {
    pub(super) fn new(
        bound: usize,
        make: impl Fn(&String) -> T + Send + Sync + 'static,
    ) -> Result<Flood<T>, BoxError> {
        let before = resident::now().unwrap_or(0);
        let limits = KeyedLimits::new(1_000_000, bound, Duration::from_secs(86_400))?;
        let store = Keyed::new(limits, move |key| Asked(make(key)));
        Ok(Flood { store, now: clock::now(), bound, before, asked: 0, points: Vec::new() })
    }

    pub(super) fn call<R>(&mut self, key: &String, call: impl FnOnce(&T) -> R) -> R {
        ASKED.set(0);
        let answer = self.store.with(key, self.now, |kept| call(&kept.0));
        self.asked = self.asked.max(ASKED.get());
        answer
    }

    /// Records the memory if `keys` is 1, 2 or 5 times a power of ten, from 1,000 on.
    pub(super) fn look(&mut self, keys: u64) {
        let tenfold = 10_u64.pow(keys.ilog10());
        if keys >= 1_000 && [1, 2, 5].iter().any(|times| keys == times * tenfold) {
            let bytes = resident::now().unwrap_or(0);
            self.points.push((keys, self.share(bytes)));
        }
    }

    /// Returns the share of the bound that these bytes are.
    fn share(&self, bytes: u64) -> f64 {
        ratio(bytes.saturating_sub(self.before), self.bound as u64)
    }

    pub(super) fn found(&self) -> Value {
        let seen = self.store.snapshot();
        json!({
            "points": self.points,
            "peak": self.share(resident::peak().unwrap_or(0)),
            "asked": self.asked,
            "keys": seen.keys,
            "bytes": seen.bytes,
            "evicted": seen.evicted_capacity,
            "overflowed": seen.overflowed,
        })
    }
}

thread_local! {
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

/// An entry that counts the questions for its pin: one for each key that a call may evict.
#[derive(Debug, Clone)]
pub(super) struct Asked<T>(pub(super) T);

impl<T: Entry> Entry for Asked<T> {
    fn is_pinned(&self, now: Instant) -> bool {
        ASKED.set(ASKED.get() + 1);
        self.0.is_pinned(now)
    }

    fn remembers_until(&self, now: Instant) -> Option<Instant> {
        self.0.remembers_until(now)
    }

    fn heap_bytes(&self) -> usize {
        self.0.heap_bytes()
    }
}
