//! Faulty deploys, and the checks of them before users come.

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

/// Timeout of a check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// Arguments of `smoke`.
#[derive(Debug, Clone, Args)]
pub struct Line {
    /// URL [--timeout SECONDS] [--no-probes] [--get PATH [--status N] [--json POINTER=VALUE] [--has
    /// POINTER]]...
    #[arg(
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true,
        value_name = "URL"
    )]
    arguments: Vec<String>,
}

impl Line {
    /// Runs all checks and prints a table. The exit code is 1 if a check failed.
    ///
    /// # Errors
    /// If the arguments are invalid.
    pub async fn run(self) -> Result<ExitCode, BoxError> {
        let parsed = Smoke::from_args(self.arguments);
        let report = parsed.map_err(|error| BadInput::new("smoke", error))?.run().await;
        println!("{report}");
        Ok(report.exit_code())
    }
}

/// Results of a deploy with each fault, and of one without a fault.
#[derive(Debug, Clone, Default, Serialize)]
#[non_exhaustive]
pub struct Deploys {
    /// Deploys with a fault.
    pub bad: usize,
    /// Faulty deploys that were accepted.
    pub let_through: usize,
    /// Faulty deploys for which no check named the fault.
    pub unexplained: usize,
    /// `true` if the deploy without a fault was rejected.
    pub good_rejected: bool,
    /// Reason for each rejection.
    pub reasons: Vec<String>,
}

/// Deploys a worker without a fault, and one with each fault.
///
/// # Errors
/// If a process cannot be started.
pub async fn run(arm: Arm, store: &Path, progress: impl Fn(Progress)) -> Result<Deploys, BoxError> {
    let good = deploy(&Deployment::of(arm, store)).await;
    let mut deploys =
        Deploys { bad: Fault::ALL.len(), good_rejected: good.is_err(), ..Deploys::default() };
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

/// Deploys a worker and checks it as this arm does. The error is the reason for its rejection.
async fn deploy(deployment: &Deployment) -> Result<(), BoxError> {
    let worker = deployment.start(None).await?;
    match deployment.arm {
        // Checks only that the process runs and its port is open.
        Arm::Before => TcpStream::connect(worker.address).await.map(|_| ()).map_err(Into::into),
        Arm::After => check(&format!("http://{}", worker.address)).await,
    }
}

/// Checks the probes and one prediction.
async fn check(base: &str) -> Result<(), BoxError> {
    let prediction = SmokeCheck::get("/predictions/57").named("predictions").json("/player", 57);
    let suite =
        Smoke::of(base).probes().check(prediction.has("/predictions/0")).timeout(CHECK_TIMEOUT);
    let report = suite.client(Client::builder().no_proxy().build()?).build()?.run().await;
    if report.passed() { Ok(()) } else { Err(report.to_string().into()) }
}
