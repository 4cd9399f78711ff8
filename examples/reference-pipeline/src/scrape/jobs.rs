//! Jobs, written once for both arms.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::message::{Message, Progress, Summary};
use super::{Orders, Pipeline};
use crate::BoxError;

/// Days that a scraper fetches concurrently.
const SEASON_AT_ONCE: usize = 32;

/// Concurrent calls to the unavailable upstream: a thousand would need a thousand sockets at both
/// ends.
const DEAD_AT_ONCE: usize = 200;

/// Concurrent workers that request odds.
const ODDS_AT_ONCE: usize = 100;

/// Concurrent calls that a scraper attempts where connections are counted.
const CONNECTIONS_AT_ONCE: usize = 64;

/// Failures that open the circuit breaker of either arm.
const TRIP: usize = 5;

/// Time until an open circuit breaker is half open. Its break takes a second.
const UNTIL_HALF_OPEN: Duration = Duration::from_millis(1_500);

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

/// Makes one call for each of `clients` clients, all at once.
pub(super) async fn herd(clients: usize, pipeline: impl Pipeline) -> Result<Summary, BoxError> {
    all(calls("herd", clients, &pipeline, call), clients).await
}

/// Makes `count` calls to an unavailable upstream.
pub(super) async fn dead(count: usize, pipeline: impl Pipeline) -> Result<Summary, BoxError> {
    all(calls("dead", count, &pipeline, call), DEAD_AT_ONCE).await
}

/// Requests `boards` boards of odds.
pub(super) async fn odds(boards: usize, pipeline: impl Pipeline) -> Result<Summary, BoxError> {
    let board = |pipeline, path| async move { Pipeline::board(&pipeline, path).await };
    all(calls("odds", boards, &pipeline, board), ODDS_AT_ONCE).await
}

/// Opens a circuit breaker, waits until it is half open, and then makes `count` calls at once.
pub(super) async fn half_open(count: usize, pipeline: impl Pipeline) -> Result<Summary, BoxError> {
    for call in 0..TRIP {
        // These calls fail by design: their failures open the breaker.
        let _ = pipeline.guarded(format!("/failing/{call}")).await;
    }
    tokio::time::sleep(UNTIL_HALF_OPEN).await;
    let guarded = |pipeline, path| async move { Pipeline::guarded(&pipeline, path).await };
    all(calls("half-open", count, &pipeline, guarded), count).await
}

/// Makes `orders.calls` calls where connections are counted.
pub(super) async fn connections(
    orders: &Orders,
    pipeline: impl Pipeline,
) -> Result<Summary, BoxError> {
    let base = format!("http://{}", orders.upstream.counted);
    let player = move |pipeline, path| {
        let url = format!("{base}{path}");
        async move { Pipeline::player(&pipeline, url).await }
    };
    all(calls("players", orders.calls, &pipeline, player), CONNECTIONS_AT_ONCE).await
}

async fn call(pipeline: impl Pipeline, path: String) -> Result<(), BoxError> {
    pipeline.call(path).await
}

fn calls<P: Pipeline, F>(
    part: &str,
    count: usize,
    pipeline: &P,
    make: impl Fn(P, String) -> F,
) -> Vec<(String, F)> {
    let call = |number| {
        let path = format!("/{part}/{number}");
        (path.clone(), make(pipeline.clone(), path))
    };
    (0..count).map(call).collect()
}

/// Runs named futures, at most `at_once` of them concurrently, and counts their results.
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
