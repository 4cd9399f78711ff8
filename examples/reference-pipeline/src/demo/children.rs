//! The demo's other processes: this program again, in another part.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::BoxError;
use crate::scrape::Orders;
use crate::scrape::message::{Message, Progress, Summary};
use crate::upstream;

/// A process that ends when this is dropped, and when this process ends.
#[derive(Debug)]
struct Child {
    /// Holds the pipe whose end the child waits for.
    process: tokio::process::Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Child {
    fn start(arguments: Vec<OsString>) -> Result<Child, BoxError> {
        let program = std::env::current_exe()?;
        let mut process = Command::new(&program)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("cannot start {}: {error}", program.display()))?;
        let stdout = process.stdout.take().ok_or("a child without a stdout")?;
        Ok(Child { process, lines: BufReader::new(stdout).lines() })
    }

    /// The next line on its stdout; why there is none, if there is none.
    async fn line(&mut self) -> Result<String, BoxError> {
        match self.lines.next_line().await? {
            Some(line) => Ok(line),
            None => Err(format!("a child ended too soon: {}", self.process.wait().await?).into()),
        }
    }
}

/// An upstream that is up.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) address: SocketAddr,
    pub(super) hosts: Vec<SocketAddr>,
    /// Up for as long as it is held.
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
        let (address, hosts) =
            upstream::announced(&line).ok_or_else(|| format!("not an address: {line}"))?;
        Ok(Upstream { address, hosts, _child: child })
    }
}

/// Has a scraper carry out its orders.
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
    let Orders { arm, job, upstream, hosts, store, profiles, worker, workers, calls } = orders;
    let mut arguments = words([
        "scrape",
        &format!("--arm={arm}"),
        &format!("--job={job}"),
        &format!("--upstream={upstream}"),
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

fn words<const N: usize>(words: [&str; N]) -> Vec<OsString> {
    words.map(OsString::from).into()
}
