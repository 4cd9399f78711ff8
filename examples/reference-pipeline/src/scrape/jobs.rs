//! What there is to do, whichever way it is done.

use futures_util::{StreamExt, stream};

use super::message::{Message, Progress, Summary};
use super::{Orders, Pipeline};
use crate::BoxError;

/// Days that a scraper fetches at once.
const SEASON_AT_ONCE: usize = 32;

/// Calls to a dead upstream at once: all of them would need a thousand sockets at both ends.
const DEAD_AT_ONCE: usize = 200;

/// Fetches this scraper's share of the game days.
pub(super) async fn season(orders: &Orders, pipeline: impl Pipeline) -> Result<Summary, BoxError> {
    let days = pipeline.days().await?;
    let own: Vec<_> = days.into_iter().skip(orders.worker).step_by(orders.workers).collect();
    let fetches = own.into_iter().map(|day| {
        let pipeline = pipeline.clone();
        (day.to_string(), async move { pipeline.day(day).await })
    });
    all(fetches.collect(), SEASON_AT_ONCE).await
}

/// Is so many clients, all at once.
pub(super) async fn herd(clients: usize, pipeline: impl Pipeline) -> Result<Summary, BoxError> {
    all(calls("herd", clients, &pipeline), clients).await
}

/// Makes so many calls to nobody.
pub(super) async fn dead(count: usize, pipeline: impl Pipeline) -> Result<Summary, BoxError> {
    all(calls("dead", count, &pipeline), DEAD_AT_ONCE).await
}

fn calls(
    part: &str,
    count: usize,
    pipeline: &impl Pipeline,
) -> Vec<(String, impl Future<Output = Result<(), BoxError>> + Send + 'static)> {
    let call = |number| {
        let (path, pipeline) = (format!("/{part}/{number}"), pipeline.clone());
        (path.clone(), async move { pipeline.call(path).await })
    };
    (0..count).map(call).collect()
}

/// Runs named work, so much of it at once, and counts how it ends.
async fn all<F>(work: Vec<(String, F)>, at_once: usize) -> Result<Summary, BoxError>
where
    F: Future<Output = Result<(), BoxError>> + Send + 'static,
{
    let mut progress = Progress { done: 0, of: work.len() };
    let mut summary = Summary::default();
    let mut running = stream::iter(work)
        .map(async |(name, future)| (name, tokio::spawn(future).await))
        .buffer_unordered(at_once);
    while let Some((name, ended)) = running.next().await {
        summary.count(&name, ended?);
        progress.done += 1;
        Message::Progress(progress).send()?;
    }
    Ok(summary)
}
