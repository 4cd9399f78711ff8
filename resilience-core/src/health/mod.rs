//! Probes that tell the truth, and cost the dependencies nothing.
//!
//! An orchestrator asks three questions, and mistakes one for another at its peril:
//!
//! - *Is the process alive?* If not it is killed, which helps against a deadlock and makes an outage of
//!   a dependency worse. So the answer depends on nothing: that it comes is the answer.
//! - *May it be sent requests?* [`Health::ready`]. Not while a [critical](Criticality) dependency is
//!   down, nor once [`serving`][HealthBuilder::serving] says no. If only optional ones are down it is
//!   [degraded](Readiness::Degraded), which is ready.
//! - *Has it started?* [`Health::startup`]. Once yes, always yes.
//!
//! A dependency is watched in one of two ways. A [`Check`] asks it; a circuit breaker has been told by
//! the calls that were made, and asks nobody. Checks run at once, each under its own deadline and each
//! [once at a time](CachedVerdict) however many probes ask, and their results are the answer for a
//! while. A check that fails, takes too long or panics is down, with a text for everybody and a
//! [detail](Failure::detail) for the log.
//!
//! A run is a task, bounded by the check's timeout: a probe that is dropped does not end it for others,
//! and when all have left, its timeout does.
//!
//! The decisions are [`CachedVerdict`] and [`Readiness::of`], which know neither time nor tasks.
//! Routes that answer probes are in `resilience-http`. [`config`] refuses to start a service that
//! is configured wrongly, before there is anything to probe.
//!
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "tokio"),
    doc = "
[`Health::ready`]: crate
[HealthBuilder::serving]: crate
[`Health::startup`]: crate
[`Check`]: crate"
)]
#![cfg_attr(
    feature = "tokio",
    doc = r#"
```
use resilience_core::breaker::CircuitBreaker;
use resilience_core::health::{Check, Criticality, Health, Readiness};

# #[tokio::main(flavor = "current_thread", start_paused = true)]
# async fn main() -> Result<(), resilience_core::InvalidConfig> {
let odds = CircuitBreaker::builder().name("odds").build()?;
let health = Health::builder()
    .check(Check::critical("warehouse", || async { Ok::<_, std::io::Error>(()) }))
    .check(Check::optional("cache", || async { Err("refused by 10.0.0.7") }))
    .breaker("odds", odds.clone(), Criticality::Critical)
    .build()?;

let report = health.ready().await;
assert_eq!(report.readiness, Readiness::Degraded);
assert_eq!(report.to_string(), "degraded: cache is down (failed)");

odds.force_open();
let report = health.ready().await;
assert_eq!(report.readiness, Readiness::NotReady);
# Ok(())
# }
```
"#
)]

pub mod config;
mod failure;
mod state;
mod verdict;

#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod check;
#[cfg(feature = "tokio")]
mod circuit;
#[cfg(feature = "tokio")]
mod registry;
#[cfg(feature = "tokio")]
mod report;
#[cfg(feature = "tokio")]
mod run;

pub use failure::{Failure, FailureKind, MAX_DETAIL};
pub use state::{CheckState, Criticality, Readiness};
pub use verdict::{Asked, CachedVerdict, CheckTerms, LastRun, RunId};

#[cfg(feature = "tokio")]
pub use builder::{HealthBuilder, Startup};
#[cfg(feature = "tokio")]
pub use check::Check;
#[cfg(feature = "tokio")]
pub use registry::Health;
#[cfg(feature = "tokio")]
pub use report::{CheckReport, NotReadyReason, Report};
