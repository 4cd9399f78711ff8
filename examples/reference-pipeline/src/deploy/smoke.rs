//! Deploys of which something is wrong, looked at before users come.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use reqwest::Client;
use resilience_http::smoke::{Smoke, SmokeCheck};
use serde::Serialize;
use tokio::net::TcpStream;

use super::Deployment;
use crate::BoxError;
use crate::bad_input::BadInput;
use crate::scrape::Arm;
use crate::scrape::message::Progress;
use crate::worker::Fault;

/// How long a check may take.
const PATIENCE: Duration = Duration::from_secs(1);

/// What to look at.
#[derive(Debug, Clone, Args)]
pub struct Line {
    /// URL [--timeout SECONDS] [--no-probes] [--get PATH [--status N] [--json POINTER=VALUE] [--has POINTER]]...
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "URL"
    )]
    arguments: Vec<String>,
}

impl Line {
    /// Asks everything and prints a table. The exit code is a failure's if anything was not as expected.
    ///
    /// # Errors
    /// If the line is not understood.
    pub async fn run(self) -> Result<ExitCode, BoxError> {
        let understood = Smoke::from_args(self.arguments);
        let report = understood.map_err(|error| BadInput::new("smoke", error))?.run().await;
        println!("{report}");
        Ok(report.exit_code())
    }
}

/// What became of a deploy for each fault, and of one with none.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Deploys {
    /// With a fault.
    pub bad: usize,
    /// How many of them users would have met.
    pub let_through: usize,
    /// How many had their fault named by nobody.
    pub unexplained: usize,
    /// Whether the good one was refused.
    pub good_refused: bool,
    /// Why each was refused.
    pub reasons: Vec<String>,
}

/// Deploys a worker without a fault, and one with each.
///
/// # Errors
/// If a process cannot be started.
pub async fn run(arm: Arm, store: &Path, progress: impl Fn(Progress)) -> Result<Deploys, BoxError> {
    let good = deploy(&Deployment::of(arm, store)).await;
    let mut deploys =
        Deploys { bad: Fault::ALL.len(), good_refused: good.is_err(), ..Deploys::default() };
    for (done, fault) in Fault::ALL.into_iter().enumerate() {
        progress(Progress { done, of: Fault::ALL.len() });
        let deployed =
            deploy(&Deployment { fault: Some(fault), ..Deployment::of(arm, store) }).await;
        let reason = deployed.err().map(|error| error.to_string());
        deploys.let_through += usize::from(reason.is_none());
        let named = reason.as_ref().is_some_and(|reason| reason.contains(fault.named()));
        deploys.unexplained += usize::from(!named);
        deploys.reasons.extend(reason.map(|reason| format!("{fault}: {reason}")));
    }
    Ok(deploys)
}

/// Deploys one and looks at it as this arm does. Why it is refused, if it is.
async fn deploy(deployment: &Deployment) -> Result<(), BoxError> {
    let worker = deployment.start(None).await?;
    match deployment.arm {
        // The process is there, and its port is open.
        Arm::Before => TcpStream::connect(worker.address).await.map(|_| ()).map_err(Into::into),
        Arm::After => look(&format!("http://{}", worker.address)).await,
    }
}

/// Asks the probes, and for one prediction.
async fn look(base: &str) -> Result<(), BoxError> {
    let prediction = SmokeCheck::get("/predictions/57").named("predictions").json("/player", 57);
    let suite = Smoke::of(base).probes().check(prediction.has("/predictions/0")).timeout(PATIENCE);
    let report = suite.client(Client::builder().no_proxy().build()?).build()?.run().await;
    if report.passed() { Ok(()) } else { Err(report.to_string().into()) }
}
