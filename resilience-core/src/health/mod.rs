//! Health checks for liveness, readiness and startup probes.
//!
//! - **Liveness**: a process that does not respond is killed. That helps against a deadlock, and
//!   makes an outage of a dependency worse, so liveness depends on no dependency: any response will
//!   do.
//! - **Readiness**, [`Health::ready`]: not while a [critical](Criticality) dependency is down, nor
//!   while the closure of [`serving_while`][HealthBuilder::serving_while] returns `false`. If only
//!   optional dependencies are down, the service is [degraded](Readiness::Degraded), which is
//!   ready.
//! - **Startup**, [`Health::startup`]: once started, always started.
//!
//! The state of a dependency comes from a [`Check`], or from its circuit breaker, which costs no
//! call. Checks run concurrently, each with a timeout and [one run at a time](CachedResult) however
//! many probes arrive, and their results are cached. A check that fails, times out or panics is
//! down, with a public text and a [detail](Failure::detail) for the log. A run is a task, bounded
//! by the check's timeout: a cancelled probe does not end it.
//!
//! [`CachedResult`] and [`Readiness::of`] are the engine, without clock or tasks. HTTP routes for
//! probes are in `resilience-http`. [`config`] validates the environment before a service starts.
//!
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "tokio"),
    doc = "
[`Health::ready`]: crate
[HealthBuilder::serving_while]: crate
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
    .circuit_breaker("odds", odds.clone(), Criticality::Critical)
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

mod cached_result;
pub mod config;
mod failure;
mod state;

#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod check;
#[cfg(feature = "tokio")]
mod registry;
#[cfg(feature = "tokio")]
mod report;
#[cfg(feature = "tokio")]
mod run;

pub use cached_result::{CachedResult, CheckSettings, LastRun, RunDecision, RunId};
pub use failure::{Failure, FailureKind, MAX_DETAIL};
pub use state::{CheckState, Criticality, Readiness};

#[cfg(feature = "tokio")]
pub use builder::{HealthBuilder, Startup};
#[cfg(feature = "tokio")]
pub use check::Check;
#[cfg(feature = "tokio")]
pub use registry::Health;
#[cfg(feature = "tokio")]
pub use report::{CheckReport, HealthReport, NotReadyReason};
