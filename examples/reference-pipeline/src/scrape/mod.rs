//! Scrapers: processes that fetch data from the upstream.
//!
//! The two arms differ only in their calls and their writes: days, concurrency and upstream are the
//! same. [`naive`] is *before*, [`resilient`] is *after*.

mod beside;
mod fetch;
mod hand_made;
mod jobs;
mod keys;
pub mod message;
pub mod naive;
pub mod profiles;
pub mod resilient;
pub mod store;

use std::fmt;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use jiff::civil::Date;
use reqwest::Url;
use resilience_core::profiles::Profiles;

use crate::BoxError;
use crate::upstream::Addresses;
use message::{Message, Summary};
use naive::Naive;
use resilient::Resilient;
use store::Store;

/// Header with the name of the client.
pub const CLIENT: &str = "x-client";

/// The two pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(clippy::exhaustive_enums, reason = "there is a before and an after")]
pub enum Arm {
    /// Fixed waits, retries after any failure, appends.
    Before,
    /// The layers, and idempotent writes.
    After,
}

/// Job of a scraper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Job {
    /// Fetch game days into the store.
    Season,
    /// Make one call for each of many clients at once, before an outage.
    Herd,
    /// Call an unavailable upstream.
    Dead,
    /// Call it at once when circuit breakers are half open.
    HalfOpen,
    /// Request odds within the limits of their API.
    Odds,
    /// Call three hosts, one of which hangs.
    Slow,
    /// Make many calls where connections are counted.
    Connections,
    /// Create circuit breakers for many keys.
    Keys,
}

impl Job {
    /// All jobs, in the order in which the demo runs them.
    pub const ALL: [Job; 8] = [
        Job::Season,
        Job::Herd,
        Job::Dead,
        Job::HalfOpen,
        Job::Odds,
        Job::Slow,
        Job::Connections,
        Job::Keys,
    ];
}

impl fmt::Display for Arm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Arm::Before => "before",
            Arm::After => "after",
        })
    }
}

impl fmt::Display for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Job::Season => "season",
            Job::Herd => "herd",
            Job::Dead => "dead",
            Job::HalfOpen => "half-open",
            Job::Odds => "odds",
            Job::Slow => "slow",
            Job::Connections => "connections",
            Job::Keys => "keys",
        })
    }
}

/// Arguments of a scraper. The demo writes them onto its command line.
#[derive(Debug, Clone, Args)]
pub struct Orders {
    /// Pipeline to use.
    #[arg(long)]
    pub arm: Arm,
    /// Job to do.
    #[arg(long)]
    pub job: Job,
    /// Addresses of the upstream.
    #[command(flatten)]
    pub upstream: Addresses,
    /// SQLite file to write to.
    #[arg(long)]
    pub store: PathBuf,
    /// File with the profiles of *after*.
    #[arg(long)]
    pub profiles: PathBuf,
    /// Index of this scraper, counted from 0.
    #[arg(long)]
    pub worker: usize,
    /// Number of scrapers that share the job.
    #[arg(long)]
    pub workers: usize,
    /// Number of calls to make, for jobs that do not fetch days.
    #[arg(long)]
    pub calls: usize,
}

impl Orders {
    /// Name of this scraper in its requests.
    fn client(&self) -> String {
        format!("scraper-{}", self.worker)
    }
}

/// Calls and writes of an arm.
///
/// A method returns the reason for a failure, unless the arm hides failures.
pub trait Pipeline: Clone + Send + Sync + 'static {
    /// Returns the game days of the league.
    fn days(&self) -> impl Future<Output = Result<Vec<Date>, BoxError>> + Send;

    /// Fetches a day into the store.
    fn day(&self, day: Date) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Makes a call and ignores the response.
    fn call(&self, path: String) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Requests a board from the odds API, which has a rate limit.
    fn board(&self, path: String) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.call(path)
    }

    /// Makes a call through a circuit breaker.
    fn guarded(&self, path: String) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.call(path)
    }

    /// Makes a call where connections are counted.
    fn player(&self, url: String) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Calls the `host`th host.
    fn quote(&self, host: usize, url: String) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Does the job, and reports on stdout.
///
/// # Errors
/// If the job cannot be started. Failures of calls are counted in the [`Summary`].
pub async fn run(orders: &Orders) -> Result<(), BoxError> {
    let store = Store::open(&orders.store)?;
    let base = format!("http://{}", orders.upstream.main).parse::<Url>()?;
    let summary = match orders.arm {
        Arm::Before => work(orders, Naive::new(base, orders.client(), store)).await?,
        Arm::After => {
            work(
                orders,
                Resilient::new(
                    base,
                    &orders.client(),
                    orders.job,
                    &Profiles::load(&orders.profiles)?,
                    store,
                )?,
            )
            .await?
        }
    };
    Message::Summary(summary).send()
}

async fn work(orders: &Orders, pipeline: impl Pipeline) -> Result<Summary, BoxError> {
    match orders.job {
        Job::Season => jobs::season(orders, pipeline).await,
        Job::Herd => jobs::herd(orders.calls, pipeline).await,
        Job::Dead => jobs::dead(orders.calls, pipeline).await,
        Job::HalfOpen => jobs::half_open(orders.calls, pipeline).await,
        Job::Odds => jobs::odds(orders.calls, pipeline).await,
        Job::Slow => beside::slow(orders.calls, &orders.upstream.hosts, pipeline).await,
        Job::Connections => jobs::connections(orders, pipeline).await,
        Job::Keys => keys::remember(orders.arm, orders.calls).await,
    }
}
