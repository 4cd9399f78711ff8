//! A token bucket that checks, sleeps, and then takes.
//!
//! Other callers check between a caller's check and its taking. A hundred callers that find the
//! bucket empty all wait for the *same* token, and all are released when it is there.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::clock;

use crate::upstream::odds::{BURST, MINUTE, PER_MINUTE};

/// A bucket that is filled at the rate of the API.
#[derive(Debug)]
pub(in crate::scrape) struct Bucket(Mutex<State>);

#[derive(Debug)]
struct State {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(in crate::scrape) fn full() -> Bucket {
        Bucket(Mutex::new(State { tokens: BURST.into(), filled: clock::now() }))
    }

    /// Waits for a token and takes it.
    pub(in crate::scrape) async fn acquire(&self) {
        let wait = self.0.lock().wait(clock::now());
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        self.0.lock().tokens -= 1.0;
    }
}

impl State {
    fn wait(&mut self, now: Instant) -> Duration {
        let gap = MINUTE / PER_MINUTE;
        let grown = now.saturating_duration_since(self.filled).div_duration_f64(gap);
        self.tokens = (self.tokens + grown).min(BURST.into());
        self.filled = now;
        gap.mul_f64((1.0 - self.tokens).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_while_one_call_is_made_at_a_time() {
        let bucket = Bucket::full();
        let start = clock::now();
        for _ in 0..BURST + PER_MINUTE {
            bucket.acquire().await;
        }
        assert!(clock::now().saturating_duration_since(start) >= MINUTE * 9 / 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_calls_at_once_are_released_together() {
        let bucket = Bucket::full();
        let start = clock::now();
        join_all((0..100).map(|_| bucket.acquire())).await;
        assert!(clock::now().saturating_duration_since(start) <= MINUTE / 10);
        assert!(bucket.0.lock().tokens < -90.0);
    }
}
