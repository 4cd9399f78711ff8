//! A service that fails for all clients at once.
//!
//! The requests of a herd hang, as on a server that is failing, until the last client has arrived;
//! then all are rejected together, and the service recovers. The failures of hundreds of clients
//! are then milliseconds apart, and clients with the same fixed wait retry together. Waiting for
//! the last client, and not for a fixed time, makes it one instant on any machine. If some clients
//! can never arrive, for want of open files, the others wait for ten seconds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::time::timeout;

/// Longest wait for an incomplete herd.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// An outage that rejects a herd of known size, once.
#[derive(Debug)]
pub struct Outage {
    herd: usize,
    arrived: AtomicUsize,
    all_here: Barrier,
}

impl Outage {
    /// Creates an outage for `herd` clients.
    #[must_use]
    pub fn new(herd: usize) -> Outage {
        Outage { herd, arrived: AtomicUsize::new(0), all_here: Barrier::new(herd) }
    }

    /// Waits for the herd, and returns `true` if the request is rejected.
    pub async fn rejects(&self) -> bool {
        let early = self.arrived.fetch_add(1, Ordering::Relaxed) < self.herd;
        if early {
            // Rejected in both cases: a complete herd, and a timeout.
            let _ = timeout(LONGEST_WAIT, self.all_here.wait()).await;
        }
        early
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;
    use futures_util::{FutureExt, future::join};

    #[tokio::test]
    async fn all_are_rejected_together_and_then_none() {
        let outage = Outage::new(3);
        let mut first_two = Box::pin(join(outage.rejects(), outage.rejects()));
        assert_eq!((&mut first_two).now_or_never(), None);
        assert!(outage.rejects().await);
        assert_eq!(first_two.await, (true, true));
        assert_eq!(join_all([outage.rejects(), outage.rejects()]).await, [false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_incomplete_herd_is_rejected_after_the_longest_wait() {
        assert!(Outage::new(2).rejects().await);
    }
}
