//! Test doubles and models for stacks and layers.
//!
//! - [`ServiceProbe`] records what the layer above does: calls on handles that were not ready,
//!   handles that stay readied, cancelled calls.
//! - [`Script`] is a service with scripted responses: delays, failures, or none.
//! - [`Ready`] returns the request at once and has no size, for benchmarks of a layer.
//! - [`model`] drives each engine and a naive reference by a string of bytes, for property tests,
//!   fuzzers and corpus replays.
//! - [`each_event`] notifies a listener of one event of each kind.
//! - [`MemoryStore`] keeps leases, runs and idempotency keys for tests, with faults and a clock
//!   that can be set.
//! - [`conformance`] tests a store of your own against the promises of its trait.
//!
//! ```
//! use resilience_core::retry::{RetryLayer, RetryPolicy};
//! use resilience_core::testing::{Reply, Script, ServiceProbe};
//! use tower::{BoxError, ServiceBuilder};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), BoxError> {
//! let script = Script::new(|call, _request: &'static str| match call {
//!     0 => Reply::err(BoxError::from(std::io::Error::from(std::io::ErrorKind::ConnectionReset))),
//!     _ => Reply::ok("hello"),
//! });
//! let (probe, log) = ServiceProbe::new(script);
//! let service = ServiceBuilder::new()
//!     .layer(RetryLayer::new(RetryPolicy::builder().build()?))
//!     .service(probe);
//! assert_eq!(service.oneshot("GET /").await?, "hello");
//! assert_eq!((log.calls(), log.called_unready()), (2, 0));
//! # Ok(())
//! # }
//! ```

mod events;
pub mod model;
mod probe;
mod ready;
mod script;

pub use crate::flow::testing::{MemoryStore, conformance};
pub use events::{SAMPLE_DURATION, each_event};
pub use probe::{ProbeFuture, ProbeLog, ServiceProbe};
pub use ready::Ready;
pub use script::{Reply, Script, ScriptFuture};
