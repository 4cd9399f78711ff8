//! The whole stack, in the one order that works, checked before it is used.
//!
//! Each layer is right by itself, and most orders of them are wrong. A rate limit outside of the
//! bulkhead spends its tokens on calls that then wait, and admits them in a burst; a breaker
//! outside of the retries counts one failure where there were four; a timeout outside of the
//! retries leaves no time for a second attempt. A [`Stack`] has one order, outermost first:
//!
//! | part | why there |
//! |---|---|
//! | total deadline | the caller's limit, which covers every wait; counts from the first poll of the call |
//! | bulkhead | bounds calls; a call keeps its permit while it backs off |
//! | retry and its budget | the parts inside run again for each attempt |
//! | rate limit | a token is spent next to the wire, and given back if the breaker rejects |
//! | circuit breaker | the last decision; counts attempts, and no rejection by an outer part |
//! | attempt timeout | an attempt that hangs is a failure to the breaker |
//! | your service | |
//!
//! Parts are set by name: no other order can be written. One classifier serves all of them. A part
//! that is [`Absent`] costs nothing.
//!
//! A stack is one service and one future ([`CallService`]): a call takes one handle on the parts,
//! one copy of the service, and one reading of the clock for each poll. The service is always
//! ready, a call waits in its own future, and a token, or the price of a retry, is spent when the
//! service takes the request.
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
//! # Errors and warnings
//!
//! [`StackBuilder::build`] compares the parts, and returns an error for:
//!
//! - an attempt timeout as long as the deadline;
//! - a wait for the bulkhead or the rate limit as long as the deadline;
//! - an attempt that usually takes longer than its timeout;
//! - more attempts than can begin in time if each fails at once and each wait is the shortest;
//! - a budget that never pays for a retry: no ratio and no reserve, or no reserve and too few calls
//!   through the rate limit in its window;
//! - a breaker with a higher minimum of calls in its window than the rate limit admits;
//! - calls that count as slow after they have timed out.
//!
//! Settings that work for some calls, but hardly as intended, are a [`Warning`] of the [`Plan`]:
//!
//! - no limit that ends a call, an attempt or a wait;
//! - a wait that leaves less than an attempt timeout of the deadline;
//! - a queue with a last place that is served after the deadline;
//! - attempts that do not begin in time if each times out and each wait is the longest (no error,
//!   since they do begin if the others fail sooner);
//! - retries without a budget, or with a budget that pays for all of them;
//! - probes that are given up before they time out; waiting for a circuit that is open for longer
//!   than a call lasts.

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
