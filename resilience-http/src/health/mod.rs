//! `/health`, `/ready` and `/startup`, answered from a [`Health`] registry.
//!
//! | path | asks | 200 | 503 |
//! |---|---|---|---|
//! | `/health` | is the process alive? | always: it touches nothing | |
//! | `/ready` | may it be sent requests? | ready or degraded | a critical dependency is down, or it is [not serving](resilience_core::health::HealthBuilder::serving_while) |
//! | `/startup` | has it started? | from the first yes on | until then |
//!
//! [`HealthLayer`] stands in front of any service and answers these itself, also while the service is
//! not ready for requests; everything else goes through. [`HealthLayer::into_service`] is the same
//! alone, for a router. `GET` and `HEAD` are answered, other methods with 405. Answers are JSON,
//! `cache-control: no-store`, and a 503 says `retry-after` where that is known:
//!
//! ```json
//! {"status":"degraded","checks":{
//!   "warehouse":{"status":"up","critical":true,"age_ms":312,"duration_ms":4},
//!   "odds":{"status":"down","critical":false,"error":"circuit open","circuit":"open"}}}
//! ```
//!
//! What an error said is not in there unless [asked for](HealthLayer::show_details): probes are
//! answered to whoever can reach the port.
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
