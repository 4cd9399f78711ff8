//! `/health`, `/ready` and `/startup`, served from a [`Health`] registry.
//!
//! | path | question | 200 | 503 |
//! |---|---|---|---|
//! | `/health` | is the process alive? | always: no check is run | |
//! | `/ready` | may it receive requests? | ready or degraded | a critical dependency is down, or it is [not serving](resilience_core::health::HealthBuilder::serving_while) |
//! | `/startup` | has it started? | from the first success on | until then |
//!
//! [`HealthLayer`] responds to these paths in front of any service, also while the service is not
//! ready for requests. All other requests are passed on. [`HealthLayer::into_service`] is the same
//! without an inner service, for a router. `GET` and `HEAD` are allowed; other methods get a 405.
//! Responses are JSON with `cache-control: no-store`, and a 503 has a `retry-after` where the time
//! is known:
//!
//! ```json
//! {"status":"degraded","checks":{
//!   "warehouse":{"status":"up","critical":true,"age_ms":312,"duration_ms":4},
//!   "odds":{"status":"down","critical":false,"error":"circuit open","circuit":"open"}}}
//! ```
//!
//! The text of an error is left out unless [details are enabled](HealthLayer::show_details), since
//! every client of the port can read a probe response.
//!
//! ```
//! use axum::{Router, routing::get};
//! use resilience_core::health::{Check, Health};
//! use resilience_http::health::HealthLayer;
//! use tower::ServiceExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let health = Health::builder()
//!     .check(Check::critical("warehouse", || async { Err("refused by 10.0.0.7") }))
//!     .build()?;
//! let app = Router::new()
//!     .route("/predictions", get(async || "42"))
//!     .layer(HealthLayer::new(health));
//!
//! for (path, status) in [("/health", 200), ("/ready", 503), ("/predictions", 200)] {
//!     let request = http::Request::get(path).body(axum::body::Body::empty())?;
//!     assert_eq!(app.clone().oneshot(request).await?.status(), status);
//! }
//! # Ok(())
//! # }
//! ```

mod future;
#[cfg(feature = "grpc")]
pub mod grpc;
mod layer;
mod probe;
mod response;
mod service;

pub use crate::server::ResponseBody as HealthBody;
pub use future::HealthFuture;
pub use layer::HealthLayer;
pub use resilience_core::health::Health;
pub use service::{HealthService, NoRoute};
