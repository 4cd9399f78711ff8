//! Stacks described in a TOML file, one profile for each upstream.
//!
//! A [`Profile`] is a whole stack in one call. Operators can read and change its numbers without a
//! deploy, and a misspelt key is an error that names the line.
//!
//! ```
//! use resilience_core::profiles::Profiles;
//! use tower::{BoxError, ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let profiles = Profiles::from_toml(r#"
//!     [scraper.odds]
//!     deadline = "2m"
//!     attempt_timeout = "20s"
//!     bulkhead = { max_concurrent = 10, wait_at_most = "10s", max_queued = 50 }
//!     retry = { max_attempts = 4, backoff = { base = "1s", cap = "15s" }, budget = { ratio = "10%", reserve = 10 } }
//!     rate_limit = { per_minute = 30, burst = 5, min_gap = "2s", wait_at_most = "10s" }
//!     circuit_breaker = { consecutive_failures = 10, break_for = "5m" }
//! "#)?;
//! let odds = profiles.profile("scraper.odds")?;
//! let service = ServiceBuilder::new()
//!     .layer(odds.layer())
//!     .service(service_fn(async |game: u32| Ok::<_, BoxError>(game)));
//! assert_eq!(service.oneshot(7).await?, 7);
//! assert_eq!(odds.plan().max_attempts, 4);
//!
//! let error = Profiles::from_toml("[odds]\ndeadline = \"2m\"\nretyr = {}").unwrap_err();
//! assert_eq!(
//!     error.to_string(),
//!     "line 3: profile `odds`: `retyr` is not a key that is known here; did you mean `retry`?"
//! );
//! # Ok(())
//! # }
//! ```
//!
//! [`Profiles::standard`] has presets; [`Profiles::reload`] changes all of it while calls are under
//! way. The book's page on profiles lists the keys.

mod error;
mod fresh;
mod layer;
mod parts;
mod profile;
mod reader;
mod registry;
mod spec;
mod specs;

pub use error::{ProfilesError, ProfilesErrorKind};
pub use fresh::KeyProfile;
pub use layer::{ProfileCalls, ProfileLayer, ProfileService};
pub use profile::Profile;
pub use registry::{Profiles, ProfilesBuilder};
