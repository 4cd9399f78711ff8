//! So many at once, and no more: a slow dependency must not take everything down with it.
//!
//! A dependency that turns slow does not refuse calls, it keeps them. Without a limit, all tasks,
//! connections and memory end up waiting for it, and calls to others, which are well, fail too. A
//! [`Bulkhead`] limits how many are under way; with [one for each key][BulkheadLayer::per_key] the
//! others' calls do not even notice.
//!
//! - A call that finds no permit is refused at once, or waits: in a queue that is
//!   [bounded][BulkheadBuilder::max_queued], for a [limited time][BulkheadBuilder::wait_at_most] or
//!   until the [deadline](crate::Deadline) of the call around it. [`QueueOrder`] says who is next.
//! - Nobody barges past those who wait, whatever they [need][BulkheadLayer::weigh].
//! - A permit belongs to a call, not to a handle. It is asked for when the call's future is first
//!   polled, and it is back when that is ready, or dropped: a service that was made ready and never
//!   called holds none.
//! - [`Bulkhead::resize`] and [`Bulkhead::set_config`] take effect at once, also for those who wait.
//!
//! The decisions are [`PermitLedger`] and [`Queue`], which know neither time nor tasks.
//!
//! Put it outside of retries to bound calls, which keep their permit while they back off; and inside
//! of the deadline, which then bounds the wait.
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
let refused = second.unwrap_err();
assert_eq!(refused.rejection().map(|why| why.kind()), Some(RejectionKind::BulkheadFull));
assert_eq!(refused.to_string(), "quotes: bulkhead full (1 permit, limit 1)");
assert_eq!(bulkhead.snapshot().in_use, 0);
# Ok(())
# }
```
"#
)]

mod ledger;
mod queue;

#[cfg(feature = "tokio")]
mod acquire;
#[cfg(feature = "tokio")]
mod builder;
#[cfg(feature = "tokio")]
mod config;
#[cfg(feature = "tokio")]
mod family;
#[cfg(feature = "tokio")]
mod handle;
#[cfg(feature = "tower")]
mod layer;
#[cfg(feature = "tower")]
mod part;
#[cfg(feature = "tokio")]
mod permit;
#[cfg(feature = "tower")]
mod planned;
#[cfg(feature = "tokio")]
mod refusal;
#[cfg(feature = "tokio")]
mod turnstile;

pub use ledger::{Charge, Denied, PermitLedger, Permits};
pub use queue::{Joined, Left, Queue, QueueOrder, Ticket};

#[cfg(feature = "tokio")]
pub use acquire::Acquire;
#[cfg(feature = "tokio")]
pub use builder::BulkheadBuilder;
#[cfg(feature = "tokio")]
pub use config::BulkheadConfig;
#[cfg(feature = "tokio")]
pub use handle::{Bulkhead, BulkheadSnapshot};
#[cfg(feature = "tower")]
pub use layer::{BulkheadLayer, BulkheadService, EachOne, Weigh};
#[cfg(feature = "tokio")]
pub use permit::BulkheadPermit;

/// What the reference model drives.
#[cfg(feature = "testing")]
pub(crate) mod model {
    pub(crate) use super::config::Rules;
    pub(crate) use super::ledger::Charge;
    pub(crate) use super::queue::Ticket;
    pub(crate) use super::refusal::Refusal;
    pub(crate) use super::turnstile::{Entered, Turnstile};
}
