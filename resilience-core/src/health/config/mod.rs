//! Validation of environment variables at start. An invalid environment gives one report of all
//! problems.
//!
//! A service that stops at the first invalid variable is deployed once for each of them; a service
//! that reads a variable at its first use fails later, in production. Here variables are declared
//! and read together, before anything else happens. The result is a value of the declared type for
//! each, or an [`EnvReport`] of each variable that is missing or malformed.
//!
//! - A variable is required unless it has a [`default`](Var::default) or is
//!   [`optional`](Var::optional).
//! - An empty variable counts as missing, since templates write a missing value that way.
//! - A [`secret`](Var::secret) is never printed, nor is the message of its parser.
//!
//! ```
//! use std::ffi::OsString;
//! use resilience_core::health::config::{Env, Var};
//!
//! let env = Env::from_fn(|name| match name {
//!     "PORT" => Some(OsString::from("80a")),
//!     "MODE" => Some(OsString::from("nightly")),
//!     _ => None,
//! });
//! let report = env
//!     .read((
//!         Var::parsed::<u16>("PORT").at_least(1024),
//!         Var::one_of("MODE", ["daily", "overnight"]).default("daily"),
//!         Var::text("ODDS_API_KEY").secret(),
//!         Var::parsed::<u32>("WORKERS").default(4),
//!     ))
//!     .unwrap_err();
//! assert_eq!(
//!     report.to_string(),
//!     "3 environment variables are invalid:\n  \
//!      PORT is `80a`, must be u16, at least 1024 (invalid digit found in string)\n  \
//!      MODE is `nightly`, must be one of `daily`, `overnight`\n  \
//!      ODDS_API_KEY is missing, must be text"
//! );
//! ```
//!
//! In a service, `main` returns the report, and so fails, before it starts a runtime.
//!
//! ```no_run
//! use resilience_core::health::config::{Env, EnvReport, Var};
//!
//! fn main() -> Result<(), EnvReport> {
//!     let (port, key, region) = Env::process().read((
//!         Var::parsed::<u16>("PORT"),
//!         Var::text("ODDS_API_KEY").secret(),
//!         Var::text("REGION").optional(),
//!     ))?;
//!     let key: String = key.into_inner();
//! #   let _: (u16, String, Option<String>) = (port, key, region);
//!     Ok(())
//! }
//! ```

mod declared;
mod env;
mod report;
mod var;

pub use declared::Declared;
pub use env::Env;
pub use report::{EnvProblem, EnvReport, ProblemKind};
pub use var::{Defaulted, Optional, Required, Secret, Var};
