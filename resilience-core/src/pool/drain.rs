//! The end of a pool.

use std::pin::pin;
use std::task::Poll;

use deadpool::managed::Manager;

use super::handle::ResilientPool;
use crate::deadline::Deadline;
use crate::timer::Alarm;

/// What became of the objects that were out when a pool was [drained](ResilientPool::drain).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// How many were out when it began.
    pub out: u32,
    /// How many still were at the deadline: calls that will be cut, if what follows ends them.
    pub cut: u32,
}

impl<M: Manager> ResilientPool<M> {
    /// Closes the pool: idle objects go, callers are refused (`ShuttingDown`), those that wait as well, and
    /// what is out goes when it comes back. There is no way back. A pool that is closed already stays so.
    pub fn close(&self) {
        self.0.close();
    }

    /// Whether it was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.core.is_closed()
    }

    /// Closes the pool and waits until everything that is out has come back, or until the deadline. Calls
    /// that are at work on getting an object count as if they had one. Dropped, the pool is closed all
    /// the same.
    pub async fn drain(&self, deadline: Deadline) -> Drained {
        let bulkhead = &self.0.bulkhead;
        let out = bulkhead.snapshot().in_use;
        self.close();
        let mut alarm = Alarm::at(deadline.instant());
        loop {
            // Made before the look: what comes back in between is heard.
            let mut returned = pin!(self.0.returned.notified());
            let cut = bulkhead.snapshot().in_use;
            if cut == 0 {
                return Drained { out, cut };
            }
            let late = std::future::poll_fn(|cx| match returned.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(false),
                Poll::Pending => alarm.poll(cx).map(|()| true),
            })
            .await;
            if late {
                return Drained { out, cut: bulkhead.snapshot().in_use };
            }
        }
    }
}
