//! A token bucket that looks, sleeps, and then takes.
//!
//! Between the look and the taking, everybody else looks too. A hundred callers who find the bucket
//! empty all wait for *one* token, the same one, and all go when it is there.

use std::time::{Duration, Instant};

use parking_lot::Mutex;
use resilience_core::clock;

use crate::upstream::odds::{BURST, MINUTE, PER_MINUTE};

/// As many tokens a minute as the API allows.
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

    /// Waits for a token and takes it. The lock is never held for long.
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
        (self.tokens, self.filled) = ((self.tokens + grown).min(BURST.into()), now);
        gap.mul_f64((1.0 - self.tokens).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::join_all;

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_it_keeps_the_rate() {
        let (bucket, start) = (Bucket::full(), clock::now());
        for _ in 0..BURST + PER_MINUTE {
            bucket.acquire().await;
        }
        assert!(clock::now().saturating_duration_since(start) >= MINUTE * 9 / 10);
    }

    #[tokio::test(start_paused = true)]
    async fn a_hundred_at_once_are_let_through_together() {
        let (bucket, start) = (Bucket::full(), clock::now());
        join_all((0..100).map(|_| bucket.acquire())).await;
        assert!(clock::now().saturating_duration_since(start) <= MINUTE / 10);
        assert!(bucket.0.lock().tokens < -90.0);
    }
}
