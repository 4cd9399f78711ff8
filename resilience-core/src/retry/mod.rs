//! Trying again: when it helps, as often as it helps, and never in step with everybody else.
//!
//! A retry is a second request, made at the moment when the first showed that something is wrong.
//! Most of what is here says *no*:
//!
//! - what is worth another attempt is decided by [`Outcome`](crate::Outcome), not by "it was an
//!   error"; a refusal of an inner layer and a thing that is *not ready* are not failures;
//! - the [budget](RetryBudget) bounds the retries of all callers together;
//! - no wait and no attempt is begun that cannot end before the [deadline](crate::Deadline);
//! - a server's hint is a floor: never earlier, spread out after it, refused if it does not fit;
//! - delays are drawn from [intervals](Backoff) that nothing can pile up in.
//!
//! [`RetryPolicy`] holds all of it. [`RetryLayer`] applies it to a Tower service, [`retry`] to a
//! closure that returns a future, [`retry_blocking`] to one that does not.
//!
//! The layer clones the service for each attempt and readies the clone inside the call. Nothing is
//! held, and no place kept in any queue, while a call waits for its next attempt.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::retry::{Backoff, RetryBudget, RetryLayer, RetryPolicy};
//! use resilience_core::{Error, Outcome};
//! use tower::{ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let policy = RetryPolicy::builder()
//!     .name("quotes")
//!     .backoff(Backoff::decorrelated_jitter(Duration::from_millis(100), Duration::from_secs(10)))
//!     .budget(RetryBudget::percent(10.0)?)
//!     .classify(|result: Result<&u16, &Error<std::io::Error>>| match result {
//!         Ok(503) => Outcome::transient(),
//!         Ok(_) => Outcome::Success,
//!         Err(_) => Outcome::transient(),
//!     })
//!     .build()?;
//!
//! let statuses = std::sync::Arc::new(std::sync::atomic::AtomicU16::new(502));
//! let mut service = ServiceBuilder::new()
//!     .layer(RetryLayer::new(policy))
//!     .map_err(Error::Service)
//!     .service(service_fn(move |_request: &'static str| {
//!         let status = statuses.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
//!         async move { Ok::<u16, std::io::Error>(status) }
//!     }));
//! assert_eq!(service.ready().await?.call("GET /").await?, 504); // after a 503
//! # Ok(())
//! # }
//! ```
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "tokio"),
    doc = "
[`retry`]: crate
[`retry_blocking`]: crate"
)]
#![cfg_attr(not(feature = "tower"), doc = "\n[`RetryLayer`]: crate")]

#[cfg(feature = "tower")]
mod account;
mod attempts;
pub mod backoff;
#[cfg(feature = "tokio")]
mod blocking;
pub mod budget;
mod builder;
pub mod policy;
mod verdict;

#[cfg(feature = "tokio")]
mod function;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod part;
#[cfg(feature = "tower")]
mod planned;
mod progress;
#[cfg(feature = "tower")]
mod replay;
#[cfg(feature = "tokio")]
mod run;
#[cfg(feature = "tokio")]
pub mod scope;
#[cfg(feature = "tokio")]
mod seed;

pub use attempts::Attempts;
pub use backoff::{Backoff, Schedule};
pub use budget::{BudgetExhausted, RetryBudget, RetryBudgetBuilder, RetryCosts};
pub use builder::RetryPolicyBuilder;
pub use policy::RetryPolicy;
pub use verdict::{GrantedRetry, StopReason, Verdict};

#[cfg(feature = "profiles")]
pub use account::OwnBudget;
#[cfg(feature = "tower")]
pub use account::{Account, PolicyBudget};
#[cfg(feature = "tokio")]
pub use function::{retry, retry_blocking};
#[cfg(feature = "tower")]
pub use layer::{BudgetPerKey, Retry, RetryLayer};
#[cfg(feature = "tower")]
pub use replay::{AtMostOnce, CloneRequest, Replay};
#[cfg(feature = "tokio")]
pub use scope::{RetryScope, previous_attempts};
