//! A service that goes away for everybody at once.
//!
//! The requests of a herd hang, as they do on a server that is going down, until the last client has
//! arrived; then all are refused together, and all is well again. That is how a herd is made: hundreds
//! of clients whose failures are milliseconds apart, and who, if they all wait for the same time, come
//! back as one. Waiting for the last and not for a while is what makes it one instant on any machine;
//! where some can never come, for want of open files, the others wait for ten seconds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::time::timeout;

/// How long a herd that is not complete is kept.
const PATIENCE: Duration = Duration::from_secs(10);

/// An outage that refuses a herd of known size, once.
#[derive(Debug)]
pub struct Outage {
    herd: usize,
    arrived: AtomicUsize,
    all_here: Barrier,
}

impl Outage {
    /// For so many clients.
    #[must_use]
    pub fn new(herd: usize) -> Outage {
        Outage { herd, arrived: AtomicUsize::new(0), all_here: Barrier::new(herd) }
    }

    /// Whether a request is refused; known once it is time to answer it.
    pub async fn refuses(&self) -> bool {
        let early = self.arrived.fetch_add(1, Ordering::Relaxed) < self.herd;
        if early {
            // Late or complete, they are refused all the same.
            let _ = timeout(PATIENCE, self.all_here.wait()).await;
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
    async fn all_are_refused_together_and_then_none() {
        let outage = Outage::new(3);
        let mut first_two = Box::pin(join(outage.refuses(), outage.refuses()));
        assert_eq!((&mut first_two).now_or_never(), None);
        assert!(outage.refuses().await);
        assert_eq!(first_two.await, (true, true));
        assert_eq!(join_all([outage.refuses(), outage.refuses()]).await, [false, false]);
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_ever_for_the_last() {
        assert!(Outage::new(2).refuses().await);
    }
}
