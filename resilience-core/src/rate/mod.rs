//! Limits the rate of calls.
//!
//! A fixed window admits twice its limit at its edge. Waiters that sleep until "the next token" all
//! wake for the same token, and the newest may get it. A limiter that spends its tokens on calls
//! that an open circuit then rejects has none left for the probe. A `RateLimiter` keeps four
//! promises:
//!
//! - in *every* closed window of length *w*, the admitted calls cost at most `burst + rate · w`, in
//!   integer arithmetic with the remainder carried ([`TokenBucket`]);
//! - waiting calls are served in the order of arrival, by at most two wakes each; a wait that is
//!   known not to fit is rejected at once, with the time to retry after;
//! - the token of a call that was never sent is given back, as far as the bound allows;
//! - a pause from a server's hint applies to all callers.
//!
//! The bound is on the instants at which tokens are taken. A call that stalls for *d* between that
//! instant and the wire can add `rate · d` to a window on the wire.
//!
//! ```
//! use std::time::Duration;
//! use resilience_core::rate::{Quota, RateLimitLayer, RateLimiter};
//! use tower::{BoxError, ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let limiter = RateLimiter::builder()
//!     .quota(Quota::per_minute(30)?.with_burst(5)?)
//!     .wait_at_most(Duration::from_secs(10))
//!     .build()?;
//! let service = ServiceBuilder::new()
//!     .layer(RateLimitLayer::new(limiter.clone()))
//!     .service(service_fn(async |n: u32| Ok::<_, BoxError>(n)));
//!
//! let start = resilience_core::clock::now();
//! for n in 0..6 {
//!     service.clone().oneshot(n).await?;
//! }
//! assert_eq!(resilience_core::clock::now() - start, Duration::from_secs(2));
//! assert_eq!(limiter.snapshot().available, 0);
//! # Ok(())
//! # }
//! ```

mod bucket;
mod gcra;
mod quota;
mod span;

#[cfg(feature = "tokio")]
mod acquire;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tokio")]
mod limiter;
#[cfg(feature = "tower")]
mod part;
#[cfg(feature = "tokio")]
mod pending;
#[cfg(feature = "tokio")]
mod queue;
#[cfg(feature = "tokio")]
mod reservation;
#[cfg(feature = "tokio")]
mod wait_queue;

pub use bucket::{Decision, Taken, TokenBucket};
pub use quota::{Quota, Shaping};

#[cfg(feature = "tokio")]
pub use acquire::Acquire;
#[cfg(feature = "tokio")]
pub use builder::{RateConfig, RateLimiterBuilder};
#[cfg(feature = "tower")]
pub use layer::{RateLimitLayer, RateLimitService};
#[cfg(feature = "tokio")]
pub use limiter::{RateLimiter, RatePermit, RateSnapshot};
#[cfg(feature = "tokio")]
pub use reservation::Reservation;

/// Internals for the reference model.
#[cfg(feature = "testing")]
pub(crate) mod model {
    pub(crate) use super::bucket::START;
    pub(crate) use super::gcra::{Gcra, GcraDecision, Grant};
    pub(crate) use super::queue::Ticket;
    pub(crate) use super::wait_queue::{Conditions, QueuePoll, RateRejectReason};
}
