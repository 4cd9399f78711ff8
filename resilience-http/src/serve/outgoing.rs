//! Bytes that a connection's socket does not take.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::clock;

use super::limits::Limits;
use super::pace::{Pace, Progress};

/// The longest time between two attempts to write to a socket that was full.
const LOOK: Duration = Duration::from_secs(1);

/// Progress of a socket from when it is full until everything is out.
#[derive(Debug)]
pub(super) struct Outgoing {
    pace: Pace,
    look: Duration,
    /// Set while `full` is `Some`: it is read without the lock.
    is_full: AtomicBool,
    full: Mutex<Option<Full>>,
}

#[derive(Debug)]
struct Full {
    progress: Progress,
    /// When a write was last tried.
    tried: Instant,
}

impl Outgoing {
    pub(super) fn new(limits: &Limits) -> Outgoing {
        Outgoing {
            pace: Pace::of_socket(limits),
            look: LOOK.min(limits.write_timeout / 4),
            is_full: AtomicBool::new(false),
            full: Mutex::new(None),
        }
    }

    /// Returns `true` if bytes are there that the socket has not taken.
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
        let is_due = now.saturating_duration_since(full.tried) >= self.look;
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
            full.progress.took(count, &self.pace, now);
            full.tried = now;
        }
    }

    /// Notes that the socket has taken everything. Returns `true` if it was full before.
    pub(super) fn has_all(&self) -> bool {
        let was_full = self.is_full();
        if was_full {
            *self.full.lock() = None;
            self.is_full.store(false, Ordering::Relaxed);
        }
        was_full
    }

    /// Returns when the client will have been too slow, if the socket is full.
    pub(super) fn due(&self) -> Option<Instant> {
        if !self.is_full() {
            return None;
        }
        self.full.lock().as_ref().map(|full| full.progress.due(&self.pace))
    }

    /// Returns the time after which a full socket is to be tried again.
    pub(super) const fn look(&self) -> Duration {
        self.look
    }
}
