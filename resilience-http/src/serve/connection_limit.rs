//! The limit on open connections, and the eviction of idle ones for new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::futures::Notified;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// Shortest idle time after which a connection may be evicted. Without it, a client that opens many
/// connections could end the keep-alive of all others.
pub(super) const MIN_IDLE: Duration = Duration::from_secs(1);

/// The connection permits of a server. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct ConnectionLimit(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    permits: Arc<Semaphore>,
    /// Accepted connections that wait for a permit: at most one for each listener.
    waiting: AtomicUsize,
    /// Wakes the connection that has been idle for the longest time: `Notify` is first in, first
    /// out.
    eviction: Notify,
}

impl ConnectionLimit {
    pub(super) fn new(max_connections: u32) -> ConnectionLimit {
        let permits = usize::try_from(max_connections).unwrap_or(usize::MAX);
        let permits = Arc::new(Semaphore::new(permits));
        let waiting = AtomicUsize::new(0);
        ConnectionLimit(Arc::new(Shared { permits, waiting, eviction: Notify::new() }))
    }

    /// Returns `true` if the next connection would have to wait.
    pub(super) fn is_full(&self) -> bool {
        self.0.permits.available_permits() == 0
    }

    /// Waits for a permit, and has an idle connection evicted if there is none. `None` if the
    /// semaphore is closed.
    pub(super) async fn acquire(&self) -> Option<OwnedSemaphorePermit> {
        if let Ok(permit) = self.0.permits.clone().try_acquire_owned() {
            return Some(permit);
        }
        // Counted before the wake: the connection that is woken reads `needs_eviction`.
        let _waiting = WaitingGuard::new(&self.0);
        self.0.eviction.notify_one();
        self.0.permits.clone().acquire_owned().await.ok()
    }

    /// Returns `true` if an accepted connection waits for a permit.
    pub(super) fn needs_eviction(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// Waits in line for an eviction. Dropping the future passes a wake on to the next in line.
    pub(super) fn eviction(&self) -> Notified<'_> {
        self.0.eviction.notified()
    }
}

/// Counts one waiting connection until the guard is dropped.
struct WaitingGuard<'a>(&'a Shared);

impl<'a> WaitingGuard<'a> {
    fn new(shared: &'a Shared) -> WaitingGuard<'a> {
        shared.waiting.fetch_add(1, Ordering::Relaxed);
        WaitingGuard(shared)
    }
}

impl Drop for WaitingGuard<'_> {
    fn drop(&mut self) {
        // Repeated for the others: `Notify` stores one wake, so that wakes without an idle
        // connection merge.
        if self.0.waiting.fetch_sub(1, Ordering::Relaxed) > 1 {
            self.0.eviction.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The wakes of two listeners merge into one while no connection is idle.
    #[tokio::test(start_paused = true)]
    async fn one_connection_is_evicted_for_each_waiting_connection() {
        let limit = ConnectionLimit::new(2);
        let mut permits = Vec::new();
        for _ in 0..2 {
            permits.extend(limit.acquire().await);
        }
        let waiting = [(); 2].map(|()| {
            let limit = limit.clone();
            tokio::spawn(async move { limit.acquire().await })
        });
        while limit.0.waiting.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
        for task in waiting {
            let eviction = tokio::time::timeout(MIN_IDLE, limit.eviction()).await;
            assert!(eviction.is_ok() && limit.needs_eviction());
            permits.pop();
            permits.extend(task.await.unwrap());
        }
        assert!(!limit.needs_eviction());
    }
}
