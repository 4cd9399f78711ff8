//! Child processes of the demo: upstreams and scrapers.

use std::ffi::OsString;

use crate::BoxError;
use crate::process::{Child, words};
use crate::scrape::Orders;
use crate::scrape::message::{Message, Progress, Summary};
use crate::upstream::{self, Addresses};

/// A running upstream. Ends when it is dropped.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) addresses: Addresses,
    /// Held because dropping it ends the process.
    _child: Child,
}

impl Upstream {
    pub(super) async fn start(orders: &upstream::Orders) -> Result<Upstream, BoxError> {
        let upstream::Orders { league, seed, herd } = orders;
        let mut arguments =
            words(["upstream", &format!("--seed={seed}"), &format!("--herd={herd}"), "--league"]);
        arguments.push(league.into());
        let mut child = Child::start(arguments)?;
        let line = child.line().await?;
        let addresses =
            upstream::announced(&line).ok_or_else(|| format!("not an address: {line}"))?;
        Ok(Upstream { addresses, _child: child })
    }
}

/// Runs a scraper to its end.
pub(super) async fn scrape(
    orders: &Orders,
    progress: impl Fn(Progress),
) -> Result<Summary, BoxError> {
    let mut child = Child::start(arguments(orders))?;
    loop {
        match serde_json::from_str(&child.line().await?)? {
            Message::Progress(made) => progress(made),
            Message::Summary(summary) => return Ok(summary),
        }
    }
}

fn arguments(orders: &Orders) -> Vec<OsString> {
    let Orders { arm, job, upstream, store, profiles, worker, workers, calls } = orders;
    let Addresses { main, counted, hosts } = upstream;
    let mut arguments = words([
        "scrape",
        &format!("--arm={arm}"),
        &format!("--job={job}"),
        &format!("--upstream={main}"),
        &format!("--counted={counted}"),
        &format!("--worker={worker}"),
        &format!("--workers={workers}"),
        &format!("--calls={calls}"),
        "--store",
    ]);
    arguments.push(store.into());
    arguments.extend(["--profiles".into(), profiles.into()]);
    arguments.extend(hosts.iter().map(|host| format!("--host={host}").into()));
    arguments
}
