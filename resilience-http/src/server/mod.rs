//! Admission control for servers, and the responses to rejected requests.
//!
//! A server that accepts more requests than it can finish in time completes none of them.
//! [`AdmissionControlLayer`] limits the number of requests at once and their rate (for all requests
//! or for each route or tenant), their duration, and the size and the slowness of their bodies. The
//! response to a rejected request has the reason and the time to wait in a form that clients can
//! read: 429, 503 or 504 with `Retry-After` and problem+json, or a gRPC status ([`RejectionFormat`]
//! has the table).
//!
//! From outside in:
//!
//! 1. [`ExtractContextLayer`](crate::propagate::ExtractContextLayer) rejects a request after its
//!    deadline before it takes any permit, and marks the responses that must not be retried.
//! 2. [`RejectionResponseLayer`] turns the rejections of the layers below, which are errors, into
//!    responses.
//! 3. [`HttpRateLimitLayer`] rejects at once, so that a caller over its rate takes no permit of the
//!    bulkhead.
//! 4. [`BodyBulkheadLayer`](crate::body::BodyBulkheadLayer) rejects at once, because requests in a
//!    queue outlive their deadlines. A request that is rejected here gets its token back.
//! 5. [`UploadsLayer`] returns 413 and 408 in place of a handler's response to a body that broke
//!    off.
//! 6. [`MapServiceError`] gives the routes of a router, whose error is `Infallible`, an error type
//!    that can carry rejections.
//!
//! Use the layer in `axum::Router::layer`, on the routes that are to be limited; leave out health
//! probes. A permit is released when the last byte of the response is written, or when the response
//! is dropped with its connection. How long a caller may take to read the response is limited by
#![cfg_attr(
    feature = "server",
    doc = "[`write_timeout`](crate::serve::ServerBuilder::write_timeout)."
)]
#![cfg_attr(not(feature = "server"), doc = "`write_timeout`.")]
//! A handler that panics releases its permit as well. hyper then closes an HTTP/1 connection
//! without a response; on HTTP/2 it resets the stream, and the other streams go on.
//!
//! ```
//! use std::time::Duration;
//! use axum::{Router, routing::get};
//! use resilience_core::keyed::KeyedLimits;
//! use resilience_core::rate::Quota;
//! use resilience_http::server::{AdmissionControlLayer, Uploads};
//!
//! let tenant = |request: &axum::extract::Request| {
//!     request.headers().get("x-tenant").and_then(|tenant| tenant.to_str().ok()).unwrap_or("").to_owned()
//! };
//! let admission = AdmissionControlLayer::builder()
//!     .name("api")
//!     .longest(Duration::from_secs(10))
//!     .concurrency(200)
//!     .uploads(Uploads::new().at_most(64 << 10))
//!     .rate_per_key(Quota::per_second(50), KeyedLimits::default(), tenant)
//!     .build()?;
//! let router: Router = Router::new()
//!     .route("/quotes", get(|| async { "quotes" }))
//!     .layer(admission)
//!     .route("/healthz", get(|| async { "alive" }));
//! # let _ = router;
//! # Ok::<_, resilience_core::InvalidConfig>(())
//! ```

mod admission_control;
mod fields;
mod limits;
mod map_service_error;
mod rate_limit;
mod rejection_format;
mod rejection_response;
mod response_body;
mod split;
mod uploads;

pub use admission_control::{AdmissionControl, AdmissionControlBuilder, AdmissionControlLayer};
pub use limits::{ForAll, ForEach, Limit, LimitHandles, LimitSettings, Limits};
pub use map_service_error::{MapServiceError, MapServiceErrorFuture};
pub use rate_limit::{HttpRateLimit, HttpRateLimitFuture, HttpRateLimitLayer};
pub use rejection_format::RejectionFormat;
pub(crate) use rejection_format::{GRPC_STATUS, Protocol};
pub use rejection_response::{RejectionResponse, RejectionResponseFuture, RejectionResponseLayer};
pub use response_body::ResponseBody;
pub use split::SplitRejection;
pub use uploads::{BoundedUploads, UploadBody, UploadFuture, Uploads, UploadsLayer};
