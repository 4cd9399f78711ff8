//! Limits the calls under way at once: a slow dependency must not take everything down with it.
//!
//! A dependency that turns slow does not reject calls, it keeps them. Without a limit, all tasks,
//! connections and memory end up waiting for it, and calls to healthy dependencies fail too. A
//! [`Bulkhead`] limits the calls under way; with [one for each key][BulkheadLayer::per_key] the
//! calls of other keys are not affected.
//!
//! - A call that finds no permit is rejected at once, or waits: in a queue that is
//!   [bounded][BulkheadBuilder::max_queued], for a [limited time][BulkheadBuilder::wait_at_most] or
//!   until the [deadline](crate::Deadline) of the call around it. [`QueueOrder`] decides which is
//!   next.
//! - No newcomer overtakes a call that waits, whatever they [need][BulkheadLayer::weigh].
//! - A permit belongs to a call, not to a handle. It is taken when the future of the call is first
//!   polled, and released when that future is ready or dropped: a service that was made ready and
//!   never called holds none.
//! - [`Bulkhead::resize`] and [`Bulkhead::set_config`] take effect at once, also for calls that
//!   wait.
//!
//! [`Permits`] and [`Queue`] make the decisions, without a clock and without tasks.
//!
//! Outside of retries a bulkhead bounds calls, which keep their permit while they back off. It
//! belongs inside of the deadline, which then bounds the wait.
//!
// Links to items of features that are off lead to the page of the crate, which lists the features.
#![cfg_attr(
    not(feature = "tokio"),
    doc = "
[`Bulkhead`]: crate
[`Bulkhead::resize`]: crate
[`Bulkhead::set_config`]: crate
[BulkheadBuilder::max_queued]: crate
[BulkheadBuilder::wait_at_most]: crate"
)]
#![cfg_attr(
    not(feature = "tower"),
    doc = "
[BulkheadLayer::per_key]: crate
[BulkheadLayer::weigh]: crate"
)]
#![cfg_attr(
    feature = "tower",
    doc = r#"
```
use resilience_core::bulkhead::{Bulkhead, BulkheadLayer};
use resilience_core::{CarriesRejection, RejectionKind};
use tower::{BoxError, ServiceBuilder, service_fn};

# #[tokio::main(flavor = "current_thread", start_paused = true)]
# async fn main() -> Result<(), BoxError> {
let bulkhead = Bulkhead::builder().name("quotes").max_concurrent(1).build()?;
let service = ServiceBuilder::new()
    .layer(BulkheadLayer::new(bulkhead.clone()))
    .service(service_fn(async |request: &'static str| {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Ok::<_, BoxError>(request)
    }));
let (first, second) = tokio::join!(service.clone().oneshot("one"), service.oneshot("two"));
assert_eq!(first?, "one");
let rejected = second.unwrap_err();
assert_eq!(rejected.rejection().map(|why| why.kind()), Some(RejectionKind::BulkheadFull));
assert_eq!(rejected.to_string(), "quotes: bulkhead full (1 permit, limit 1)");
assert_eq!(bulkhead.snapshot().in_use, 0);
# Ok(())
# }
```
"#
)]

mod permits;
mod queue;

#[cfg(feature = "tokio")]
mod acquire;
#[cfg(feature = "tokio")]
mod admission_queue;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod group;
#[cfg(feature = "tokio")]
mod handle;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod part;
#[cfg(feature = "tokio")]
mod permit;

pub use permits::{Denied, PermitCounts, PermitGrant, Permits};
pub use queue::{Joined, Left, Queue, QueueOrder, Ticket};

#[cfg(feature = "tokio")]
pub use acquire::Acquire;
#[cfg(feature = "tokio")]
pub use builder::{BulkheadBuilder, BulkheadConfig};
#[cfg(feature = "tokio")]
pub use handle::{Bulkhead, BulkheadSnapshot};
#[cfg(feature = "tower")]
pub use layer::{BulkheadLayer, BulkheadService};
#[cfg(feature = "tokio")]
pub use permit::BulkheadPermit;

/// Internals for the reference model.
#[cfg(feature = "testing")]
pub(crate) mod model {
    pub(crate) use super::admission_queue::{AdmissionQueue, EnterOutcome};
    pub(crate) use super::builder::BulkheadConfig;
    pub(crate) use super::handle::BulkheadRejectReason;
    pub(crate) use super::permits::PermitGrant;
    pub(crate) use super::queue::Ticket;
}
