//! Limits, circuits and retries that last until the end of a body.
//!
//! An HTTP call is not over at the head of its response: the body takes most of the time, has
//! nearly all of the bytes, and is where connections break. A limit that ends at the head limits
//! nothing, and a circuit that counts heads treats a server as healthy that crashes during every
//! response.
//!
//! - [`GuardedBody`] holds a guard until the body has ended, broken off, or been dropped. In
//!   [`BodyBulkheadLayer`] the guard is a permit, in [`BodyBreakerLayer`] the admission of a
//!   circuit; [`BodyPolicy`] is for your own layers.
//! - [`ReplayBody`] records a request body while it is sent, up to a cap, so that a retry can send
//!   it again.
//! - [`StallBody`] ends a request or response body that makes no progress.
//!
//! The layers work with any service that returns `http::Response<B>`. A response of reqwest is
//! converted by `http::Response::<reqwest::Body>::from`.
//!
//! To limit how long a body may get, use `http_body_util::Limited`.
//!
//! ```
//! use http::{Request, Response};
//! use http_body_util::{BodyExt, Full};
//! use resilience_core::bulkhead::Bulkhead;
//! use resilience_http::body::BodyBulkheadLayer;
//! use tower::{BoxError, ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), BoxError> {
//! let bulkhead = Bulkhead::builder().name("odds").max_concurrent(1).build()?;
//! let service = ServiceBuilder::new()
//!     .layer(BodyBulkheadLayer::new(bulkhead.clone()))
//!     .service(service_fn(async |_: Request<()>| {
//!         Ok::<_, BoxError>(Response::new(Full::new(bytes::Bytes::from("3.5"))))
//!     }));
//! let response = service.oneshot(Request::new(())).await?;
//! assert_eq!(bulkhead.snapshot().in_use, 1); // the head has arrived, the body is not read yet
//! assert_eq!(response.into_body().collect().await?.to_bytes(), "3.5");
//! assert_eq!(bulkhead.snapshot().in_use, 0);
//! # Ok(())
//! # }
//! ```

mod breaker;
mod bulkhead;
mod guarded;
mod policy;
mod replay;
mod stall;

pub use breaker::{BodyBreakerLayer, BreakerGuard};
#[cfg(feature = "server")]
pub(crate) use bulkhead::WritePermit;
pub use bulkhead::{BodyBulkheadLayer, BodyPermit, BulkheadAcquire};
pub use guarded::{DropOnEnd, Guard, GuardedBody};
pub use policy::{BodyPolicy, Guarded, GuardedFuture};
pub use replay::{NotReplayable, ReplayBody, ReplayRequest};
pub use stall::{StallBody, StallTimeout};
