//! Graceful shutdown within a deadline.
//!
//! A process ends many times a day: by a deploy, a scale-down, a machine that goes away. Work in
//! flight is lost unless the process waits for it, requests that arrive before load balancers have
//! noticed fail unless they are still accepted, and a process that takes too long is killed. So:
//!
//! | [`Phase`] | what happens | until |
//! |---|---|---|
//! | `Running` | | SIGTERM, SIGINT, or [`begin`][ShutdownToken::begin] |
//! | `NotReady` | health checks fail; work is still accepted | the grace is over |
//! | `Draining` | new work is rejected; no retry begins, backoffs end; work in flight goes on | no work is in flight, or its time is over |
//! | `Forced` | work still in flight is cancelled; skipped if there is none | it has ended, or a moment is over |
//! | `Flushing` | [hooks][Shutdown::hook] run in order, each within its bound | all have ended, or their time is over |
//! | `Stopped` | the [`ShutdownReport`] lists the results | |
//!
//! A second signal enters `Forced` at once, a third one also skips the hooks. All phases take at
//! most [`ShutdownBounds::longest`], whatever stays pending. For a handler, hook, listener or
//! destructor that blocks its thread see [`ShutdownBounds`] and
//! [`ShutdownBuilder::exit_process_at_total`].
//!
//! [`Shutdown`] carries the shutdown out; the rest of the program holds [`ShutdownToken`]s. Work is
//! [tracked][ShutdownToken::track], [run][ShutdownToken::run], or called through a
//! [`ShutdownLayer`]. Inside of the latter two the token is *ambient*, like a
//! [`Deadline`](crate::Deadline), and the retries of this crate find it. A call that waits for a
//! permit or a rate limit may still proceed while draining, and is cancelled with the others.
//!
//! The engine is [`ShutdownSequence`].
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::shutdown::Shutdown;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), resilience_core::InvalidConfig> {
//! let mut shutdown = Shutdown::builder().grace(Duration::from_secs(1)).build()?;
//! shutdown.hook("flush", || async { /* the last batch */ });
//! let token = shutdown.token();
//!
//! let worker = tokio::spawn(token.run("worker", async {
//!     tokio::time::sleep(Duration::from_secs(3)).await; // the message in hand
//! }));
//! tokio::spawn(async move {
//!     tokio::time::sleep(Duration::from_secs(1)).await;
//!     token.begin("deploy"); // or `shutdown.on_signals()?`
//! });
//! let report = shutdown.run().await;
//! assert_eq!(report.exit_code(), 0);
//! assert_eq!((report.work[0].finished, report.work[0].cut), (1, 0));
//! assert_eq!(report.took(), Duration::from_secs(2));
//! # assert!(worker.is_finished());
//! # Ok(())
//! # }
//! ```
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "tokio"),
    doc = "
[ShutdownToken::begin]: crate
[Shutdown::hook]: crate
[`ShutdownBuilder::exit_process_at_total`]: crate
[`Shutdown`]: crate
[`ShutdownToken`]: crate
[ShutdownToken::track]: crate
[ShutdownToken::run]: crate"
)]
#![cfg_attr(not(feature = "tower"), doc = "\n[`ShutdownLayer`]: crate")]

mod bounds;
mod report;
mod sequence;

#[cfg(feature = "tokio")]
mod ambient;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod carry;
#[cfg(any(feature = "tokio", test))]
mod count;
#[cfg(feature = "tokio")]
mod driver;
#[cfg(feature = "tokio")]
mod exit;
#[cfg(feature = "tokio")]
mod hook_log;
#[cfg(feature = "tokio")]
mod hooks;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tokio")]
mod owner;
#[cfg(feature = "tokio")]
mod report_so_far;
#[cfg(feature = "tokio")]
mod run_future;
#[cfg(feature = "tokio")]
mod shared;
#[cfg(feature = "signal")]
mod signals;
#[cfg(feature = "tokio")]
mod token;
#[cfg(feature = "tokio")]
mod wakers;
#[cfg(feature = "tokio")]
mod work;

pub use crate::observe::words::Phase;
pub use bounds::ShutdownBounds;
#[cfg(feature = "tokio")]
pub use builder::ShutdownBuilder;
#[cfg(feature = "tokio")]
pub use carry::Carry;
#[cfg(feature = "tokio")]
pub use hooks::HookOutput;
#[cfg(feature = "tower")]
pub use layer::{ShutdownFuture, ShutdownLayer, ShutdownService};
#[cfg(feature = "tokio")]
pub use owner::Shutdown;
pub use report::{HookEnd, HookReport, PhaseReport, ShutdownReport, WorkReport};
#[cfg(feature = "tokio")]
pub use run_future::RunFuture;
pub use sequence::ShutdownSequence;
#[cfg(feature = "tokio")]
pub use token::{Reached, ShutdownToken};
#[cfg(feature = "tokio")]
pub use work::{InFlight, Tracker};
