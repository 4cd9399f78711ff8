//! The windows of a rate: the last `n` calls, or the calls of a length of time.
//!
//! Counting since the last change of state, as some breakers do, makes an old good day outvote a
//! bad minute. Keeping a record of every call makes the cost of a call grow with the traffic. These
//! windows forget exactly, in constant time and in memory that does not depend on the traffic: two
//! bits for each of the last `n` calls, or ten buckets for a length of time.
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

mod call_windows;
mod count;
mod time;

use std::time::{Duration, Instant};

use crate::clock::nanos;
use crate::clock::tick::Tick;
use crate::config::InvalidConfig;
pub(super) use call_windows::CallWindows;

/// The window of a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlidingWindow(pub(super) WindowSpan);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WindowSpan {
    Calls(u32),
    Time { length: Duration, buckets: u32 },
}

impl SlidingWindow {
    /// Returns a window of exactly the last `calls` calls. From 1 to 1,000,000; a quarter of a byte
    /// each.
    #[must_use]
    pub const fn count(calls: u32) -> SlidingWindow {
        SlidingWindow(WindowSpan::Calls(calls))
    }

    /// Returns a window of the calls of the last `length`, in ten buckets: each call counts for at
    /// least nine tenths of `length`. From 1 ms to 24 h.
    #[must_use]
    pub const fn time(length: Duration) -> SlidingWindow {
        SlidingWindow::time_in(length, 10)
    }

    /// Returns a window of the calls of the last `length`, in a number of buckets from 1 to 1,000.
    #[must_use]
    pub const fn time_in(length: Duration, buckets: u32) -> SlidingWindow {
        SlidingWindow(WindowSpan::Time { length, buckets })
    }

    pub(super) fn check(self) -> Result<SlidingWindow, InvalidConfig> {
        let shortest = Duration::from_millis(1);
        let longest = Duration::from_secs(24 * 60 * 60);
        match self.0 {
            WindowSpan::Calls(calls) if !(1..=1_000_000).contains(&calls) => {
                Err(InvalidConfig::new("window.count", calls, "between 1 and 1000000"))
            }
            WindowSpan::Time { length, .. } if !(shortest..=longest).contains(&length) => {
                let length = format_args!("{length:?}").to_string();
                Err(InvalidConfig::new("window.time", length, "between 1ms and 24h"))
            }
            WindowSpan::Time { buckets, .. } if !(1..=1_000).contains(&buckets) => {
                Err(InvalidConfig::new("window.buckets", buckets, "between 1 and 1000"))
            }
            _ => Ok(self),
        }
    }

    /// Returns `true` for a window of calls, `false` for one of time.
    pub(super) fn is_count(self) -> bool {
        matches!(self.0, WindowSpan::Calls(_))
    }
}

/// Successes that may be counted outside of the circuit until `until`: they fall into the buckets
/// of the latest call, and cannot change the state.
#[doc(hidden)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct UncountedSuccesses {
    /// The number of calls.
    pub calls: u32,
    pub(super) until: Tick,
}

impl UncountedSuccesses {
    pub(super) const NONE: UncountedSuccesses =
        UncountedSuccesses { calls: 0, until: Tick::LONG_AGO };
    pub(super) const UNBOUNDED: UncountedSuccesses =
        UncountedSuccesses { calls: u32::MAX, until: Tick::NEVER };

    /// Returns `true` if a call that ends at `now` or later may not be counted outside.
    #[must_use]
    pub fn is_over(&self, now: Instant) -> bool {
        self.calls == 0 || Tick::of(now) >= self.until
    }

    fn and(self, other: UncountedSuccesses) -> UncountedSuccesses {
        UncountedSuccesses {
            calls: self.calls.min(other.calls),
            until: self.until.min(other.until),
        }
    }
}

/// Returns the nanoseconds of a bucket.
fn width(length: Duration, buckets: u32) -> u64 {
    // A checked window is never shorter than its buckets are many.
    (nanos(length) / u64::from(buckets)).max(1)
}

/// The result of a call, as windows count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CallMark {
    pub(super) failed: bool,
    pub(super) slow: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) calls: u64,
    pub(super) failures: u64,
    pub(super) slow: u64,
}

impl Counts {
    /// Returns `true` if a call failed or was slow.
    const fn is_bad(&self) -> bool {
        self.failures | self.slow != 0
    }

    fn add(&mut self, mark: CallMark) {
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
