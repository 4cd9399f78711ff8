//! An outage that all clients meet at the same instant.
//!
//! Requests hang until the last client of the herd has arrived; then all of them are rejected
//! together, and every later request succeeds. That produces hundreds of failures within a few
//! milliseconds, on a machine of any speed: clients that all wait for the same time then retry as
//! one. A herd that stays incomplete, for want of open files, is rejected after ten seconds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::time::timeout;

/// The longest time for which requests of an incomplete herd are held.
const MAX_WAIT: Duration = Duration::from_secs(10);

/// An outage that rejects a herd of known size once.
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

    /// Waits for the rest of the herd. Returns `true` if the request is to be rejected.
    pub async fn rejects(&self) -> bool {
        let early = self.arrived.fetch_add(1, Ordering::Relaxed) < self.herd;
        if early {
            // The herd is rejected whether or not it became complete.
            let _ = timeout(MAX_WAIT, self.all_here.wait()).await;
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
    async fn a_whole_herd_is_rejected_together_and_later_calls_succeed() {
        let outage = Outage::new(3);
        let mut first_two = Box::pin(join(outage.rejects(), outage.rejects()));
        assert_eq!((&mut first_two).now_or_never(), None);
        assert!(outage.rejects().await);
        assert_eq!(first_two.await, (true, true));
        assert_eq!(join_all([outage.rejects(), outage.rejects()]).await, [false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_incomplete_herd_is_rejected_after_a_timeout() {
        assert!(Outage::new(2).rejects().await);
    }
}
