//! Closing and draining a pool.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use deadpool::managed::Manager;

use super::handle::ResilientPool;
use crate::deadline::Deadline;
use crate::timer::Alarm;

/// Result of [draining](ResilientPool::drain) a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Objects that were checked out when draining began.
    pub out: u32,
    /// Objects that were still checked out at the deadline.
    pub cut: u32,
}

impl<M: Manager> ResilientPool<M> {
    /// Closes the pool for good: idle objects are retired, checked-out ones when they return, and
    /// callers, queued ones included, are rejected (`ShuttingDown`). Has no effect on a closed
    /// pool.
    pub fn close(&self) {
        self.0.close();
    }

    /// Returns `true` if the pool was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.core.is_closed()
    }

    /// Closes the pool and waits until every checked-out object has returned, or until the
    /// deadline. Calls that are getting an object count as if they had one. If this is cancelled,
    /// the pool stays closed.
    pub async fn drain(&self, deadline: Deadline) -> Drained {
        let bulkhead = &self.0.bulkhead;
        let out = bulkhead.snapshot().in_use;
        self.close();
        let mut alarm = Alarm::at(deadline.instant());
        loop {
            // Created before the count is read, so that a return in between is not missed.
            let mut returned = pin!(self.0.returned.notified());
            let cut = bulkhead.snapshot().in_use;
            if cut == 0 {
                return Drained { out, cut };
            }
            let is_late = poll_fn(|cx| match returned.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending => alarm.poll(cx).map(|()| true),
            });
            if is_late.await {
                return Drained { out, cut: bulkhead.snapshot().in_use };
            }
        }
    }
}
