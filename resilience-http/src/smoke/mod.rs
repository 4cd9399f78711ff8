//! Smoke tests of a deployed service.
//!
//! A suite requests the probes and a few paths of a running service, each with a time limit, and
//! reports every response that differs from the expected one. All checks run, one after the other,
//! also after a failure: one run finds every fault. [`SmokeReport::exit_code`] lets a deployment
//! stop on a failure.
//!
//! A check expects a status (200 by default), values in a JSON body, and a complete response in
//! time. Redirects are not followed, so a redirect to a login page fails the check. Bodies are read
//! up to [`MAX_BODY`]. From a 503 of a readiness probe the report quotes the dependency that is
//! down.
//!
//! ```no_run
//! use std::process::ExitCode;
//! use std::time::Duration;
//! use resilience_http::smoke::{Smoke, SmokeCheck};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<ExitCode, resilience_core::InvalidConfig> {
//! let prediction = SmokeCheck::get("/predictions/1")
//!     .named("one prediction")
//!     .json("/player", 1)
//!     .has("/points")
//!     .within(Duration::from_secs(2));
//! let report = Smoke::of("http://127.0.0.1:8080").probes().check(prediction).build()?.run().await;
//! println!("{report}");
//! Ok(report.exit_code())
//! # }
//! ```

mod check;
mod cli;
mod fault;
mod report;
mod run_check;
mod suite;

pub use check::SmokeCheck;
pub use cli::USAGE;
pub use fault::SmokeFault;
pub use report::{SmokeReport, SmokeResult};
pub use run_check::MAX_BODY;
pub use suite::{Smoke, SmokeBuilder};
