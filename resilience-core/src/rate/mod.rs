//! So many in any time, and no more.
//!
//! A fixed window lets twice its limit through at its edge. Waiters that sleep until "the next token" all
//! wake for the same one, and the newest may get it. A limiter that spends its tokens on calls that an
//! open circuit then refuses has none left for the probe. So here
//!
//! - in *every* closed window of length *w*, what is let through costs at most `burst + rate · w`, in
//!   integer arithmetic with the remainder carried ([`TokenBucket`]);
//! - those who wait are served in the order in which they came, by at most two wakes each; a wait that is
//!   known not to fit is refused at once, with when to come back;
//! - a token whose call was never sent is given back, as far as the bound allows;
//! - a server that asks for a pause is given one by every caller, not only by the one that it told.
//!
//! The bound is on the instants at which tokens are taken. A call that stalls between that and the wire
//! for *d* can make a window on the wire hold `rate · d` more.
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
mod meter;
mod quota;
mod span;

#[cfg(feature = "tokio")]
mod acquire;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod gate;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tokio")]
mod lease;
#[cfg(feature = "tokio")]
mod lent;
#[cfg(feature = "tokio")]
mod limiter;
#[cfg(feature = "tower")]
mod part;
#[cfg(feature = "tokio")]
mod per_key;
#[cfg(feature = "tokio")]
mod permit;
#[cfg(feature = "tower")]
mod planned;
#[cfg(feature = "tokio")]
mod queue;
#[cfg(feature = "tokio")]
mod refused;
#[cfg(feature = "tokio")]
mod reservation;
#[cfg(feature = "tokio")]
mod terms;

pub use bucket::{Decision, Taken, TokenBucket};
pub use quota::{Pace, Quota};

#[cfg(feature = "tokio")]
pub use acquire::Acquire;
#[cfg(feature = "tokio")]
pub use builder::{RateConfig, RateLimiterBuilder};
#[cfg(feature = "tower")]
pub use layer::{Each, HintsUnread, RateLimitLayer, RateLimitService, Weigh};
#[cfg(feature = "tokio")]
pub use limiter::{RateLimiter, RateSnapshot};
#[cfg(feature = "tokio")]
pub use permit::RatePermit;
#[cfg(feature = "tokio")]
pub use reservation::Reservation;

/// What the reference model drives.
#[cfg(feature = "testing")]
pub(crate) mod model {
    pub(crate) use super::bucket::START;
    pub(crate) use super::gate::{At, Refusal, Turn};
    pub(crate) use super::meter::{Grant, Meter, Verdict};
    pub(crate) use super::queue::Ticket;
}
