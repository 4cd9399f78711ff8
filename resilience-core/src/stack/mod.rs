//! The whole stack, in the one order that works, checked before it is used.
//!
//! Each layer is right by itself, and most orders of them are wrong. A rate limit outside of the
//! bulkhead spends its tokens on calls that then stand in line, and lets them go in a burst; a breaker
//! outside of the retries sees one failure where there were four; a timeout outside of them leaves no
//! time for a second attempt. A [`Stack`] has one order, outermost first:
//!
//! | part | why there |
//! |---|---|
//! | total deadline | it is the caller's, and covers every wait; it counts from the call's first poll |
//! | bulkhead | bounds calls; a call keeps its permit while it backs off |
//! | retry and its budget | what is inside is done again for each attempt |
//! | rate limit | a token is spent next to the wire, and handed back if the breaker refuses |
//! | circuit breaker | the last decision; it sees attempts, and never a refusal from above |
//! | attempt timeout | so that an attempt that hangs is a failure to the breaker |
//! | your service | |
//!
//! Parts are set by name, so no other order can be written. One classifier serves all of them. A part
//! that is [`Absent`] costs nothing.
//!
//! All of it is one service and one future ([`CallService`]): a call takes one handle on the parts, one
//! copy of the service, and one look at the clock a poll. It is always ready, waits in its own future, and
//! spends a token, or the price of a retry, when the service takes the request.
//!
//! ```
//! use resilience_core::stack::Stack;
//! use tower::{BoxError, ServiceBuilder, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let stack = Stack::standard("quotes").build()?;
//! let service = ServiceBuilder::new()
//!     .layer(stack.clone())
//!     .service(service_fn(async |day: u32| Ok::<_, BoxError>(format!("day {day}"))));
//! assert_eq!(service.oneshot(7).await?, "day 7");
//! assert_eq!(stack.plan().max_attempts, 3);
//! # Ok(())
//! # }
//! ```
//!
//! # What is refused
//!
//! [`StackBuilder::build`] looks at the parts together, and refuses what no part can see by itself:
//!
//! - an attempt timeout as long as the deadline;
//! - a wait for the bulkhead or the rate limit as long as the deadline;
//! - an attempt that usually takes longer than its timeout;
//! - more attempts than begin in time though each fails at once and each wait is the shortest;
//! - a budget that never pays for a retry: no ratio and no reserve, or no reserve and too few calls
//!   through the rate limit in its window;
//! - a breaker that wants to see more calls in its window than the rate limit lets pass;
//! - calls that count as slow after they have timed out.
//!
//! What works for some calls, and is hardly meant, is a [`Warning`] of the [`Plan`]:
//!
//! - nothing that ends a call, an attempt or a wait;
//! - a wait that leaves less than an attempt timeout of the deadline;
//! - a queue whose last is served after the deadline;
//! - attempts that do not begin in time if each times out and each wait is the longest (they do if the
//!   others fail sooner, which is why this is not refused);
//! - retries without a budget, or with one that pays for all of them;
//! - probes that are given up before they time out; waiting for a circuit that is open for longer than
//!   a call lasts.

mod builder;
#[cfg(feature = "profiles")]
mod carried;
mod checks;
mod handles;
mod layer;
mod part;
mod plan;
mod warnings;

pub use crate::call::{Absent, BoxedFuture, BoxedService, CallFuture, CallService};
pub use builder::{StackBuilder, StandardBuilder};
pub use handles::StackSnapshot;
pub use layer::{Stack, StandardService, StandardStack};
#[doc(hidden)]
pub use part::{KeyedPart, PartSource, RetryWith, SharedPart};
pub use plan::Plan;
pub use warnings::Warning;

#[cfg(feature = "profiles")]
pub(crate) use carried::Carrying;
#[cfg(feature = "profiles")]
pub use carried::{CallLifetime, CarriedPermits};
#[cfg(feature = "profiles")]
pub(crate) use handles::Handles;
