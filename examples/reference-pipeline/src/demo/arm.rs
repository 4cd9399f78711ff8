//! All jobs of one arm, and their results.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;
use resilience_core::clock;
use serde::Serialize;

use super::children::{self, Upstream};
use super::options::{Options, Size};
use crate::BoxError;
use crate::deploy::rolling::{self, Plan, Restarted};
use crate::deploy::smoke::{self, Deploys};
use crate::league::League;
use crate::progress::Display;
use crate::scrape::message::Summary;
use crate::scrape::store::{Landed, Store};
use crate::scrape::{Arm, Job, Orders};
use crate::upstream::{self, ledger::Statement};

/// Name of the file with the scrapers' profiles.
pub(super) const PROFILES: &str = "profiles.toml";

/// Number of scrapers that share the season.
const WORKERS: usize = 2;

/// Input of both arms.
pub(super) struct Setup<'a> {
    league: &'a League,
    size: Size,
    seed: u64,
    out: &'a Path,
}

impl<'a> Setup<'a> {
    pub(super) fn new(options: &'a Options, league: &'a League) -> Setup<'a> {
        Setup { league, size: options.size(), seed: options.seed, out: &options.out }
    }

    fn upstream(&self) -> upstream::Orders {
        let league = self.out.join("league.json");
        upstream::Orders { league, seed: self.seed, herd: self.size.herd }
    }

    /// Returns the number of days that have missing rows in the store.
    fn days_missing(&self, landed: &Landed) -> usize {
        let whole = |day: &_| landed.is_whole(*day, self.league.on(*day).unwrap_or_default().len());
        self.league.days().filter(|day| !whole(day)).count()
    }
}

/// Results of an arm, from its scrapers, its store and its upstream.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) season: Summary,
    pub(super) herd: Summary,
    pub(super) odds: Summary,
    pub(super) slow: Summary,
    pub(super) players: Summary,
    pub(super) keys: Summary,
    pub(super) restarts: Restarted,
    pub(super) deploys: Deploys,
    pub(super) rows: u64,
    pub(super) duplicates: u64,
    pub(super) days_missing: usize,
    pub(super) upstream: Statement,
    pub(super) seconds: Seconds,
}

/// Duration of each job in seconds, by name.
#[derive(Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct Seconds(BTreeMap<String, f64>);

impl Seconds {
    pub(super) fn total(&self) -> f64 {
        self.0.values().sum()
    }
}

/// Runs all jobs of an arm against an upstream of its own.
pub(super) async fn run(arm: Arm, setup: &Setup<'_>, display: &Display) -> Result<Run, BoxError> {
    let store_path = setup.out.join(format!("{arm}.sqlite"));
    remove_old(&store_path)?;
    // Created here, since two scrapers would otherwise create the tables at once.
    let store = Store::open(&store_path)?;
    let upstream = Upstream::start(&setup.upstream()).await?;
    let seconds = Seconds::default();
    let profiles = setup.out.join(PROFILES);
    let mut jobs = Jobs { arm, profiles, upstream: &upstream, store: store_path, display, seconds };
    let size = setup.size;
    let season = jobs.run(Job::Season, WORKERS, 0).await?;
    let herd = jobs.run(Job::Herd, 1, size.herd).await?;
    jobs.run(Job::Dead, 1, size.dead).await?;
    jobs.run(Job::HalfOpen, 1, size.half_open).await?;
    let odds = jobs.run(Job::Odds, 1, size.boards).await?;
    let slow = jobs.run(Job::Slow, 1, size.beats).await?;
    let players = jobs.run(Job::Connections, 1, size.players).await?;
    let keys = jobs.run(Job::Keys, 1, size.keys).await?;
    let plan = Plan { rounds: size.restarts, rate: size.rate, balancer: None };
    let restarts = jobs.restarts(plan).await?;
    let deploys = jobs.deploys().await?;
    let landed = store.landed()?;
    Ok(Run {
        season,
        herd,
        odds,
        slow,
        players,
        keys,
        restarts,
        deploys,
        rows: landed.rows,
        duplicates: landed.duplicates,
        days_missing: setup.days_missing(&landed),
        upstream: statement(&upstream).await?,
        seconds: jobs.seconds,
    })
}

struct Jobs<'a> {
    arm: Arm,
    profiles: PathBuf,
    upstream: &'a Upstream,
    store: PathBuf,
    display: &'a Display,
    seconds: Seconds,
}

impl Jobs<'_> {
    /// Runs a job and returns the sum of the scrapers' results.
    async fn run(&mut self, job: Job, workers: usize, calls: usize) -> Result<Summary, BoxError> {
        let display = self.display;
        let this = &*self;
        let scrapers = (0..workers).map(async |worker| {
            let orders = this.orders(job, worker, workers, calls);
            children::scrape(&orders, |made| display.progress(worker, made)).await
        });
        let name = job.to_string();
        let (summaries, took) = self.shown(&name, workers, try_join_all(scrapers)).await?;
        self.seconds.0.insert(name, took);
        Ok(summaries.into_iter().fold(Summary::default(), Summary::and))
    }

    async fn restarts(&mut self, plan: Plan) -> Result<Restarted, BoxError> {
        let work = rolling::run(self.arm, &self.store, plan, |made| self.display.progress(0, made));
        let (restarted, took) = self.shown("restarts", 1, work).await?;
        self.seconds.0.insert("restarts".into(), took);
        Ok(restarted)
    }

    async fn deploys(&mut self) -> Result<Deploys, BoxError> {
        let work = smoke::run(self.arm, &self.store, |made| self.display.progress(0, made));
        let (deploys, took) = self.shown("deploys", 1, work).await?;
        self.seconds.0.insert("deploys".into(), took);
        Ok(deploys)
    }

    /// Runs `work` with a progress display. Returns its result and its duration in seconds.
    async fn shown<T>(
        &self,
        name: &str,
        parts: usize,
        work: impl Future<Output = Result<T, BoxError>>,
    ) -> Result<(T, f64), BoxError> {
        let started = clock::now();
        self.display.begin(format!("{}: {name}", self.arm), parts);
        let done = work.await?;
        self.display.end();
        Ok((done, clock::now().saturating_duration_since(started).as_secs_f64()))
    }

    fn orders(&self, job: Job, worker: usize, workers: usize, calls: usize) -> Orders {
        let store = self.store.clone();
        Orders {
            arm: self.arm,
            job,
            upstream: self.upstream.addresses.clone(),
            store,
            profiles: self.profiles.clone(),
            worker,
            workers,
            calls,
        }
    }
}

/// Removes the store of an earlier run, with the two files that SQLite keeps beside it.
fn remove_old(store: &Path) -> io::Result<()> {
    for companion in ["", "-wal", "-shm"] {
        let mut path = store.as_os_str().to_owned();
        path.push(companion);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

async fn statement(upstream: &Upstream) -> Result<Statement, BoxError> {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build()?;
    let url = format!("http://{}/_ledger", upstream.addresses.main);
    let response = client.get(url).send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&response.bytes().await?)?)
}
