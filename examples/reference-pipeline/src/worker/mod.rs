//! A worker: a service that makes predictions, and is deployed, probed and restarted.
//!
//! [`naive`] is a service of the motivating system: up when its port is open, down when its process
//! has ended. [`resilient`] reads its whole configuration first, has probes that report its real
//! state, and shuts down gracefully.

mod faults;
pub mod naive;
mod predict;
pub mod resilient;

use std::process::ExitCode;

use clap::Args;

use crate::BoxError;
use crate::scrape::Arm;
pub use faults::Fault;

/// Environment variable with the address to listen on. Port 0 is any free port.
pub const LISTEN: &str = "PIPELINE_LISTEN";

/// Environment variable with the path of the rows that predictions are made from.
pub const STORE: &str = "PIPELINE_STORE";

/// Environment variable with the number of prediction systems.
pub const SYSTEMS: &str = "PIPELINE_SYSTEMS";

/// The arguments of a worker. Its address and its store are in the environment.
#[derive(Debug, Clone, Copy, Args)]
pub struct Orders {
    /// Kind of worker.
    #[arg(long, default_value = "after")]
    pub arm: Arm,
    /// Seeded fault.
    #[arg(long, hide = true)]
    pub fault: Option<Fault>,
    /// Ends the worker when the other end of its stdin is closed.
    #[arg(long, hide = true)]
    pub child: bool,
}

/// Serves until a signal, and prints the address as the first line on stdout.
///
/// # Errors
/// If the configuration is incomplete, or the address is in use.
pub async fn run(orders: &Orders) -> Result<ExitCode, BoxError> {
    match orders.arm {
        Arm::Before => naive::run(orders.fault).await,
        Arm::After => resilient::run(orders.fault).await,
    }
}
