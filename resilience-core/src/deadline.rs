//! Deadlines: instants after which no result is needed.
//!
//! A [`Deadline`] is a point in time, so that it can be passed on, queued and retried without
//! subtraction. While a future with a deadline is polled, the layers inside read it with
//! [`Deadline::current`], whatever the type of the request: a retry does not sleep past it, and an
//! inner timeout does not outlive it.
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

use crate::clock::MAX_WAIT;
use crate::clock::tick::Tick;

#[cfg(feature = "tokio")]
thread_local! {
    static CURRENT: Cell<Deadline> = const { Cell::new(Deadline::NEVER) };
}

/// A point in time on the monotonic clock. At the deadline itself it is too late, unless the result
/// is ready in the same poll.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Deadline(pub(crate) Tick);

impl Deadline {
    /// No deadline: later than all others.
    #[cfg(feature = "tokio")]
    pub(crate) const NEVER: Deadline = Deadline(Tick::NEVER);

    /// Creates a deadline at this instant, or 200 years away if it is
    /// [farther](crate::clock#far-instants).
    #[must_use]
    pub fn at(instant: Instant) -> Deadline {
        Deadline(Tick::of(instant))
    }

    /// Creates a deadline this time after `now`, at most [`MAX_WAIT`].
    #[must_use]
    #[inline]
    pub fn after(now: Instant, wait: Duration) -> Deadline {
        Deadline(Tick::of(now).after(wait.min(MAX_WAIT)))
    }

    /// Returns the instant.
    #[must_use]
    pub fn instant(self) -> Instant {
        self.0.instant()
    }

    /// Returns the time left at `now`; zero once it has passed.
    #[must_use]
    #[inline]
    pub fn remaining(self, now: Instant) -> Duration {
        self.0.left(Tick::of(now))
    }

    /// Returns `true` if the deadline has passed at `now`.
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

/// Makes a deadline the current one until this is dropped.
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
    /// Returns the earlier of this and the current deadline.
    #[must_use]
    #[inline]
    pub fn or_current(self) -> Deadline {
        CURRENT.get().min(self)
    }

    /// Returns the deadline of the call that is polled on this thread, if it has one.
    ///
    /// Set by `timeout::DeadlineLayer` and `timeout::within`, which enforce it. It does not cross
    /// `tokio::spawn`: read it before, and use `within` in the task.
    #[must_use]
    #[inline]
    pub fn current() -> Option<Deadline> {
        CURRENT.get().if_ever()
    }

    /// Returns `None` for [`NEVER`](Deadline::NEVER).
    #[inline]
    pub(crate) fn if_ever(self) -> Option<Deadline> {
        (self != Deadline::NEVER).then_some(self)
    }

    /// Runs `body` with this as the current deadline, and restores the former one, also after a
    /// panic. For callers that enforce it: layers inside set no timer of their own.
    #[inline]
    pub(crate) fn enter<R>(self, body: impl FnOnce() -> R) -> R {
        let _entered = self.entered();
        body()
    }

    /// Makes this the current deadline until the guard is dropped.
    #[inline]
    pub(crate) fn entered(self) -> Entered {
        // See docs/decisions/0001-a-deadline-is-ambient.md.
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
