//! What a rate is a rate of: the last so many calls, or the calls of the last so long.
//!
//! Counting since the last change of state, as some breakers do, makes an old good day outvote a bad
//! minute. Keeping a record of every call makes the cost of a call grow with the traffic. Here a window
//! forgets exactly, in constant time and in memory that does not depend on the traffic: two bits for
//! each of the last `n` calls, or ten buckets for a length of time.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::breaker::{CircuitConfig, SlidingWindow};
//!
//! let config = CircuitConfig::builder()
//!     .failure_rate(0.5, SlidingWindow::time(Duration::from_secs(10)))
//!     .failure_rate(0.9, SlidingWindow::count(100))
//!     .config();
//! assert!(config.is_ok());
//! ```

mod count;
mod tally;
mod time;

use std::time::{Duration, Instant};

use crate::clock::nanos;
use crate::config::InvalidConfig;
use crate::tick::Tick;
pub(super) use tally::Tally;

/// The calls that a rate is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindow(pub(super) Span);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Span {
    Calls(u32),
    Time { length: Duration, buckets: u32 },
}

impl SlidingWindow {
    /// The last `calls` calls, exactly. From 1 to 1,000,000; a quarter of a byte each.
    #[must_use]
    pub const fn count(calls: u32) -> SlidingWindow {
        SlidingWindow(Span::Calls(calls))
    }

    /// The calls of the last `length`, in ten buckets: each is counted for at least nine tenths of it.
    /// From 1 ms to 24 h.
    #[must_use]
    pub const fn time(length: Duration) -> SlidingWindow {
        SlidingWindow::time_in(length, 10)
    }

    /// As [`time`](SlidingWindow::time), in so many buckets: from 1 to 1,000.
    #[must_use]
    pub const fn time_in(length: Duration, buckets: u32) -> SlidingWindow {
        SlidingWindow(Span::Time { length, buckets })
    }

    pub(super) fn check(self) -> Result<SlidingWindow, InvalidConfig> {
        let (shortest, longest) = (Duration::from_millis(1), Duration::from_secs(24 * 60 * 60));
        match self.0 {
            Span::Calls(calls) if !(1..=1_000_000).contains(&calls) => {
                Err(InvalidConfig::new("window.count", calls, "between 1 and 1000000"))
            }
            Span::Time { length, .. } if !(shortest..=longest).contains(&length) => {
                let length = format_args!("{length:?}").to_string();
                Err(InvalidConfig::new("window.time", length, "between 1ms and 24h"))
            }
            Span::Time { buckets, .. } if !(1..=1_000).contains(&buckets) => {
                Err(InvalidConfig::new("window.buckets", buckets, "between 1 and 1000"))
            }
            _ => Ok(self),
        }
    }

    /// Of the last so many calls, rather than of a length of time.
    pub(super) fn is_count(self) -> bool {
        matches!(self.0, Span::Calls(_))
    }
}

/// Good calls that are a number and no more: all of them would be in the same buckets, and none could
/// change the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Room {
    /// How many.
    pub calls: u32,
    pub(super) until: Tick,
}

impl Room {
    pub(super) const NONE: Room = Room { calls: 0, until: Tick::LONG_AGO };
    pub(super) const ENDLESS: Room = Room { calls: u32::MAX, until: Tick::NEVER };

    /// For all calls until then.
    #[cfg(feature = "tokio")]
    pub(super) const fn until(until: Tick) -> Room {
        Room { calls: u32::MAX, until }
    }

    /// Whether there is none for a call that ends at `now`, or later.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.calls == 0 || Tick::of(now) >= self.until
    }

    fn and(self, other: Room) -> Room {
        Room { calls: self.calls.min(other.calls), until: self.until.min(other.until) }
    }
}

/// Nanoseconds of a bucket.
fn width(length: Duration, buckets: u32) -> u64 {
    // A checked window is never shorter than its buckets are many.
    (nanos(length) / u64::from(buckets)).max(1)
}

/// How a call counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

/// What is in a window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

impl Counts {
    /// Returns `true` if a call in it failed or was slow.
    const fn is_bad(&self) -> bool {
        self.failures | self.slow != 0
    }

    fn add(&mut self, mark: Mark) {
        self.calls += 1;
        self.failures += u64::from(mark.failed);
        self.slow += u64::from(mark.slow);
    }

    fn put(&mut self, other: Counts) {
        self.calls += other.calls;
        self.failures += other.failures;
        self.slow += other.slow;
    }

    fn take(&mut self, other: Counts) {
        self.calls -= other.calls;
        self.failures -= other.failures;
        self.slow -= other.slow;
    }
}
