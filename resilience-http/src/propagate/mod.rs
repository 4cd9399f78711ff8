//! Deadlines, attempts and traces that travel from service to service.
//!
//! In a chain of three services that make three attempts each, the last one gets 27 requests for
//! one; in a chain of five, 243, and at the moment when it is down. Requests also go on after the
//! original caller has stopped waiting. No service of the chain can see this, since each makes no
//! more than three attempts.
//!
//! Therefore each request carries its [time left](timeout) and its [attempt number](attempt), and
//! each response carries the permission to retry. [`InjectContextLayer`] is the client side,
//! *below* the retry and next to the transport; [`ExtractContextLayer`] is the server side,
//! outermost.
//!
//! # Which tier retries
//!
//! Exactly one tier retries a request:
//!
//! 1. **The tier next to the failure retries first.** It has the best information and repeats the
//!    least work. In most cases it succeeds, and no tier above sees the failure.
//! 2. **If it gives up, every tier gives up.** When its attempts or its
//!    [budget](resilience_core::retry::RetryBudget) are used up, the failure of its own response
//!    carries [`x-resilience-retry: never`](attempt::RETRY), which
//!    [`StatusClassifier`](crate::StatusClassifier) maps to
//!    [never](resilience_core::RetryHint::Never). A tier that receives it passes it on.
//! 3. **Within a retry, every tier makes one attempt.** A request with an [attempt
//!    number](attempt::ATTEMPT) is already a retry, and so are all requests that are made to serve
//!    it. If one of them fails, the response does *not* carry `never`: the retrying tier continues
//!    to the end of its own attempts and budget.
//!
//! So each server gets the attempts of one tier at most for a request, however deep the chain. In a
//! long outage a chain sends `1 + budget ratio` requests for each request, and not that to the
//! power of its depth.
//!
//! The cost: if an optional call was given up and the response then failed for a reason of its own,
//! the response is not retried either.
//!
//! # Ambient state
//!
//! The server side sets a [`Context`] and a [`Deadline`](resilience_core::Deadline) while it polls
//! the handler, and the client side reads them, whatever the types between. They do not cross
//! `tokio::spawn`: see [`Context`]. The attempt number belongs to the retry and is ambient while an
//! attempt is polled ([`previous_attempts`][resilience_core::retry::previous_attempts]), so copies
//! of a request need no counter, and a first attempt costs nothing.
//!
//! Invalid headers are ignored, and no header can make a handler work longer than the server's own
//! [limit][ExtractContextLayer::longest]. A stranger can use them only to get fewer attempts or
//! less time; [`distrust_headers`][ExtractContextLayer::distrust_headers] ignores them all.
//!
#![cfg_attr(feature = "layers", doc = "```")]
#![cfg_attr(not(feature = "layers"), doc = "```ignore")]
//! use std::time::Duration;
//! use http::{Request, Response};
//! use resilience_core::Deadline;
//! use resilience_http::propagate::{ExtractContextLayer, InjectContextLayer, timeout};
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! // The downstream call: it reads its own time left.
//! let inject = InjectContextLayer::new();
//! let below = ServiceBuilder::new().layer(inject).service_fn(|call: Request<()>| async move {
//!     let left = timeout::parse(call.headers()).ok_or("no timeout")?;
//!     assert!(left <= Duration::from_millis(250));
//!     Ok::<_, BoxError>(Response::new(()))
//! });
//! let server = ServiceBuilder::new()
//!     .layer(ExtractContextLayer::new().longest(Duration::from_secs(10))?)
//!     .service_fn(move |_: Request<()>| below.clone().oneshot(Request::new(())));
//!
//! let request = Request::builder().header(timeout::TIMEOUT, "250").body(())?;
//! assert_eq!(server.clone().oneshot(request).await?.status(), 200);
//! let expired = Request::builder().header(timeout::TIMEOUT, "0").body(())?;
//! assert_eq!(server.oneshot(expired).await?.status(), 504);
//! # Ok(())
//! # }
//! ```
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "layers"),
    doc = "
[`InjectContextLayer`]: crate
[`ExtractContextLayer`]: crate
[`Context`]: crate
[ExtractContextLayer::longest]: crate
[ExtractContextLayer::distrust_headers]: crate
[resilience_core::retry::previous_attempts]: crate"
)]

pub mod attempt;
mod headers;
pub mod timeout;
mod trace;

#[cfg(feature = "layers")]
mod client;
#[cfg(feature = "layers")]
mod context;
#[cfg(feature = "layers")]
mod limited;
#[cfg(feature = "layers")]
mod server;

#[cfg(feature = "layers")]
pub(crate) use crate::classify::grpc::is_grpc;
#[cfg(feature = "client")]
pub(crate) use client::ResponseContext;
pub use headers::{HasHeaders, HasHeadersMut};
pub use trace::Trace;

#[cfg(feature = "layers")]
pub use client::{InjectContext, InjectContextFuture, InjectContextLayer};
#[cfg(feature = "layers")]
pub use context::{Context, WithContext};
#[cfg(feature = "layers")]
pub use limited::{CallEnd, LimitedBody};
#[cfg(feature = "layers")]
pub use server::{ExtractContext, ExtractContextFuture, ExtractContextLayer};
