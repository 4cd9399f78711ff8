//! Whether a deployed service does what it is there for, before anybody is sent to it.
//!
//! A suite asks the probes and a few paths of a running service, each within its time, and says which
//! of them was answered otherwise than expected. All are asked, one after the other, also after a
//! failure: one run names everything that is wrong. [`SmokeReport::exit_code`] is for a deployment to
//! stop at.
//!
//! What is expected: a status (200 unless told otherwise), values in a JSON body, and a response in
//! time, body included. Redirects are not followed: a login page is no response. Bodies are read up to
//! [`MAX_BODY`]. A probe of the health module that says 503 is quoted: the report names the dependency
//! that is down.
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

mod ask;
mod check;
mod cli;
mod fault;
mod report;
mod suite;

pub use ask::MAX_BODY;
pub use check::SmokeCheck;
pub use cli::USAGE;
pub use fault::SmokeFault;
pub use report::{SmokeReport, SmokeResult};
pub use suite::{Smoke, SmokeBuilder};
