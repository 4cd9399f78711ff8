//! For proving a stack, this crate's or your own.
//!
//! - [`ServiceProbe`] stands below a layer and watches what the layer does to it: calls on handles
//!   that were not ready, handles that are kept readied, calls that were dropped.
//! - [`Script`] is a service that answers as it is told, after a delay, with a failure, or never.
//! - [`Ready`] answers at once, and is nothing: what is left is the layer's own size and cost.
//! - [`model`] drives each engine beside a naive reference from a string of bytes, so that a property
//!   test, a fuzzer and a corpus replay are the same few lines.
//! - [`each_event`] tells a listener one of each kind.
//! - [`MemoryStore`] keeps leases, runs and idempotency keys for tests, with faults and a clock that can be set.
//! - [`conformance`] proves a store of one's own.
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

pub mod conformance;
mod events;
mod memory_store;
pub mod model;
mod probe;
mod ready;
mod script;

pub use events::{SAMPLE_DURATION, each_event};
pub use memory_store::MemoryStore;
pub use probe::{ProbeFuture, ProbeLog, ServiceProbe};
pub use ready::Ready;
pub use script::{Reply, Script, ScriptFuture};
