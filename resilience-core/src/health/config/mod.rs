//! A process that is configured wrongly is not started, and says everything that is wrong at once.
//!
//! A service that dies at the first variable it misses is deployed once for each of them; one that
//! reads a variable when it first needs it dies in the night. So the variables are declared, read
//! together before anything else happens, and come out as values of their types, or as one
//! [`EnvReport`] that names each that is missing or malformed, and what was expected.
//!
//! - A variable is required unless it has a [`default`](Var::default) or is
//!   [`optional`](Var::optional).
//! - One that is empty is one that is missing: that is how a template says so.
//! - A [`secret`](Var::secret) is never printed: not its value, and not what its parser says of it.
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
//!     "3 environment variables are not as they must be:\n  \
//!      PORT is `80a`, must be u16, at least 1024 (invalid digit found in string)\n  \
//!      MODE is `nightly`, must be one of `daily`, `overnight`\n  \
//!      ODDS_API_KEY is missing, must be text"
//! );
//! ```
//!
//! As it is used: `main` returns the report, and with it failure, before there is a runtime.
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
//!     let (port, key, region): (u16, String, Option<String>) = (port, key.into_inner(), region);
//! #   let _ = (port, key, region);
//!     Ok(())
//! }
//! ```

mod declared;
mod env;
mod report;
mod secret;
mod var;

pub use declared::Declared;
pub use env::Env;
pub use report::{EnvProblem, EnvReport, ProblemKind};
pub use secret::Secret;
pub use var::{Defaulted, Optional, Required, Var};
