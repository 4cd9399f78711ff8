//! A worker as a process that comes and goes.

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

/// How long a worker has to come up, or to end.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

/// How often it is looked whether it is up.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How many systems predict.
const PREDICTING: u32 = 6;

/// What is deployed, and with which configuration.
#[derive(Debug, Clone)]
pub(super) struct Deployment {
    pub(super) arm: Arm,
    pub(super) store: PathBuf,
    pub(super) fault: Option<Fault>,
}

/// One that runs.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) address: SocketAddr,
    child: Child,
}

impl Deployment {
    pub(super) fn of(arm: Arm, store: &Path) -> Deployment {
        Deployment { arm, store: store.into(), fault: None }
    }

    /// Starts a worker at this address, or at any that is free.
    ///
    /// # Errors
    /// If it ends instead of listening.
    pub(super) async fn start(&self, at: Option<SocketAddr>) -> Result<Worker, BoxError> {
        let mut arguments = words(["serve", "--child", &format!("--arm={}", self.arm)]);
        arguments.extend(self.fault.map(|fault| format!("--fault={fault}").into()));
        let listen = at.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let mut child = Child::start_heard(arguments, self.variables(listen))?;
        let address = timeout(PATIENCE, child.address()).await??;
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
    /// Ends it as a deploy does, and says how it ended.
    pub(super) async fn stop(&mut self) -> Result<ExitStatus, BoxError> {
        self.child.terminate().await?;
        timeout(PATIENCE, self.child.wait()).await?
    }
}

/// Waits until there is a good answer.
pub(super) async fn until_good(url: &Url) -> Result<(), BoxError> {
    let client = Client::builder().no_proxy().build()?;
    let good = async {
        loop {
            let answer = client.get(url.clone()).send().await;
            if answer.is_ok_and(|answer| answer.status().is_success()) {
                return;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    let late = |_| format!("{url}: no good answer within {PATIENCE:?}");
    Ok(timeout(PATIENCE, good).await.map_err(late)?)
}
