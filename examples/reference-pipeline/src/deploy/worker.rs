//! Workers as processes that are started and stopped.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use reqwest::{Client, Url};
use tokio::time::timeout;

use crate::BoxError;
use crate::process::{Child, words};
use crate::scrape::Arm;
use crate::worker::{Fault, LISTEN, STORE, SYSTEMS};

/// Time that a worker has to become ready, or to end.
pub(super) const WORKER_TIMEOUT: Duration = Duration::from_secs(20);

/// Interval at which a worker is polled until it is ready.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Number of systems that predict.
const PREDICTING: u32 = 6;

/// Arm and configuration of a deploy.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) arm: Arm,
    pub(super) store: PathBuf,
    pub(super) fault: Option<Fault>,
}

/// A worker that runs.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Deployment {
    pub(super) fn of(arm: Arm, store: &Path) -> Deployment {
        Deployment { arm, store: store.into(), fault: None }
    }

    /// Starts a worker at this address, or at any free one.
    ///
    /// # Errors
    /// If the worker ends instead of listening.
    pub(super) async fn start(&self, at: Option<SocketAddr>) -> Result<Worker, BoxError> {
        let mut arguments = words(["serve", "--child", &format!("--arm={}", self.arm)]);
        arguments.extend(self.fault.map(|fault| format!("--fault={fault}").into()));
        let listen = at.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let mut child = Child::start_capturing_stderr(arguments, self.variables(listen))?;
        let address = timeout(WORKER_TIMEOUT, child.address()).await??;
        Ok(Worker { address, child })
    }

    fn variables(&self, listen: SocketAddr) -> Vec<(&'static str, String)> {
        let store = match self.fault {
            Some(Fault::NoStore) => self.store.join("nowhere"),
            _ => self.store.clone(),
        };
        let mut variables =
            vec![(LISTEN, listen.to_string()), (STORE, store.display().to_string())];
        if self.fault != Some(Fault::Unconfigured) {
            variables.push((SYSTEMS, PREDICTING.to_string()));
        }
        variables
    }
}

impl Worker {
    /// Sends SIGTERM as a deploy does, waits, and returns the exit status.
    pub(super) async fn stop(&mut self) -> Result<ExitStatus, BoxError> {
        self.child.terminate().await?;
        timeout(WORKER_TIMEOUT, self.child.wait()).await?
    }
}

/// Waits until `url` returns a success.
pub(super) async fn until_good(url: &Url) -> Result<(), BoxError> {
    let client = Client::builder().no_proxy().build()?;
    let good = async {
        loop {
            let response = client.get(url.clone()).send().await;
            if response.is_ok_and(|response| response.status().is_success()) {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    let late = |_| format!("{url}: no good response within {WORKER_TIMEOUT:?}");
    Ok(timeout(WORKER_TIMEOUT, good).await.map_err(late)?)
}
