//! Scrapers: processes that ask the upstream for what it has.
//!
//! The two arms differ in how they ask and in how they write, and in nothing else: the same days,
//! the same concurrency, the same upstream. [`naive`] is *before*, [`resilient`] is *after*.

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

/// The header in which a client says who it is.
pub const CLIENT: &str = "x-client";

/// Which of the two pipelines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[expect(clippy::exhaustive_enums, reason = "there is a before and an after")]
pub enum Arm {
    /// Fixed waits, retry on anything, append.
    Before,
    /// The layers, and writes that can be repeated.
    After,
}

/// What a scraper is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Job {
    /// Fetch game days into the store.
    Season,
    /// Be many clients at once, at an upstream that is about to go down.
    Herd,
    /// Call an upstream that is dead.
    Dead,
    /// Call one that is dead when a breaker's time is over.
    HalfOpen,
    /// Ask for odds, within what their API allows.
    Odds,
    /// Call three hosts, of which one hangs.
    Slow,
    /// Make many calls, where connections are counted.
    Connections,
    /// Have breakers for very many keys.
    Keys,
}

impl Job {
    /// All of them, in the order in which the demo has them done.
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

/// A scraper's orders, as the demo writes them onto its command line.
#[derive(Debug, Clone, Args)]
pub struct Orders {
    /// How to do it.
    #[arg(long)]
    pub arm: Arm,
    /// What to do.
    #[arg(long)]
    pub job: Job,
    /// Whom to ask.
    #[command(flatten)]
    pub upstream: Addresses,
    /// Where to write.
    #[arg(long)]
    pub store: PathBuf,
    /// Which limits to keep, if this is an arm that keeps any.
    #[arg(long)]
    pub profiles: PathBuf,
    /// Which of the scrapers this is, counted from 0.
    #[arg(long)]
    pub worker: usize,
    /// How many scrapers share the job.
    #[arg(long)]
    pub workers: usize,
    /// How many calls to make, where the job is not to fetch days.
    #[arg(long)]
    pub calls: usize,
}

impl Orders {
    /// The name under which the upstream knows this scraper.
    fn client(&self) -> String {
        format!("scraper-{}", self.worker)
    }
}

/// A way to ask and to write.
///
/// What fails says why, unless the arm is one that swallows failures.
pub trait Pipeline: Clone + Send + Sync + 'static {
    /// The game days that there are.
    fn days(&self) -> impl Future<Output = Result<Vec<Date>, BoxError>> + Send;

    /// Fetches a day into the store.
    fn day(&self, day: Date) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Makes a call whose answer does not matter.
    fn call(&self, path: String) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Asks the odds API, which allows so many calls a minute.
    fn board(&self, path: String) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.call(path)
    }

    /// Makes a call that a breaker stands before.
    fn guarded(&self, path: String) -> impl Future<Output = Result<(), BoxError>> + Send {
        self.call(path)
    }

    /// Makes a call where connections are counted.
    fn player(&self, url: String) -> impl Future<Output = Result<(), BoxError>> + Send;

    /// Calls one of the hosts, the `host`th.
    fn quote(&self, host: usize, url: String) -> impl Future<Output = Result<(), BoxError>> + Send;
}

/// Carries the orders out, and reports on stdout.
///
/// # Errors
/// If the job cannot be begun. What fails on the way is counted in the [`Summary`].
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
