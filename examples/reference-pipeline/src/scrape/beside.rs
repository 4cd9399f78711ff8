//! Effect of a host that hangs on calls to healthy hosts.
//!
//! Calls are made at fixed instants, whether or not earlier ones have ended, and each is timed from
//! the instant at which it was due (no coordinated omission): time that a call spends waiting in
//! the scraper counts.

use std::net::SocketAddr;
use std::time::Duration;

use resilience_core::clock;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::Pipeline;
use super::message::{Measured, Message, Progress, Summary};
use crate::BoxError;
use crate::percentile::p99;

/// Interval between rounds of one call to each host.
const BEAT: Duration = Duration::from_millis(50);

/// Calls the healthy hosts alone, and then with the last host, which hangs. Counts and times only
/// the healthy hosts' calls.
pub(super) async fn slow(
    beats: usize,
    hosts: &[SocketAddr],
    pipeline: impl Pipeline,
) -> Result<Summary, BoxError> {
    let healthy = hosts.split_last().map(|(_, healthy)| healthy).ok_or("no hosts")?;
    let mut counts = Counts {
        summary: Summary::default(),
        progress: Progress { done: 0, of: beats * (healthy.len() + hosts.len()) },
    };
    let alone = counts.beat(beats, healthy, healthy.len(), &pipeline).await?;
    let beside_slow = counts.beat(beats, hosts, healthy.len(), &pipeline).await?;
    let measured = Some(Measured::Healthy { alone: p99(alone), beside_slow: p99(beside_slow) });
    Ok(Summary { measured, ..counts.summary })
}

struct Counts {
    summary: Summary,
    progress: Progress,
}

struct Ended {
    host: usize,
    took: Duration,
    result: Result<(), BoxError>,
}

impl Counts {
    /// Calls all `hosts`. Returns the durations for the first `healthy` of them.
    async fn beat(
        &mut self,
        beats: usize,
        hosts: &[SocketAddr],
        healthy: usize,
        pipeline: &impl Pipeline,
    ) -> Result<Vec<Duration>, BoxError> {
        let mut beat = interval(BEAT);
        let mut running = JoinSet::new();
        let mut took = Vec::new();
        for _ in 0..beats {
            let due = beat.tick().await.into_std();
            for (host, address) in hosts.iter().enumerate() {
                let url = format!("http://{address}/quotes");
                let pipeline = pipeline.clone();
                running.spawn(async move {
                    let result = pipeline.quote(host, url).await;
                    let took = clock::now().saturating_duration_since(due);
                    Ended { host, took, result }
                });
            }
        }
        while let Some(ended) = running.join_next().await {
            let Ended { host, took: one, result } = ended?;
            if host < healthy {
                self.summary.count("a healthy host", result);
                took.push(one);
            }
            self.progress.done += 1;
            Message::Progress(self.progress).send()?;
        }
        Ok(took)
    }
}
