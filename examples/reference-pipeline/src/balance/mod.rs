//! What stands before the workers: HAProxy where it is installed, and a small one of our own otherwise.
//!
//! Either looks at each worker's `/ready` ten times a second, sends requests to those that are in turn,
//! and repeats nothing. It runs as a process of its own, so that it has its own timers, and ends when
//! the demo does.

mod built_in;
mod haproxy;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use crate::BoxError;
use crate::process::{Child, words};

/// How often a worker is asked whether it is ready.
pub(crate) const CHECK_EVERY: Duration = Duration::from_millis(100);

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Kind {
    /// The program `haproxy`.
    Haproxy,
    /// Ours.
    BuiltIn,
}

impl Kind {
    /// HAProxy, if there is one on the path.
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

/// A balancer's orders, as the demo writes them onto its command line.
#[derive(Debug, Clone, Args)]
pub struct Orders {
    /// Which one to be.
    #[arg(long)]
    pub kind: Kind,
    /// Where the workers are.
    #[arg(long = "worker", required = true)]
    pub workers: Vec<SocketAddr>,
}

/// Balances, and says where in the first line on stdout.
///
/// # Errors
/// If it cannot begin, or HAProxy ends.
pub async fn run(orders: &Orders) -> Result<(), BoxError> {
    match orders.kind {
        Kind::Haproxy => haproxy::run(&orders.workers).await,
        Kind::BuiltIn => built_in::run(&orders.workers).await,
    }
}

/// A balancer that is up.
#[derive(Debug)]
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    /// Up for as long as it is held.
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
