//! Deadlines, attempts and traces that travel from service to service.
//!
//! A chain of three services in which everybody makes three attempts asks the last of them 27 times, and
//! one of five 243 times, at the moment when it is down. And it goes on asking for those who have long
//! stopped waiting. Nobody in the chain can see it: each makes no more than three attempts.
//!
//! So each request says [how long it is waited for](timeout) and [which attempt it is](attempt), and each
//! response says whether it is worth another. [`InjectContextLayer`] is the client's side and stands *below* the
//! retry, next to the transport; [`ExtractContextLayer`] is the server's side and stands outermost.
//!
//! # Who retries
//!
//! One tier, and no other:
//!
//! 1. **The one next to the failure tries first.** It knows most and repeats least. As a rule it is right,
//!    and nobody above hears of it.
//! 2. **If it gives up, so does everybody.** It has made its attempts, or its
//!    [budget](resilience_core::retry::RetryBudget) is spent; the failure of its own response then says
//!    [`x-resilience-retry: never`](attempt::RETRY), which
//!    [`StatusClassifier`](crate::StatusClassifier) reads as
//!    [never](resilience_core::RetryHint::Never). A tier that was told so tells the next.
//! 3. **Inside of a retry, everybody makes one attempt.** A request with an [attempt number](attempt::ATTEMPT)
//!    is somebody's retry already, and so are all requests that are made for it. If one fails, the response
//!    does *not* say never: who retries goes on, to the end of his own attempts and budget.
//!
//! So of one request no server gets more than one tier's attempts, however deep the chain, and in an outage
//! that lasts a chain asks `1 + budget ratio` times a request, and not that to the power of its depth.
//!
//! What it costs: a response that failed for a reason of its own, after a call that it did not need was given
//! up, is not tried again either.
//!
//! # What is ambient
//!
//! The server's side has a [`Context`] and a [`Deadline`](resilience_core::Deadline) in place while it polls
//! the handler, and the client's side reads them, whatever the types between. They do not cross
//! `tokio::spawn`: see [`Context`]. The attempt number is the retry's, ambient for what it polls
//! ([`previous_attempts`][resilience_core::retry::previous_attempts]), so that the copy of a request needs no
//! counting, and a first attempt costs nothing.
//!
//! Headers that say something else than they may are read as if they were not there, and none can have a
//! handler work for longer than the server's own [limit][ExtractContextLayer::longest]. What a stranger can do with
//! them is to get fewer attempts, or less time; [`distrust_headers`][ExtractContextLayer::distrust_headers] leaves
//! that to callers that are known.
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
//! // What is called for each request: it finds out how long it is waited for.
//! let below = ServiceBuilder::new().layer(InjectContextLayer::new()).service_fn(|call: Request<()>| async move {
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
pub(crate) use client::Hearer;
pub use headers::{HasHeaders, HasHeadersMut};
pub use trace::Trace;

#[cfg(feature = "layers")]
pub use client::{InjectContext, InjectContextFuture, InjectContextLayer};
#[cfg(feature = "layers")]
pub use context::{Context, Scoped};
#[cfg(feature = "layers")]
pub use limited::{CallEnd, LimitedBody};
#[cfg(feature = "layers")]
pub use server::{ExtractContext, ExtractContextFuture, ExtractContextLayer};
