//! Progress of writes to a full socket.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::clock;

use super::limits::Limits;
use super::min_rate::{MinRate, Progress};

/// Longest time between two attempts to write to a full socket.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// Write progress of a socket, from the moment it is full until it has taken everything.
#[derive(Debug)]
pub(super) struct Outgoing {
    min_rate: MinRate,
    retry_interval: Duration,
    /// Copy of `full.is_some()` that is read without the lock. Only the owner of the socket writes
    /// it.
    is_full: AtomicBool,
    full: Mutex<Option<Full>>,
}

#[derive(Debug)]
struct Full {
    progress: Progress,
    /// Time of the last attempt to write.
    tried: Instant,
}

impl Outgoing {
    pub(super) fn new(limits: &Limits) -> Outgoing {
        Outgoing {
            min_rate: MinRate::of_socket(limits),
            retry_interval: RETRY_INTERVAL.min(limits.write_timeout / 4),
            is_full: AtomicBool::new(false),
            full: Mutex::new(None),
        }
    }

    /// Returns `true` while the socket has not taken all bytes that were written.
    pub(super) fn is_full(&self) -> bool {
        self.is_full.load(Ordering::Relaxed)
    }

    /// Notes that the socket is full. Returns `true` if another attempt to write is due.
    pub(super) fn full(&self) -> bool {
        let now = clock::now();
        let mut full = self.full.lock();
        let Some(full) = &mut *full else {
            *full = Some(Full { progress: Progress::new(now), tried: now });
            self.is_full.store(true, Ordering::Relaxed);
            return false;
        };
        let is_due = now.saturating_duration_since(full.tried) >= self.retry_interval;
        if is_due {
            full.tried = now;
        }
        is_due
    }

    /// Notes that the socket has taken `count` bytes.
    pub(super) fn took(&self, count: usize) {
        if !self.is_full() {
            return;
        }
        let now = clock::now();
        if let Some(full) = &mut *self.full.lock() {
            let count = u64::try_from(count).unwrap_or(u64::MAX);
            full.progress.took(count, &self.min_rate, now);
            full.tried = now;
        }
    }

    /// Notes that the socket has taken everything. Returns `true` if it was full before.
    pub(super) fn cleared(&self) -> bool {
        let was_full = self.is_full();
        if was_full {
            *self.full.lock() = None;
            self.is_full.store(false, Ordering::Relaxed);
        }
        was_full
    }

    /// Returns when the client becomes too slow if it takes nothing more. `None` if the socket is
    /// not full.
    pub(super) fn due(&self) -> Option<Instant> {
        if !self.is_full() {
            return None;
        }
        self.full.lock().as_ref().map(|full| full.progress.due(&self.min_rate))
    }

    /// Returns the time between two attempts to write to a full socket.
    pub(super) const fn retry_interval(&self) -> Duration {
        self.retry_interval
    }
}
