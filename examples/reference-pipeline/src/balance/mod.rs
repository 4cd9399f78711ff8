//! The balancer before the workers: HAProxy where it is installed, and a built-in one otherwise.
//!
//! Either checks each worker's `/ready` ten times a second, sends requests to the ready ones in
//! turn, and retries nothing. It runs in a process of its own, so that it has its own timers, and
//! ends with the demo.

mod built_in;
mod haproxy;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::BoxError;
use crate::process::{Child, words};

/// Interval between readiness checks of a worker.
pub(crate) const CHECK_INTERVAL: Duration = Duration::from_millis(100);

/// Kind of balancer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Kind {
    /// The program `haproxy`.
    Haproxy,
    /// The balancer of this program.
    BuiltIn,
}

impl Kind {
    /// Returns HAProxy if it is installed, the built-in balancer otherwise.
    #[must_use]
    pub fn found() -> Kind {
        if haproxy::installed() { Kind::Haproxy } else { Kind::BuiltIn }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Haproxy => "haproxy",
            Kind::BuiltIn => "built-in",
        })
    }
}

/// Arguments of a balancer. The demo writes them onto its command line.
#[derive(Debug, Clone, Args)]
pub struct Orders {
    /// Kind of balancer to run.
    #[arg(long)]
    pub kind: Kind,
    /// Address of a worker.
    #[arg(long = "worker", required = true)]
    pub workers: Vec<SocketAddr>,
}

/// Balances, and prints its address as the first line on stdout.
///
/// # Errors
/// If the balancer cannot start, or HAProxy ends.
pub async fn run(orders: &Orders) -> Result<(), BoxError> {
    match orders.kind {
        Kind::Haproxy => haproxy::run(&orders.workers).await,
        Kind::BuiltIn => built_in::run(&orders.workers).await,
    }
}

/// A running balancer. Ends when it is dropped.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    /// Held because dropping it ends the process.
    _child: Child,
}

impl Balancer {
    pub(crate) async fn start(kind: Kind, workers: &[SocketAddr]) -> Result<Balancer, BoxError> {
        let mut arguments = words(["balance", &format!("--kind={kind}")]);
        arguments.extend(workers.iter().map(|worker| format!("--worker={worker}").into()));
        let mut child = Child::start(arguments)?;
        let address = child.address().await?;
        Ok(Balancer { address, _child: child })
    }
}
