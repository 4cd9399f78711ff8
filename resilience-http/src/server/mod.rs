//! The server's side: what is refused, and how that is told.
//!
//! A server that takes on all that comes serves nobody when too much does. [`AdmissionControlLayer`] bounds how many
//! requests are under way, how many come in how long, for all or for each route or tenant, how long
//! each may take, and how large and how slow its body may be; and it tells those that it refuses why, and when to come back, in a form that a client can
//! read: 429, 503 or 504 with `Retry-After` and problem+json, or gRPC's status ([`RejectionFormat`] has the table).
//!
//! From outside in:
//!
//! | layer | why there |
//! |---|---|
//! | [`ExtractContextLayer`](crate::propagate::ExtractContextLayer) | who has no time left is told so before anything is taken; and it sees every response, to say which are final |
//! | [`RejectionResponseLayer`] | rejections are errors to the layers, and answers to callers |
//! | [rate](HttpRateLimitLayer) | refuses at once, and who is over his rate takes nobody's place |
//! | [concurrency](crate::body::BodyBulkheadLayer) | refuses at once: a queue in a server is a place where requests grow old. Who is refused here has his token back |
//! | [uploads](UploadsLayer) | 413 and 408 in place of what a handler makes of a body that broke off |
//! | [`MapServiceError`] | a router has no errors: its routes get one that can carry rejections |
//!
//! It stands in an `axum::Router::layer`, on the routes that should be limited: leave out what says whether
//! the server is alive. A permit is free when the last byte of the response is written, or the response is given up with its connection: what
//! bounds how long a caller may take to read it is the server's
#![cfg_attr(
    feature = "server",
    doc = "[`write_timeout`](crate::serve::ServerBuilder::write_timeout)."
)]
#![cfg_attr(not(feature = "server"), doc = "`write_timeout`.")]
//! Of a handler that panics the permit comes back as well; hyper then closes an HTTP/1 connection without a response,
//! and resets an HTTP/2 stream, of which the others do not hear.
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
//! let protect = AdmissionControlLayer::builder()
//!     .name("api")
//!     .longest(Duration::from_secs(10))
//!     .concurrency(200)
//!     .uploads(Uploads::new().at_most(64 << 10))
//!     .rate_per_key(Quota::per_second(50), KeyedLimits::default(), tenant)
//!     .build()?;
//! let router: Router = Router::new()
//!     .route("/quotes", get(|| async { "quotes" }))
//!     .layer(protect)
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
pub use limits::{ForAll, ForEach, Limit, Limits, Made, Shared};
pub use map_service_error::{MapServiceError, MapServiceErrorFuture};
pub use rate_limit::{HttpRateLimit, HttpRateLimitFuture, HttpRateLimitLayer};
pub use rejection_format::RejectionFormat;
pub(crate) use rejection_format::{Asked, GRPC_STATUS};
pub use rejection_response::{RejectionResponse, RejectionResponseFuture, RejectionResponseLayer};
pub use response_body::ResponseBody;
pub use split::SplitRejection;
pub use uploads::{BoundedUploads, UploadBody, UploadFuture, Uploads, UploadsLayer};
