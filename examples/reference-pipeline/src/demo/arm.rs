//! One arm, from the first fetch to the last count.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::future::try_join_all;
use resilience_core::clock;
use serde::Serialize;

use super::children::{self, Upstream};
use super::options::{Options, Size};
use super::progress::Display;
use crate::BoxError;
use crate::league::League;
use crate::scrape::message::Summary;
use crate::scrape::store::{Landed, Store};
use crate::scrape::{Arm, Job, Orders};
use crate::upstream::{self, ledger::Statement};

/// Scrapers that share the season.
const WORKERS: usize = 2;

/// What is the same for both arms.
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

    /// Days that do not have all their rows in a store.
    fn days_missing(&self, landed: &Landed) -> usize {
        let whole = |day: &_| landed.is_whole(*day, self.league.on(*day).unwrap_or_default().len());
        self.league.days().filter(|day| !whole(day)).count()
    }
}

/// What one arm did, as its scrapers, its store and its upstream tell it.
#[derive(Debug, Serialize)]
pub(super) struct Run {
    pub(super) season: Summary,
    pub(super) herd: Summary,
    pub(super) rows: u64,
    pub(super) duplicates: u64,
    pub(super) days_missing: usize,
    pub(super) upstream: Statement,
    pub(super) seconds: Seconds,
}

/// How long each job took.
#[derive(Debug, Default, Serialize)]
pub(super) struct Seconds {
    season: f64,
    herd: f64,
    dead: f64,
}

impl Seconds {
    pub(super) fn total(&self) -> f64 {
        self.season + self.herd + self.dead
    }
}

/// Runs the three jobs against an upstream of their own.
pub(super) async fn run(arm: Arm, setup: &Setup<'_>, display: &Display) -> Result<Run, BoxError> {
    let store_path = setup.out.join(format!("{arm}.sqlite"));
    remove_old(&store_path)?;
    // Made before two scrapers open it at once.
    let store = Store::open(&store_path)?;
    let upstream = Upstream::start(&setup.upstream()).await?;
    let jobs = Jobs { arm, upstream: &upstream, store: store_path, display };
    let (season, season_time) = jobs.run(Job::Season, WORKERS, 0).await?;
    let (herd, herd_time) = jobs.run(Job::Herd, 1, setup.size.herd).await?;
    let (_, dead_time) = jobs.run(Job::Dead, 1, setup.size.dead).await?;
    let landed = store.landed()?;
    Ok(Run {
        season,
        herd,
        rows: landed.rows,
        duplicates: landed.duplicates,
        days_missing: setup.days_missing(&landed),
        upstream: statement(&upstream).await?,
        seconds: Seconds { season: season_time, herd: herd_time, dead: dead_time },
    })
}

struct Jobs<'a> {
    arm: Arm,
    upstream: &'a Upstream,
    store: PathBuf,
    display: &'a Display,
}

impl Jobs<'_> {
    /// What the scrapers say together, and the seconds they took.
    async fn run(
        &self,
        job: Job,
        workers: usize,
        calls: usize,
    ) -> Result<(Summary, f64), BoxError> {
        let started = clock::now();
        self.display.begin(format!("{}: {job}", self.arm), workers);
        let scrapers = (0..workers).map(async |worker| {
            let orders = self.orders(job, worker, workers, calls);
            children::scrape(&orders, |made| self.display.progress(worker, made)).await
        });
        let summaries = try_join_all(scrapers).await?;
        self.display.end();
        let seconds = clock::now().saturating_duration_since(started).as_secs_f64();
        Ok((summaries.into_iter().fold(Summary::default(), Summary::and), seconds))
    }

    fn orders(&self, job: Job, worker: usize, workers: usize, calls: usize) -> Orders {
        let store = self.store.clone();
        Orders {
            arm: self.arm,
            job,
            upstream: self.upstream.address,
            store,
            worker,
            workers,
            calls,
        }
    }
}

/// What an earlier run left, and SQLite's two companions of it.
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
    let url = format!("http://{}/_ledger", upstream.address);
    let answer = client.get(url).send().await?.error_for_status()?;
    Ok(serde_json::from_slice(&answer.bytes().await?)?)
}
