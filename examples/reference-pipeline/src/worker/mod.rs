//! A worker: a service that makes predictions, and is deployed, probed and restarted.
//!
//! [`naive`] works as the motivating system's services did: up when the port is open, down when the
//! process has ended. [`resilient`] reads its whole configuration first, reports its health
//! truthfully, and shuts down gracefully.

mod faults;
pub mod naive;
mod predict;
pub mod resilient;

use std::process::ExitCode;

use clap::Args;

use crate::BoxError;
use crate::scrape::Arm;
pub use faults::Fault;

/// Variable with the address to listen on. Port 0 is any free port.
pub const LISTEN: &str = "PIPELINE_LISTEN";

/// Variable with the path of the store, from which predictions are made.
pub const STORE: &str = "PIPELINE_STORE";

/// Variable with the number of systems that predict.
pub const SYSTEMS: &str = "PIPELINE_SYSTEMS";

/// Arguments of a worker. Its address and its store are in the environment.
#[derive(Debug, Clone, Copy, Args)]
pub struct Orders {
    /// Pipeline that the worker belongs to.
    #[arg(long, default_value = "after")]
    pub arm: Arm,
    /// Fault of this deploy.
    #[arg(long, hide = true)]
    pub fault: Option<Fault>,
    /// End at the end of stdin, that is, when the parent process has ended.
    #[arg(long, hide = true)]
    pub child: bool,
}

/// Serves until a signal ends the worker. Prints its address as the first line on stdout.
///
/// # Errors
/// If the configuration is invalid, or the address is in use.
pub async fn run(orders: &Orders) -> Result<ExitCode, BoxError> {
    match orders.arm {
        Arm::Before => naive::run(orders.fault).await,
        Arm::After => resilient::run(orders.fault).await,
    }
}
