//! Stops calls to a service that fails.
//!
//! Callers of a failing service call again, and each of those calls waits for its timeout. A
//! circuit breaker watches how calls end. When too many fail, the circuit *opens*: calls are
//! rejected at once, for a break. Then it is *half-open*: a few probes pass, and decide whether it
//! closes.
//!
//! - **What counts.** Failures that may pass ([`Outcome`](crate::Outcome): transient, timed out,
//!   throttled). A permanent failure proves the service to be up. *Not ready*, and a rejection by a
//!   layer below, prove nothing about the service, unless rejections are
//!   [counted](CircuitBreakerBuilder::count_rejections). A timeout belongs below the breaker, where
//!   it is a result. Dropped calls are ignored by default ([`AbandonedPolicy`]).
//! - **When it opens.** Failures in a row, a share of failures over the last calls or the last
//!   seconds ([`SlidingWindow`]), a share of slow calls; any of them, and several at once.
//! - **For how long.** Longer each time, with jitter; time spent closed makes the next break
//!   shorter; a server that names a time is not called before that time.
//! - **How it closes.** By the configured number of probes, never more. A result belongs to the
//!   state in which its call was admitted; a result from an earlier state changes nothing. A probe
//!   that hangs does not keep the circuit half-open for ever. A [ramp](CircuitBreakerBuilder::ramp)
//!   admits the traffic again in steps.
//! - **By hand.** [`CircuitBreaker`] forces it open or closed, disables it, saves and restores it;
//!   [`observe_only`](CircuitBreakerBuilder::observe_only) reports the calls that it would reject,
//!   and rejects none.
//!
//! One circuit for each shard, host or tenant ([`CircuitBreakerLayer::per_key`]) is nearly always
//! right: with one circuit over ten shards, one dead shard either goes unnoticed or stops the calls
//! to all.
//!
//! The layer belongs directly above the attempt's timeout, inside of retries and limits. It is
//! always ready and clones the service below for each call, for two reasons: an open circuit
//! rejects at once, though the service below is not ready, and a call is admitted when the service
//! below *is* ready, so that no change while it waits makes the admission stale. A service that
//! fails to become ready has failed.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::breaker::{CircuitBreaker, CircuitBreakerLayer, SlidingWindow};
//! use resilience_core::keyed::KeyedLimits;
//! use resilience_core::timeout::TimeoutLayer;
//! use tower::{BoxError, ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let breaker = CircuitBreaker::builder()
//!     .name("shards")
//!     .failure_rate(0.5, SlidingWindow::time(Duration::from_secs(10)))
//!     .consecutive_failures(5)
//!     .build()?;
//! let service = ServiceBuilder::new()
//!     .layer(CircuitBreakerLayer::per_key(breaker, KeyedLimits::default(), |shard: &u32| *shard))
//!     .layer(TimeoutLayer::new(Duration::from_secs(2))?)
//!     .service(service_fn(async |shard: u32| match shard {
//!         0 => Err(BoxError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused))),
//!         shard => Ok(shard),
//!     }));
//! for _ in 0..5 {
//!     service.clone().oneshot(0).await.unwrap_err();
//! }
//! let rejected = service.clone().oneshot(0).await.unwrap_err();
//! assert!(rejected.to_string().starts_with("shards: circuit open for `0` (5 failures, limit 5), retry in "));
//! assert_eq!(service.oneshot(1).await?, 1);
//! # Ok(())
//! # }
//! ```
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(not(feature = "tokio"), doc = "\n[`CircuitBreaker`]: crate")]
#![cfg_attr(not(feature = "tower"), doc = "\n[`CircuitBreakerLayer::per_key`]: crate")]

mod builder;
mod circuit;
mod config;
mod state;
mod window;

#[cfg(feature = "tokio")]
mod common;
#[cfg(feature = "tokio")]
mod guard;
#[cfg(feature = "tokio")]
mod handle;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tokio")]
mod outcomes;
#[cfg(feature = "tower")]
mod part;
#[cfg(feature = "tokio")]
mod shared;

pub use builder::CircuitBreakerBuilder;
pub use circuit::{Admission, Circuit, CircuitRejection, CircuitSnapshot, SavedCircuit};
pub use config::{AbandonedPolicy, CircuitConfig, ProbeRule};
pub use state::{Change, Changes, CircuitState, IllegalTransition, TransitionReason};
pub use window::{SlidingWindow, UncountedSuccesses};

#[cfg(feature = "tokio")]
pub use guard::Admitted;
#[cfg(feature = "tokio")]
pub use handle::{CircuitBreaker, outcome_of};
#[cfg(feature = "tower")]
pub use layer::{CircuitBreakerLayer, CircuitBreakerService};
#[cfg(feature = "tokio")]
pub use outcomes::OutcomeCounts;
