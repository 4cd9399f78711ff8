//! Time limits, for an attempt and for a call.
//!
//! [`TimeoutLayer`] stands next to the transport and limits *one attempt*: the attempt fails as
//! [`TimedOut`](crate::RejectionKind::TimedOut), which a breaker counts and a retry may repeat.
//! [`DeadlineLayer`] stands outermost and limits *the call*: it ends as
//! [`DeadlineExceeded`](crate::RejectionKind::DeadlineExceeded), and code inside can read the time
//! that is left ([`Deadline::current`](crate::Deadline::current)).
//!
//! Rules of both:
//!
//! - A response that is ready wins, even if the time is up in the same poll.
//! - A timer is armed only if the first poll returns no response. A timeout or a deadline inside an
//!   earlier deadline arms none.
//! - Both forward readiness. The work of a service below in `poll_ready` happens before the call,
//!   and is not limited.
//! - Dropping the future, or its running out of time, drops the inner future.
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
mod attempt;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod total;
mod within;

#[cfg(feature = "tower")]
pub use attempt::{TimeoutFuture, attempt_time_left};
#[cfg(feature = "tower")]
pub use layer::{DeadlineLayer, DeadlineService, Timeout, TimeoutLayer};
#[cfg(feature = "tower")]
pub use total::DeadlineFuture;
pub use within::{Within, within, within_call};
