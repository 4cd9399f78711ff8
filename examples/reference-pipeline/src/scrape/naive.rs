//! *Before*: calls as the motivating system makes them.
//!
//! Written from a description of that system's behaviour, not from its code, and with no fault made
//! worse. Each habit looks harmless by itself:
//!
//! - a new client, and so a new connection, for each call;
//! - a fixed wait between attempts, the same for all callers;
//! - another attempt after *any* failure, a 404 included;
//! - `Retry-After` is ignored, and a timeout setting has no effect;
//! - no limit on retries but each call's own;
//! - a hand-made rate limit and circuit breaker, which are correct only without concurrency;
//! - retries *below* the rate limit, which therefore counts one call where there are four;
//! - one pool of connections for all hosts;
//! - rows appended as they arrive;
//! - a failure is logged, and then counts as done.

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

/// Attempts of a call: the first one and three retries.
pub const ATTEMPTS: usize = 4;

/// Wait between attempts: five seconds in production, of which the demo takes a tenth.
const WAIT: Duration = Duration::from_millis(500);

/// Calls that may be under way at once, to all hosts together.
const POOL: usize = 24;

/// Pipeline of the *before* arm. Clones share rate limit, breaker and pool.
#[derive(Debug, Clone)]
pub struct Naive {
    base: Url,
    client: String,
    store: Store,
    shared: Arc<Shared>,
}

/// State that the calls of a process share.
#[derive(Debug)]
struct Shared {
    odds: Bucket,
    breaker: Breaker,
    pool: Semaphore,
}

impl Naive {
    /// Creates a pipeline that calls `base` under the name `client`.
    #[must_use]
    pub fn new(base: Url, client: String, store: Store) -> Naive {
        let odds = Bucket::full();
        let breaker = Breaker::default();
        let shared = Arc::new(Shared { odds, breaker, pool: Semaphore::new(POOL) });
        Naive { base, client, store, shared }
    }

    async fn get(&self, path: &str) -> Result<Response, BoxError> {
        // A proxy of the environment must not be used for loopback addresses.
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

/// Removes the whole lines from `unread` and parses them. The rest remains in `unread`.
fn take_rows(unread: &mut Vec<u8>) -> Result<Vec<TeamGame>, BoxError> {
    let whole = unread.iter().rposition(|byte| *byte == b'\n').map_or(0, |last| last + 1);
    let lines: Vec<u8> = unread.drain(..whole).collect();
    Ok(serde_json::Deserializer::from_slice(&lines).into_iter().collect::<Result<_, _>>()?)
}

/// Retries until success or until the attempts are used up. Returns `None` in that case.
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

    /// Reports failures, so that the herd's calls can be counted.
    async fn call(&self, path: String) -> Result<(), BoxError> {
        let result = with_fixed_waits(|| self.get(&path)).await;
        result.map(|_| ()).ok_or_else(|| "no attempts left".into())
    }

    async fn board(&self, path: String) -> Result<(), BoxError> {
        self.shared.odds.acquire().await;
        self.call(path).await
    }

    /// Makes no retries: this job measures the circuit breaker.
    async fn guarded(&self, path: String) -> Result<(), BoxError> {
        if !self.shared.breaker.allows(clock::now()) {
            return Err("the breaker is open".into());
        }
        let result = self.get(&path).await;
        self.shared.breaker.record(clock::now(), result.is_ok());
        result.map(|_| ())
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
    fn whole_lines_are_taken_and_the_rest_remains() {
        let league = generate::league(1, 1);
        let row = &league.on(league.days().next().unwrap()).unwrap()[0];
        let mut unread = serde_json::to_vec(row).unwrap();
        unread.extend_from_slice(b"\n{\"half\":");
        assert_eq!(take_rows(&mut unread).unwrap(), std::slice::from_ref(row));
        assert_eq!(unread, b"{\"half\":");
    }

    #[tokio::test(start_paused = true)]
    async fn any_failure_is_retried_and_then_ignored() {
        let tries = std::cell::Cell::new(0);
        let gone = || {
            tries.set(tries.get() + 1);
            async { Err::<(), BoxError>("404".into()) }
        };
        assert_eq!(with_fixed_waits(gone).await, None);
        assert_eq!(tries.get(), ATTEMPTS);
    }
}
