//! Requests at a constant rate.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::pin::pin;
use std::time::Duration;

use reqwest::{Client, Url};
use resilience_core::clock;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use crate::BoxError;
use crate::percentile::p99;

/// Time after which a user gives up on a response.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);

/// Results of the requests.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Load {
    /// Requests sent.
    pub requests: u64,
    /// Requests without a good response.
    pub failed: u64,
    /// Failed requests by reason.
    pub reasons: BTreeMap<String, u64>,
    /// 99th percentile of the time from the instant at which a request is due, in milliseconds.
    pub p99_ms: f64,
}

/// Makes `rate` requests a second until `stop` is ready, and waits for the last of them.
///
/// A request is made when it is due, whether or not earlier ones have ended (an open workload):
/// users do not wait for each other.
pub(super) async fn run(
    url: Url,
    rate: u32,
    stop: impl Future<Output = ()>,
) -> Result<Load, BoxError> {
    let client = Client::builder().no_proxy().retry(reqwest::retry::never());
    let client = client.timeout(REQUEST_TIMEOUT).build()?;
    let mut due = interval(Duration::from_secs(1) / rate);
    due.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    let mut ended = Vec::new();
    let mut stop = pin!(stop);
    loop {
        tokio::select! {
            biased;
            () = &mut stop => break,
            at = due.tick() => {
                let client = client.clone();
                let url = url.clone();
                running.spawn(async move {
                    let result = request(&client, url).await;
                    (result, clock::now().saturating_duration_since(at.into_std()))
                });
            }
            Some(one) = running.join_next(), if !running.is_empty() => ended.push(one?),
        }
    }
    while let Some(one) = running.join_next().await {
        ended.push(one?);
    }
    Ok(Load::of(ended))
}

/// Sends a request and reads the whole response. Returns the reason for a failure in a few words.
async fn request(client: &Client, url: Url) -> Result<(), String> {
    let response = client.get(url).send().await.map_err(|error| innermost(&error))?;
    let status = response.status();
    response.bytes().await.map_err(|error| innermost(&error))?;
    if status.is_success() { Ok(()) } else { Err(status.to_string()) }
}

fn innermost(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn StdError), |&error| error.source());
    causes.last().map(ToString::to_string).unwrap_or_default()
}

impl Load {
    fn of(ended: Vec<(Result<(), String>, Duration)>) -> Load {
        let mut load = Load::default();
        let mut took = Vec::with_capacity(ended.len());
        for (result, one) in ended {
            took.push(one);
            load.requests += 1;
            if let Err(reason) = result {
                load.failed += 1;
                *load.reasons.entry(reason).or_default() += 1;
            }
        }
        load.p99_ms = p99(took);
        load
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_reason() {
        let millis = Duration::from_millis;
        let ended = vec![
            (Ok(()), millis(3)),
            (Err("503 Service Unavailable".to_owned()), millis(1)),
            (Err("503 Service Unavailable".to_owned()), millis(2)),
        ];
        let load = Load::of(ended);
        assert_eq!((load.requests, load.failed), (3, 2));
        assert_eq!(load.reasons["503 Service Unavailable"], 2);
        assert_eq!(load.p99_ms, 3.0);
        assert_eq!(Load::of(Vec::new()).p99_ms, 0.0);
    }
}
