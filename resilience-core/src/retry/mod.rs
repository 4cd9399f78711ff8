//! Retries with backoff, a budget and deadlines.
//!
//! A retry adds load at the moment when a service has shown a problem, so most of this module
//! decides against it:
//!
//! - the [`Outcome`](crate::Outcome) decides whether a retry can help; a rejection by an inner
//!   layer and a service that is *not ready* are not failures;
//! - the [budget](RetryBudget) bounds the retries of all callers together;
//! - no wait and no attempt begins that cannot end before the [deadline](crate::Deadline);
//! - a server's hint is a minimum delay, with a spread after it, and ends the call if it does not
//!   fit;
//! - delays are drawn from [intervals](Backoff), so that they do not pile up at the cap.
//!
//! [`RetryPolicy`] holds the configuration. [`RetryLayer`] applies it to a Tower service, [`retry`]
//! to a closure that returns a future, [`retry_blocking`] to a blocking closure.
//!
//! The layer clones the service for each attempt and readies the clone inside the call. While a
//! call waits for its next attempt it holds no readied service and no place in a queue.
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

mod attempts;
mod backoff;
#[cfg(feature = "tokio")]
mod blocking;
mod budget;
#[cfg(feature = "tower")]
mod budget_selector;
mod builder;
mod policy;
mod verdict;

#[cfg(feature = "tokio")]
mod function;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod part;
mod progress;
#[cfg(feature = "tower")]
mod replay;
#[cfg(feature = "tokio")]
mod run;
#[cfg(feature = "tokio")]
pub(crate) mod scope;
#[cfg(feature = "tokio")]
mod seed;

pub use attempts::Attempts;
pub use backoff::{Backoff, Schedule};
pub use budget::{
    BudgetExhausted, Receipt, RetryBudget, RetryBudgetBuilder, RetryCosts, Withdrawal,
};
pub use builder::RetryPolicyBuilder;
pub use policy::RetryPolicy;
pub use verdict::{GrantedRetry, StopReason, Verdict};

#[cfg(feature = "profiles")]
pub use budget_selector::OwnBudget;
#[cfg(feature = "tower")]
pub use budget_selector::{BudgetSelector, PolicyBudget};
#[cfg(feature = "tokio")]
pub use function::{retry, retry_blocking};
#[cfg(feature = "tower")]
pub use layer::{BudgetPerKey, Retry, RetryLayer};
#[cfg(feature = "tower")]
pub use replay::{AtMostOnce, CloneRequest, Replay};
#[cfg(feature = "tokio")]
pub use scope::{RetryScope, Scoped, previous_attempts};
