//! Rolling restarts of three workers behind a balancer, while users make requests.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use reqwest::Url;
use serde::Serialize;
use tokio::sync::oneshot;

use super::Deployment;
use super::load::{self, Load};
use super::worker::{Worker, until_good};
use crate::BoxError;
use crate::balance::{Balancer, Kind};
use crate::progress::Display;
use crate::scrape::Arm;
use crate::scrape::message::Progress;
use crate::scrape::store::Store;

/// Number of workers behind the balancer.
pub const WORKERS: usize = 3;

/// Time under load before the first restart and after each.
const BETWEEN_RESTARTS: Duration = Duration::from_millis(300);

/// Number of restarts and load.
#[derive(Debug, Clone, Copy, Args)]
pub struct Plan {
    /// Number of times that all workers are restarted, one after the other.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub rounds: usize,
    /// Requests a second.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub rate: u32,
    /// Balancer before the workers; by default HAProxy, if it is installed.
    #[arg(long)]
    pub balancer: Option<Kind>,
}

/// Figures of the restarts as the users saw them.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Restarted {
    /// Name of the balancer.
    pub balancer: String,
    /// Workers that were restarted.
    pub restarts: usize,
    /// Workers that cut a request off, or were ended by the signal itself.
    pub unclean: usize,
    /// Requests of the users.
    pub load: Load,
}

impl fmt::Display for Restarted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Restarted { balancer, restarts, unclean, load } = self;
        let Load { requests, failed, reasons, p99_ms } = load;
        write!(
            f,
            "{failed} of {requests} requests lost over {restarts} restarts behind {balancer}"
        )?;
        write!(f, ", p99 {p99_ms:.1} ms, {unclean} workers ended uncleanly")?;
        for (reason, count) in reasons {
            write!(f, "\n  {count:>6} × {reason}")?;
        }
        Ok(())
    }
}

/// Restarts every worker `plan.rounds` times under load.
///
/// # Errors
/// If a process cannot be started, or does not become ready.
pub async fn run(
    arm: Arm,
    store: &Path,
    plan: Plan,
    progress: impl Fn(Progress),
) -> Result<Restarted, BoxError> {
    let kind = plan.balancer.unwrap_or_else(Kind::found);
    let deployment = Deployment::of(arm, store);
    let mut workers = Vec::with_capacity(WORKERS);
    for _ in 0..WORKERS {
        workers.push(deployment.start(None).await?);
    }
    let addresses: Vec<_> = workers.iter().map(|worker| worker.address).collect();
    let balancer = Balancer::start(kind, &addresses).await?;
    let url: Url = format!("http://{}/predictions/57", balancer.address).parse()?;
    until_good(&url).await?;
    let (stop, stopped) = oneshot::channel::<()>();
    let load = tokio::spawn(load::run(url, plan.rate, async {
        // The sender is only ever dropped, so this completes with an error.
        let _ = stopped.await;
    }));
    let unclean = restart(&deployment, &mut workers, plan.rounds, progress).await;
    drop(stop);
    let load = load.await??;
    let restarts = plan.rounds * WORKERS;
    Ok(Restarted { balancer: kind.to_string(), restarts, unclean: unclean?, load })
}

/// Runs both arms, one after the other, and prints their figures. Returns `true` if *after* lost no
/// request.
///
/// # Errors
/// Those of [`run`].
pub async fn compare(plan: Plan) -> Result<bool, BoxError> {
    let folder = tempfile::tempdir()?;
    let store = folder.path().join("store.sqlite");
    Store::open(&store)?;
    let mut lost = Vec::new();
    for arm in [Arm::Before, Arm::After] {
        let display = Display::default();
        display.begin(format!("{arm}: restarts"), 1);
        let restarted = run(arm, &store, plan, |made| display.progress(0, made)).await?;
        display.end();
        println!("{arm}: {restarted}");
        lost.push(restarted.load.failed);
    }
    Ok(lost[1] == 0)
}

/// Returns the number of workers that ended uncleanly.
async fn restart(
    deployment: &Deployment,
    workers: &mut [Worker],
    rounds: usize,
    progress: impl Fn(Progress),
) -> Result<usize, BoxError> {
    let mut made = Progress { done: 0, of: rounds * workers.len() };
    let mut unclean = 0;
    tokio::time::sleep(BETWEEN_RESTARTS).await;
    for _ in 0..rounds {
        for worker in &mut *workers {
            progress(made);
            let address = worker.address;
            unclean += usize::from(!worker.stop().await?.success());
            *worker = deployment.start(Some(address)).await?;
            until_good(&format!("http://{address}/ready").parse()?).await?;
            tokio::time::sleep(BETWEEN_RESTARTS).await;
            made.done += 1;
        }
    }
    progress(made);
    Ok(unclean)
}
