//! *Before*: how the pipeline that this project was made for calls its upstreams.
//!
//! Written from what that system does, not from its code, and with nothing made worse than it is.
//! Each habit looks harmless by itself:
//!
//! - a new client, and so a new connection, for each call;
//! - a fixed wait between attempts, the same for everybody;
//! - another attempt after *anything*, a 404 included;
//! - a `Retry-After` that nobody reads, and a timeout setting that has no effect;
//! - no limit on retries but each call's own;
//! - a rate limit and a breaker of its own making, which hold as long as one call is made at a time;
//! - retries *below* the rate limit, which therefore counts one call where there are four;
//! - one pool of connections for all hosts;
//! - rows written as they arrive, by append;
//! - a failure that is logged somewhere, and then counts as done.

use std::sync::Arc;
use std::time::Duration;

use jiff::civil::Date;
use reqwest::{Client, Response, Url};
use resilience_core::clock;
use tokio::sync::Semaphore;

use super::hand_made::breaker::Breaker;
use super::hand_made::bucket::Bucket;
use super::store::Store;
use super::{CLIENT, Pipeline};
use crate::BoxError;
use crate::league::TeamGame;

/// The first attempt and three retries.
pub const ATTEMPTS: usize = 4;

/// Five seconds there; the demo runs ten times as fast.
const WAIT: Duration = Duration::from_millis(500);

/// Calls that may be under way at once, whichever host they are for.
const POOL: usize = 24;

/// The pipeline before.
#[derive(Debug, Clone)]
pub struct Naive {
    base: Url,
    client: String,
    store: Store,
    shared: Arc<Shared>,
}

/// What the calls of a process share.
#[derive(Debug)]
struct Shared {
    odds: Bucket,
    breaker: Breaker,
    pool: Semaphore,
}

impl Naive {
    /// Asks `base` under the name `client`.
    #[must_use]
    pub fn new(base: Url, client: String, store: Store) -> Naive {
        let (odds, breaker) = (Bucket::full(), Breaker::default());
        let shared = Arc::new(Shared { odds, breaker, pool: Semaphore::new(POOL) });
        Naive { base, client, store, shared }
    }

    async fn get(&self, path: &str) -> Result<Response, BoxError> {
        // No proxy: this is about the loopback, whatever the environment says.
        let client = Client::builder().no_proxy().build()?;
        let request = client.get(self.base.join(path)?).header(CLIENT, &self.client);
        Ok(request.send().await?.error_for_status()?)
    }

    async fn day_once(&self, day: Date) -> Result<(), BoxError> {
        let mut response = self.get(&format!("/days/{day}")).await?;
        let mut unread = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            unread.extend_from_slice(&chunk);
            self.store.append(take_rows(&mut unread)?).await?;
        }
        Ok(())
    }
}

/// The whole lines in `unread`, which keeps the rest.
fn take_rows(unread: &mut Vec<u8>) -> Result<Vec<TeamGame>, BoxError> {
    let whole = unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let lines: Vec<u8> = unread.drain(..whole).collect();
    Ok(serde_json::Deserializer::from_slice(&lines).into_iter().collect::<Result<_, _>>()?)
}

/// Tries until it works or the attempts are spent, after which it is somebody else's problem.
async fn with_fixed_waits<T, F>(attempt: impl Fn() -> F) -> Option<T>
where
    F: Future<Output = Result<T, BoxError>>,
{
    for _ in 1..ATTEMPTS {
        if let Ok(value) = attempt().await {
            return Some(value);
        }
        tokio::time::sleep(WAIT).await;
    }
    attempt().await.ok()
}

impl Pipeline for Naive {
    async fn days(&self) -> Result<Vec<Date>, BoxError> {
        Ok(serde_json::from_slice(&self.get("/days").await?.bytes().await?)?)
    }

    async fn day(&self, day: Date) -> Result<(), BoxError> {
        with_fixed_waits(|| self.day_once(day)).await;
        Ok(())
    }

    /// Says when it failed, so that the herd's calls can be counted.
    async fn call(&self, path: String) -> Result<(), BoxError> {
        let answer = with_fixed_waits(|| self.get(&path)).await;
        answer.map(|_| ()).ok_or_else(|| "no attempts left".into())
    }

    async fn board(&self, path: String) -> Result<(), BoxError> {
        self.shared.odds.acquire().await;
        self.call(path).await
    }

    /// Without retries: this is about the breaker.
    async fn guarded(&self, path: String) -> Result<(), BoxError> {
        if !self.shared.breaker.allows(clock::now()) {
            return Err("the breaker is open".into());
        }
        let answer = self.get(&path).await;
        self.shared.breaker.record(clock::now(), answer.is_ok());
        answer.map(|_| ())
    }

    async fn player(&self, url: String) -> Result<(), BoxError> {
        self.call(url).await
    }

    async fn quote(&self, _: usize, url: String) -> Result<(), BoxError> {
        let _connection = self.shared.pool.acquire().await?;
        self.call(url).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::league::generate;

    #[test]
    fn whole_lines_are_taken_and_the_rest_is_left() {
        let league = generate::league(1, 1);
        let row = &league.on(league.days().next().unwrap()).unwrap()[0];
        let mut unread = serde_json::to_vec(row).unwrap();
        unread.extend_from_slice(b"\n{\"half\":");
        assert_eq!(take_rows(&mut unread).unwrap(), std::slice::from_ref(row));
        assert_eq!(unread, b"{\"half\":");
    }

    #[tokio::test(start_paused = true)]
    async fn anything_is_retried_and_then_forgotten() {
        let tries = std::cell::Cell::new(0);
        let gone = || {
            tries.set(tries.get() + 1);
            async { Err::<(), BoxError>("404".into()) }
        };
        assert_eq!(with_fixed_waits(gone).await, None);
        assert_eq!(tries.get(), ATTEMPTS);
    }
}
