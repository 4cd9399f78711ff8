//! What a host that hangs does to those beside it.
//!
//! Calls are made on the beat, whether or not those before have ended, and each counts from the beat
//! that it was due at: a scraper that waits its turn does not make a slow service look fast.

use std::net::SocketAddr;
use std::time::Duration;

use resilience_core::clock;
use tokio::task::JoinSet;
use tokio::time::interval;

use super::Pipeline;
use super::message::{Measured, Message, Progress, Summary};
use crate::BoxError;
use crate::percentile::p99;

/// One call to each host, every so often.
const BEAT: Duration = Duration::from_millis(50);

/// Calls the healthy hosts, and then all of them, the last of which hangs. Counts and measures the
/// healthy ones' calls.
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
    /// What the calls took of the first so many hosts, which are healthy.
    async fn beat(
        &mut self,
        beats: usize,
        hosts: &[SocketAddr],
        healthy: usize,
        pipeline: &impl Pipeline,
    ) -> Result<Vec<Duration>, BoxError> {
        let (mut beat, mut running, mut took) = (interval(BEAT), JoinSet::new(), Vec::new());
        for _ in 0..beats {
            let due = beat.tick().await.into_std();
            for (host, address) in hosts.iter().enumerate() {
                let (url, pipeline) = (format!("http://{address}/quotes"), pipeline.clone());
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
