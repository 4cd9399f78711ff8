//! A thread-local that code inside an attempt can read, while the attempt is begun or polled.

use std::cell::Cell;
#[cfg(feature = "tower")]
use std::time::Duration;

#[cfg(feature = "tower")]
use crate::clock;
use crate::deadline::Deadline;

thread_local! {
    static CURRENT: Cell<CallContext> = const { Cell::new(CallContext::NONE) };
}

/// The attempt that is begun or polled on the current thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallContext {
    /// The number of attempts before this one.
    previous: u32,
    /// The time limit of the attempt; `u64::MAX` without one.
    limit: u64,
    /// The end of the limit, `NEVER` until the attempt was pending once.
    due: Deadline,
}

impl CallContext {
    const NONE: CallContext = CallContext { previous: 0, limit: u64::MAX, due: Deadline::NEVER };

    #[inline(always)]
    pub(crate) fn current() -> CallContext {
        CURRENT.get()
    }

    #[inline]
    pub(crate) const fn previous(self) -> u32 {
        self.previous
    }

    /// Sets the number of attempts before this one.
    #[inline]
    #[must_use]
    pub(crate) const fn with_previous(self, previous: u32) -> CallContext {
        CallContext { previous, ..self }
    }

    /// Adds a time limit to the limits around it: the shorter one counts.
    #[inline(always)]
    #[must_use]
    #[cfg(feature = "tower")]
    pub(crate) fn with_limit(self, nanos: u64, due: Deadline) -> CallContext {
        CallContext { limit: self.limit.min(nanos), due: self.due.min(due), ..self }
    }

    /// Returns the time that is left for the attempt. `None` without a limit.
    #[cfg(feature = "tower")]
    pub(crate) fn time_left(self) -> Option<Duration> {
        let limit = Duration::from_nanos(self.limit);
        let left =
            || self.due.if_ever().map_or(limit, |due| due.remaining(clock::now()).min(limit));
        (self.limit != u64::MAX).then(left)
    }

    /// Makes this the current context while the result is kept.
    #[inline(always)]
    pub(crate) fn entered(self) -> Entered {
        // See docs/decisions/0038-a-call-reads-a-shutdown-through-two-functions.md.
        Entered { former: CURRENT.replace(self) }
    }
}

/// Restores the former context when it is dropped, also by a panic.
#[must_use]
pub(crate) struct Entered {
    former: CallContext,
}

impl Drop for Entered {
    #[inline(always)]
    fn drop(&mut self) {
        CURRENT.set(self.former);
    }
}
