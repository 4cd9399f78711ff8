//! Not waiting for ever: for an attempt, and for a call.
//!
//! Two different questions. [`TimeoutLayer`] stands next to the transport and asks whether *this
//! attempt* takes too long: the attempt fails as [`TimedOut`](crate::RejectionKind::TimedOut), which
//! a breaker counts and a retry may answer. [`DeadlineLayer`] stands outermost and says when nobody
//! will be waiting any more: the call ends as
//! [`DeadlineExceeded`](crate::RejectionKind::DeadlineExceeded), and everything inside can read how
//! much is left ([`Deadline::current`](crate::Deadline::current)).
//!
//! Rules of both:
//!
//! - A response that is ready wins, even if the time is up in the same poll.
//! - A timer is armed only if the response is not there at the first poll, and at most one for each
//!   point in time: a timeout that the deadline around it comes before, and a deadline inside an
//!   earlier one, arm none.
//! - Both forward readiness. What a service below does in `poll_ready` happens before the call, and
//!   is not covered.
//! - Dropping the future, or its running out of time, drops what is inside.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::RejectionKind;
//! use resilience_core::timeout::{DeadlineLayer, TimeoutLayer};
//! use tower::{BoxError, ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let mut service = ServiceBuilder::new()
//!     .layer(DeadlineLayer::new(Duration::from_secs(2))?)
//!     .layer(TimeoutLayer::new(Duration::from_millis(500))?)
//!     .service(service_fn(|(): ()| async {
//!         tokio::time::sleep(Duration::from_secs(60)).await;
//!         Ok::<_, BoxError>("late")
//!     }));
//! let error = service.ready().await?.call(()).await.unwrap_err();
//! let rejection = error.downcast_ref::<resilience_core::Rejection>().unwrap();
//! assert_eq!(rejection.kind(), RejectionKind::TimedOut);
//! assert_eq!(rejection.to_string(), "timeout: timed out (limit 500 ms)");
//! # Ok(())
//! # }
//! ```
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "tower"),
    doc = "
[`TimeoutLayer`]: crate
[`DeadlineLayer`]: crate"
)]

#[cfg(feature = "tower")]
mod ambient;
#[cfg(feature = "tower")]
mod attempt;
#[cfg(feature = "tower")]
mod settings;
#[cfg(feature = "tower")]
mod total;
mod within;

#[cfg(feature = "tower")]
pub use ambient::attempt_time_left;
#[cfg(feature = "tower")]
pub(crate) use ambient::{AttemptLimit, EnteredLimit};
#[cfg(feature = "tower")]
pub use attempt::{Timeout, TimeoutFuture, TimeoutLayer};
#[cfg(feature = "tower")]
pub use total::{DeadlineFuture, DeadlineLayer, DeadlineService};
pub use within::{Within, within, within_call};
