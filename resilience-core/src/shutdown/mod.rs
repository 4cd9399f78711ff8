//! Ending without dropping anything, inside a deadline, with everybody told.
//!
//! A process is ended many times a day: by a deploy, by a scale-down, by a machine that goes away. What it
//! has begun by then is lost unless somebody waits for it, what is sent to it until others have heard is
//! refused unless somebody still takes it, and whoever waits for too long is killed in the middle. So:
//!
//! | [`Phase`] | what happens | until |
//! |---|---|---|
//! | `Running` | | SIGTERM, SIGINT, or [`begin`][ShutdownToken::begin] |
//! | `NotReady` | health checks say no; work is still taken | the grace is over |
//! | `Draining` | nothing new is taken; no retry is begun, no backoff is slept through; what is under way goes on | nothing is under way, or the time for it is over |
//! | `Forced` | what is still under way is told to end: left out if nothing is | it has, or a moment is over |
//! | `Flushing` | [hooks][Shutdown::hook] run, in their order, each in its bound | all have, or their time is over |
//! | `Stopped` | the [`Report`] says what became of everything | |
//!
//! A second signal goes to `Forced` at once, a third does not wait for hooks either. All of it takes at most
//! [`ShutdownBounds::longest`], whatever never becomes ready. A handler, hook, listener or destructor that blocks its
//! thread is another matter: see [`ShutdownBounds`], and [`ShutdownBuilder::exit_process_at_total`] for a bound on that.
//!
//! [`Shutdown`] carries it out; [`ShutdownToken`]s are for everybody else. Work is what was
//! [tracked][ShutdownToken::track], [run][ShutdownToken::run], or called through a [`ShutdownLayer`].
//! Inside of the latter two the token is *ambient*, as a [`Deadline`](crate::Deadline) is: the retries of
//! this crate find it there. A call that waits for a permit or for a rate limit may still get its turn
//! while draining; it is cut when the others are.
//!
//! The engine is [`Course`], which is told the time.
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
mod course;
mod report;

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
mod reached;
#[cfg(feature = "tokio")]
mod scope;
#[cfg(feature = "tokio")]
mod shared;
#[cfg(feature = "signal")]
mod signals;
#[cfg(feature = "tokio")]
mod so_far;
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
pub use course::Course;
#[cfg(feature = "tokio")]
pub use hooks::HookOutput;
#[cfg(feature = "tower")]
pub use layer::{ShutdownFuture, ShutdownLayer, ShutdownService};
#[cfg(feature = "tokio")]
pub use owner::Shutdown;
#[cfg(feature = "tokio")]
pub use reached::Reached;
pub use report::{HookEnd, HookReport, PhaseReport, Report, WorkReport};
#[cfg(feature = "tokio")]
pub use scope::Scope;
#[cfg(feature = "tokio")]
pub use token::ShutdownToken;
#[cfg(feature = "tokio")]
pub use work::{InFlight, Tracker};
