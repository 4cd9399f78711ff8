//! A worker: a service that makes predictions, and is deployed, probed and restarted.
//!
//! [`naive`] is how the motivating system's services lived and died: up when the port is open, down when
//! the process is gone. [`resilient`] reads its whole configuration before it begins, answers probes that
//! tell the truth, and leaves politely.

mod faults;
pub mod naive;
mod predict;
pub mod resilient;

use std::process::ExitCode;

use clap::Args;

use crate::BoxError;
use crate::scrape::Arm;
pub use faults::Fault;

/// The variable that says where to listen. Port 0 is any that is free.
pub const LISTEN: &str = "PIPELINE_LISTEN";

/// The variable that says where the rows are that predictions are made from.
pub const STORE: &str = "PIPELINE_STORE";

/// The variable that says how many systems predict.
pub const SYSTEMS: &str = "PIPELINE_SYSTEMS";

/// How a worker is to work. Where, and from what, is in its environment.
#[derive(Debug, Clone, Copy, Args)]
pub struct Orders {
    /// How it lives and ends.
    #[arg(long, default_value = "after")]
    pub arm: Arm,
    /// What is wrong with it.
    #[arg(long, hide = true)]
    pub fault: Option<Fault>,
    /// Whether it ends when nobody holds the other end of its stdin any more.
    #[arg(long, hide = true)]
    pub child: bool,
}

/// Serves until it is told to stop, and says where in the first line on stdout.
///
/// # Errors
/// If its configuration is not whole, or the address is taken.
pub async fn run(orders: &Orders) -> Result<ExitCode, BoxError> {
    match orders.arm {
        Arm::Before => naive::run(orders.fault).await,
        Arm::After => resilient::run(orders.fault).await,
    }
}
