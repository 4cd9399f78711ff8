//! The instant after which nobody is waiting for the answer.
//!
//! A [`Deadline`] is a point in time, not a length of time: it survives being handed down, queued
//! and retried without anybody subtracting. While a future that has one is polled, the layers
//! inside it read it with [`Deadline::current`], whatever the type of the request: a retry then
//! does not sleep past it, and an inner timeout does not outlive it.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::{Deadline, clock};
//!
//! let now = clock::now();
//! let outer = Deadline::after(now, Duration::from_secs(1));
//! let inner = Deadline::after(now, Duration::from_secs(60)).min(outer);
//! assert_eq!(inner.remaining(now), Duration::from_secs(1));
//! ```

#[cfg(feature = "tokio")]
use std::cell::Cell;
use std::time::{Duration, Instant};

use crate::clock::{MAX_WAIT, nanos};
use crate::tick::Tick;

#[cfg(feature = "tokio")]
thread_local! {
    static CURRENT: Cell<Deadline> = const { Cell::new(Deadline::NEVER) };
}

/// A point in time on the monotonic clock. At the deadline itself it is too late, unless the answer
/// is there in the same poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(Tick);

impl Deadline {
    /// None: later than all others.
    #[cfg(feature = "tokio")]
    pub(crate) const NEVER: Deadline = Deadline(Tick::NEVER);

    /// Creates a deadline at this instant, or 200 years away if it is [farther](crate::clock#far-instants).
    #[must_use]
    pub fn at(instant: Instant) -> Deadline {
        Deadline(Tick::of(instant))
    }

    /// So long after `now`, at most [`MAX_WAIT`].
    #[must_use]
    #[inline]
    pub fn after(now: Instant, wait: Duration) -> Deadline {
        Deadline::after_tick(Tick::of(now), wait.min(MAX_WAIT))
    }

    /// The same where no wait is longer than that.
    #[inline]
    pub(crate) fn after_tick(now: Tick, wait: Duration) -> Deadline {
        Deadline::after_ns(now, nanos(wait))
    }

    /// So many nanoseconds after it.
    #[inline]
    pub(crate) fn after_ns(now: Tick, wait: u64) -> Deadline {
        Deadline(now.after_ns(wait))
    }

    /// The instant.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0.instant()
    }

    /// What is left at `now`; zero once it has passed.
    #[must_use]
    #[inline]
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.left(Tick::of(now))
    }

    /// Whether it is too late at `now`.
    #[must_use]
    #[inline]
    pub fn has_passed(self, now: Instant) -> bool {
        self.has_passed_at(Tick::of(now))
    }

    #[inline]
    pub(crate) fn has_passed_at(self, now: Tick) -> bool {
        now >= self.0
    }
}

/// While this is kept, a deadline is the current one.
#[cfg(feature = "tokio")]
#[must_use]
pub(crate) struct Entered {
    former: Deadline,
}

#[cfg(feature = "tokio")]
impl Drop for Entered {
    #[inline]
    fn drop(&mut self) {
        CURRENT.set(self.former);
    }
}

#[cfg(feature = "tokio")]
impl Deadline {
    /// This, or the deadline of the surrounding call if that comes sooner.
    #[must_use]
    #[inline]
    pub fn or_current(self) -> Deadline {
        CURRENT.get().min(self)
    }

    /// The deadline of the call that is being polled on this thread, if it has one.
    ///
    /// Set by `timeout::DeadlineLayer` and
    /// `timeout::within`, which enforce it. It does not cross
    /// `tokio::spawn`: read it before, and use `within` in the task.
    #[must_use]
    #[inline]
    pub fn current() -> Option<Deadline> {
        CURRENT.get().if_ever()
    }

    /// This, if it is one.
    #[inline]
    pub(crate) fn if_ever(self) -> Option<Deadline> {
        (self != Deadline::NEVER).then_some(self)
    }

    /// Runs `body` with this as the current deadline, and puts the former one back, also when
    /// `body` panics. For callers that enforce it: layers inside arm no timer for what it covers.
    #[inline]
    pub(crate) fn enter<R>(self, body: impl FnOnce() -> R) -> R {
        let _entered = self.entered();
        body()
    }

    /// The same for as long as what this returns is kept.
    #[inline]
    pub(crate) fn entered(self) -> Entered {
        Entered { former: CURRENT.replace(self) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    #[cfg(feature = "tokio")]
    fn the_former_deadline_comes_back_after_a_panic() {
        let deadline = Deadline::after(clock::now(), Duration::from_secs(1));
        deadline.enter(|| {
            let inner = Deadline::after(clock::now(), Duration::from_millis(1));
            let panicked = std::panic::catch_unwind(|| inner.enter(|| panic!("on purpose")));
            assert!(panicked.is_err());
            assert_eq!(Deadline::current(), Some(deadline));
        });
        assert_eq!(Deadline::current(), None);
    }

    #[test]
    fn at_the_deadline_is_too_late() {
        let now = clock::now();
        let deadline = Deadline::after(now, Duration::from_secs(1));
        assert!(!deadline.has_passed(now));
        assert!(deadline.has_passed(deadline.instant()));
        assert_eq!(deadline.remaining(deadline.instant() + Duration::from_secs(1)), Duration::ZERO);
    }

    #[test]
    fn an_endless_wait_does_not_overflow() {
        let now = clock::now();
        assert_eq!(Deadline::after(now, Duration::MAX).remaining(now), MAX_WAIT);
    }
}
