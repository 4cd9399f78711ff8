//! Bodies count.
//!
//! An HTTP call is not over when its head is there: the body is most of the time, nearly all of the bytes, and where
//! connections break. A limit that lets go at the head limits nothing; a circuit that counts heads calls
//! a server healthy that dies over every response.
//!
//! - [`GuardedBody`] holds what a call holds until the body has ended, broken off, or been dropped.
//!   [`BodyBulkheadLayer`] and [`BodyBreakerLayer`] do so with a permit and with a circuit's admission;
//!   [`BodyPolicy`] is for layers of one's own.
//! - [`ReplayBody`] records a request while it is sent, under a cap, so that a retry can send it again.
//! - [`StallBody`] ends a body that makes no progress, of either side.
//!
//! They work with any service of `http::Response<B>`. reqwest's own response becomes one by
//! `http::Response::<reqwest::Body>::from`.
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
//! assert_eq!(bulkhead.snapshot().in_use, 1); // the head is there, and the body is not read
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
pub(crate) use bulkhead::Place;
pub use bulkhead::{BodyBulkheadLayer, BodyPermit, BulkheadWaiting};
pub use guarded::{Guard, GuardedBody, Held};
pub use policy::{BodyPolicy, Guarded, GuardedFuture};
pub use replay::{NotReplayable, ReplayBody, ReplayRequest};
pub use stall::{StallBody, StallTimeout};
